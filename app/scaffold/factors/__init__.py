"""Second factors: what somebody has, beside the password that they know."""

from __future__ import annotations

import uuid
from typing import Literal

from . import passkeys, recovery_codes, totp

Kind = Literal["totp", "passkey", "recovery_code"]


def are_there(user_id: uuid.UUID) -> bool:
    """Tell whether a user has a second factor; recovery codes alone are none."""
    return bool(totp.of_user(user_id) or passkeys.of_user(user_id))


def kind_of_code(user_id: uuid.UUID, given: str) -> Kind | None:
    """Return which factor a code is of, and use it up; None when it is of none. The caller commits."""
    if totp.plain(given) is not None:
        return "totp" if totp.is_right(user_id, given) else None
    return "recovery_code" if recovery_codes.is_right(user_id, given) else None


def remove_all(user_id: uuid.UUID) -> None:
    """Remove every factor of a user, who makes new ones when they sign in next; the caller commits."""
    totp.remove(user_id)
    passkeys.remove(user_id)
    recovery_codes.remove(user_id)
