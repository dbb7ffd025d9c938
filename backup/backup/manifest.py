"""The manifest: what a backup holds and how it was proven, signed; where it is missing there is no backup."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from backup.error import StopError

NAME = "manifest.json"
SCHEMA = 1
LEVELS = ("none", "read", "restored", "drilled")
MAKE = "openssl genpkey -algorithm ed25519 -out signing-key.pem"


@dataclass(frozen=True)
class StoredFile:
    """One file of a backup, as it is stored and as it was before it was encrypted."""

    name: str
    role: str
    format: str
    bytes: int
    sha256: str
    plain_bytes: int
    plain_sha256: str
    compression: str = ""


@dataclass(frozen=True)
class Manifest:
    """What is known of one backup."""

    id: str
    database: str
    kind: str
    created: str
    finished: str
    tool_version: str
    files: tuple[StoredFile, ...]
    server: dict[str, Any]
    snapshot: dict[str, str]
    contents: dict[str, Any]
    verify: dict[str, Any]
    recipients: tuple[str, ...] = ()
    suspect: str = ""
    offsite: tuple[dict[str, str], ...] = ()
    app: dict[str, str] = field(default_factory=dict)

    @property
    def at(self) -> datetime:
        """When it was begun: the moment whose data it holds."""
        return datetime.fromisoformat(self.created)

    @property
    def bytes(self) -> int:
        """The size of all its files."""
        return sum(file.bytes for file in self.files)

    @property
    def rows(self) -> int:
        """The rows in it."""
        return sum(int(table["rows"]) for table in self.contents["tables"])

    @property
    def level(self) -> str:
        """How far it was verified when it was made."""
        return str(self.verify["level"])

    def file(self, role: str) -> StoredFile:
        """Return its file of a role."""
        return next(file for file in self.files if file.role == role)


def canonical(document: dict[str, Any]) -> bytes:
    """Return the one form of a document that is signed."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def signed(manifest: Manifest, key: Ed25519PrivateKey) -> bytes:
    """Return the manifest with its signature, as it is stored."""
    document = {"schema": SCHEMA, **asdict(manifest)}
    signature = base64.b64encode(key.sign(canonical(document))).decode()
    document["signature"] = {"key": fingerprint(key.public_key()), "ed25519": signature}
    return json.dumps(document, sort_keys=True, indent=1, ensure_ascii=True).encode() + b"\n"


def opened(content: bytes, keys: Sequence[Ed25519PublicKey]) -> Manifest:
    """Return the manifest that a file holds; raise StopError when it is not one that was signed by one of the keys."""
    try:
        document = json.loads(content)
        signature = document.pop("signature")
        schema = document.pop("schema")
        value = base64.b64decode(signature["ed25519"], validate=True)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StopError(f"{NAME}: this is no manifest ({type(error).__name__}): its backup does not count") from None
    if schema != SCHEMA:
        raise StopError(f"{NAME}: got schema {schema!r}, wanted {SCHEMA}: use the image that wrote it")
    key = next((key for key in keys if fingerprint(key) == signature.get("key")), None)
    if key is None:
        raise StopError(
            f"{NAME}: signed by the key {signature.get('key')!r}, which is not known. Set BACKUP_VERIFY_KEYS"
        )
    try:
        key.verify(value, canonical({"schema": schema, **document}))
    except InvalidSignature:
        raise StopError(f"{NAME}: its signature does not fit: it was changed after it was written") from None
    try:
        return from_document(document)
    except (ValueError, KeyError, TypeError) as error:
        raise StopError(f"{NAME}: signed, but unusable ({type(error).__name__}): use the image that wrote it") from None


def from_document(document: dict[str, Any]) -> Manifest:
    """Return the manifest that a document describes."""
    plain = {**document, "files": tuple(StoredFile(**file) for file in document["files"])}
    plain["offsite"] = tuple(document["offsite"])
    plain["recipients"] = tuple(document["recipients"])
    return Manifest(**plain)


def fingerprint(key: Ed25519PublicKey) -> str:
    """Return the name of a public key: the beginning of its hash."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def private_key(text: str, setting: str) -> Ed25519PrivateKey:
    """Return the signing key of a PEM text; raise StopError, which quotes none of it, for anything else."""
    try:
        key = serialization.load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise StopError(f"{setting}: wanted an Ed25519 private key in PEM without passphrase. Make one: {MAKE}")
    return key


def public_keys(text: str, setting: str) -> tuple[Ed25519PublicKey, ...]:
    """Return the public keys of a text with one PEM after the other."""
    end = "-----END PUBLIC KEY-----"
    found = []
    for part in text.split(end)[:-1]:
        try:
            key = serialization.load_pem_public_key(f"{part.strip()}\n{end}\n".encode())
        except ValueError:
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise StopError(f"{setting}: wanted Ed25519 public keys in PEM: openssl pkey -in signing-key.pem -pubout")
        found.append(key)
    return tuple(found)
