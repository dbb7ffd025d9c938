"""The stack's secrets: configured ones as they are, the rest generated and told apart by number, not by content."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_random

from infra.settings import ConfiguredSecret, Settings

PASSWORD_LENGTH = 32
SLOTS = ("app_a", "app_b")


@dataclass(frozen=True)
class Secret:
    """A secret value with a fingerprint that changes exactly when the value does."""

    value: pulumi.Input[str]
    fingerprint: str


@dataclass(frozen=True)
class Secrets:
    """What the parts need to keep to themselves; role passwords only where this stack runs the database."""

    secret_key: Secret
    owner_password: Secret
    app_passwords: dict[str, Secret]
    app_slot: str


def of(settings: Settings) -> Secrets:
    """Take the configured secrets and generate the others."""
    key = settings.secret_key
    version = settings.database_password_version
    return Secrets(
        secret_key=configured(key) if key else generated("secret-key", settings.secret_key_version, 64),
        owner_password=generated("database-owner", 1, PASSWORD_LENGTH),
        app_passwords={
            slot: generated(f"database-{slot}", slot_version(slot, version), PASSWORD_LENGTH) for slot in SLOTS
        },
        app_slot=active_slot(version),
    )


def configured(secret: ConfiguredSecret) -> Secret:
    """Take a secret from the stack's configuration, marked so that the state holds it encrypted."""
    return Secret(pulumi.Output.secret(secret.value), secret.fingerprint)


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
