"""How seeds of authenticator apps are kept: encrypted with a key that is not in the database."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flask import current_app

from ..settings import Settings

if TYPE_CHECKING:
    from cryptography.fernet import Fernet, MultiFernet

# The key of a secret is not used for anything else that may be made of the same secret.
PURPOSE = b"scaffold seeds of authenticator apps"


class Unreadable(Exception):  # noqa: N818 - it says what to do
    """A seed was encrypted with a key that is in no setting any more."""


def fernet(secret: str) -> Fernet:
    """Return what encrypts with a secret, of any length."""
    from cryptography.fernet import Fernet

    return Fernet(base64.urlsafe_b64encode(hmac.digest(secret.encode(), PURPOSE, hashlib.sha256)))


def keys() -> Sequence[str]:
    """Return the secrets, of which the first encrypts."""
    settings: Settings = current_app.extensions["settings"]
    return settings.factor_keys


def all_keys() -> MultiFernet:
    """Return what decrypts with any of the secrets and encrypts with the first."""
    from cryptography.fernet import MultiFernet

    return MultiFernet([fernet(secret) for secret in keys()])


def sealed(seed: bytes) -> bytes:
    """Encrypt a seed."""
    return all_keys().encrypt(seed)


def opened(token: bytes) -> bytes:
    """Decrypt a seed; raise `Unreadable`."""
    from cryptography.fernet import InvalidToken

    try:
        return all_keys().decrypt(token)
    except InvalidToken:
        raise Unreadable("no key in FACTOR_KEY or FACTOR_KEY_FALLBACKS opens this seed") from None


def is_of_first_key(token: bytes) -> bool:
    """Tell whether a seed was encrypted with the key of today."""
    from cryptography.fernet import InvalidToken

    try:
        fernet(keys()[0]).decrypt(token)
    except InvalidToken:
        return False
    return True
