"""The stack's secrets: configured ones as they are, the rest generated and told apart by number, not by content."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from urllib.parse import urlsplit

import pulumi
import pulumi_random

from infra.settings import ConfiguredSecret, Settings

PASSWORD_LENGTH = 32
KEY_LENGTH = 64
SLOTS = ("app_a", "app_b")
KEY_SLOTS = 3
"""One for the key in use, one for the key before it and one for the next."""
ED25519 = bytes.fromhex("302e020100300506032b657004220420")
"""What stands before the 32 bytes of a private key (RFC 8410)."""
PAIR_BITS = 3072
PAIR_HOURS = 10 * 365 * 24
LONGEST_NAME = 64
"""X.509 has no room for more in a common name."""


@dataclass(frozen=True)
class Secret:
    """A secret value with a fingerprint that changes exactly when the value does."""

    value: pulumi.Input[str]
    fingerprint: str


@dataclass(frozen=True)
class Key:
    """A key in use, and in a JSON list those that it was or will be: what they signed or sealed is taken too."""

    current: Secret
    others: Secret | None


@dataclass(frozen=True)
class Pair:
    """A private key and its certificate, which anybody may read and whose fingerprint changes when it does."""

    key: Secret
    certificate: pulumi.Input[str]
    fingerprint: str


@dataclass(frozen=True)
class Pairs:
    """The pair in use, the next one, whose certificate others are given before, and the one that was before."""

    current: Pair
    next: Pair
    former: Pair | None


@dataclass(frozen=True)
class Secrets:
    """What the parts need to keep to themselves; role passwords only where this stack runs the database."""

    secret_key: Key
    factor_key: Key
    owner_password: Secret
    app_passwords: dict[str, Secret]
    app_slot: str
    backup_password: Secret
    backup_signing_key: Secret
    restore_admin_password: Secret
    restore_loader_password: Secret
    archive_passphrase: Secret
    saml_pairs: Pairs | None = None


def of(settings: Settings) -> Secrets:
    """Take the configured secrets and generate the others."""
    keys, version = settings.keys, settings.database_password_version
    return Secrets(
        secret_key=key("secret-key", settings.secret_key_version, settings.secret_key, keys.secret_key_fallbacks),
        factor_key=key("factor-key", settings.factor_key_version, keys.factor_key, keys.factor_key_fallbacks),
        owner_password=generated("database-owner", 1, PASSWORD_LENGTH),
        app_passwords={
            slot: generated(f"database-{slot}", slot_version(slot, version), PASSWORD_LENGTH) for slot in SLOTS
        },
        app_slot=active_slot(version),
        backup_password=generated("database-backup", 1, PASSWORD_LENGTH),
        restore_admin_password=generated("database-restore-admin", 1, PASSWORD_LENGTH),
        restore_loader_password=generated("database-restore-loader", 1, PASSWORD_LENGTH),
        # Made for every stack and never anew: what is in a bucket outlives the setting that names it.
        archive_passphrase=generated("archive-passphrase", 1, KEY_LENGTH),
        backup_signing_key=signing_key(generated("backup-signing", 1, KEY_LENGTH)),
        saml_pairs=saml_pairs(settings),
    )


def configured(secret: ConfiguredSecret) -> Secret:
    """Take a secret from the stack's configuration, marked so that the state holds it encrypted."""
    return Secret(pulumi.Output.secret(secret.value), secret.fingerprint)


def key(name: str, version: int, own: ConfiguredSecret | None, own_others: ConfiguredSecret | None) -> Key:
    """Take a configured key and those it was before, or generate it with its neighbours.

    The next one is handed out with the one in use: while a release with a new version comes, the one before it already
    takes what the new one signs.
    """
    if own:
        return Key(configured(own), configured(own_others) if own_others else None)
    around = [each for each in (version + 1, version - 1) if each > 0]
    others = [generated(key_slot(name, each), each, KEY_LENGTH) for each in around]
    values = pulumi.Output.all(*(other.value for other in others)).apply(json.dumps)
    return Key(
        generated(key_slot(name, version), version, KEY_LENGTH),
        Secret(pulumi.Output.secret(values), "+".join(other.fingerprint for other in others)),
    )


def key_slot(name: str, version: int) -> str:
    """Return which of its resources holds a version of a key: they take turns, so that its neighbours stay."""
    slot = (version - 1) % KEY_SLOTS + 1
    return name if slot == 1 else f"{name}-{slot}"


def active_slot(version: int) -> str:
    """Return the login role that the app uses at a version of the password: the two take turns."""
    return SLOTS[(version - 1) % len(SLOTS)]


def slot_version(slot: str, version: int) -> int:
    """Return the newest version at or below `version` in which the role was the one in use, 0 before its first turn."""
    return next((v for v in range(version, max(version - len(SLOTS), 0), -1) if active_slot(v) == slot), 0)


def generated(name: str, version: int, length: int) -> Secret:
    """Generate letters and digits, anew for each version; the id of a RandomPassword holds nothing of it."""
    made = pulumi_random.RandomPassword(name, length=length, special=False, keepers={"version": str(version)})
    return Secret(made.result, f"{name}/{version}")


def signing_key(seed: Secret) -> Secret:
    """Return a key that signs, made of a generated text: no provider has to be there for it."""
    made = pulumi.Output.from_input(seed.value).apply(ed25519)
    return Secret(pulumi.Output.secret(made), seed.fingerprint)


def ed25519(text: str) -> str:
    """Return an Ed25519 private key in PEM that is as hard to guess as the text."""
    raw = hashlib.sha256(f"Ed25519\0{text}".encode()).digest()
    body = base64.b64encode(ED25519 + raw).decode()
    return f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"


def saml_pairs(settings: Settings) -> Pairs | None:
    """Generate this site's pair for SAML with its neighbours, unless it has one of its own or no use for any."""
    if not settings.saml.idp_entity_id or settings.saml.private_key:
        return None
    version, host = settings.saml.key_version, urlsplit(settings.site_url).hostname or ""
    return Pairs(
        current=pair(version, host),
        next=pair(version + 1, host),
        former=pair(version - 1, host) if version > 1 else None,
    )


def pair(version: int, host: str) -> Pair:
    """Generate a version of the pair; each has resources of its own, which go when it is nobody's neighbour."""
    # Loaded here, since only stacks with an identity provider have any use for it.
    import pulumi_tls

    key = pulumi_tls.PrivateKey(f"saml-key-{version}", algorithm="RSA", rsa_bits=PAIR_BITS)
    certificate = pulumi_tls.SelfSignedCert(
        f"saml-certificate-{version}",
        private_key_pem=key.private_key_pem,
        subject=pulumi_tls.SelfSignedCertSubjectArgs(common_name=host[:LONGEST_NAME]),
        validity_period_hours=PAIR_HOURS,
        allowed_uses=["digital_signature", "key_encipherment"],
    )
    return Pair(
        Secret(pulumi.Output.secret(key.private_key_pem), f"saml-key/{version}"),
        certificate.cert_pem,
        f"saml-certificate/{version}/{host}",
    )
