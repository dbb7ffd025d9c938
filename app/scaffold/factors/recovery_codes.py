"""Recovery codes: each opens the door once, when every other factor is lost."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, delete, func, select
from sqlalchemy.orm import Mapped, mapped_column

from ..database import Model, db
from ..moments import Moment, now

COUNT = 10
# 120 bits: twenty-four letters and digits, in groups that are read out easily.
BYTES, GROUP = 15, 4
CODE = re.compile(r"[a-z2-7]{24}")


class RecoveryCode(Model):
    """A code that was not used yet, as a digest: using it deletes it."""

    __tablename__ = "recovery_codes"

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())


def made() -> str:
    """Return a new code as it is shown."""
    letters = base64.b32encode(secrets.token_bytes(BYTES)).decode().lower()
    return "-".join(letters[place : place + GROUP] for place in range(0, len(letters), GROUP))


def plain(given: str) -> str | None:
    """Return a code as it is kept, however it was typed; None for what is none."""
    letters = re.sub(r"[\s-]+", "", given[:200]).lower()
    return letters if CODE.fullmatch(letters) else None


def digest(letters: str) -> bytes:
    """Return what is kept of a code; it is random enough to need nothing slower."""
    return hashlib.sha256(letters.encode()).digest()


def issue(user_id: uuid.UUID) -> list[str]:
    """Give a user new codes in place of the old ones, and return them, to be shown once; the caller commits."""
    remove(user_id)
    codes = [made() for _ in range(COUNT)]
    at = now()
    for shown in codes:
        db.session.add(RecoveryCode(digest=digest(plain(shown) or ""), user_id=user_id, created_at=at))
    db.session.flush()
    return codes


def is_right(user_id: uuid.UUID, given: str) -> bool:
    """Tell whether a code is a user's, and use it up; the caller commits."""
    letters = plain(given)
    if letters is None:
        return False
    chosen = delete(RecoveryCode).where(RecoveryCode.user_id == user_id, RecoveryCode.digest == digest(letters))
    return db.session.execute(chosen.returning(RecoveryCode.digest)).first() is not None


def left(user_id: uuid.UUID) -> int:
    """Return how many codes a user has."""
    return db.session.scalar(select(func.count()).where(RecoveryCode.user_id == user_id)) or 0


def remove(user_id: uuid.UUID) -> None:
    """Remove a user's codes; the caller commits."""
    db.session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
