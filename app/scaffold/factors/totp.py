"""Codes from an authenticator app (RFC 6238): six digits that change every half a minute."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
import uuid
from datetime import datetime
from urllib.parse import quote, urlencode

import structlog
from sqlalchemy import BigInteger, ForeignKey, LargeBinary, delete, func, select, update
from sqlalchemy.orm import Mapped, mapped_column

from ..database import Model, db
from ..moments import Moment, now
from . import seeds

log = structlog.stdlib.get_logger(__name__)

SEED_BYTES, DIGITS, PERIOD = 20, 6, 30
# Clocks of telephones go wrong by a little.
DRIFT = 1


class Totp(Model):
    """A user's authenticator app: its seed, encrypted, and the step of the last code that was taken."""

    __tablename__ = "totps"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    seed: Mapped[bytes] = mapped_column(LargeBinary)
    last_step: Mapped[int] = mapped_column(BigInteger, default=0)
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    confirmed_at: Mapped[datetime | None] = mapped_column(Moment)


def code(seed: bytes, step: int) -> str:
    """Return the code of a step."""
    digest = hmac.digest(seed, step.to_bytes(8, "big"), hashlib.sha1)
    place = digest[-1] & 15
    number = int.from_bytes(digest[place : place + 4], "big") & 0x7FFFFFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def step_at(seconds: float) -> int:
    """Return the step of a time."""
    return int(seconds // PERIOD)


def matching_step(seed: bytes, given: str, seconds: float) -> int | None:
    """Return the step whose code was given, if it is now or one beside it."""
    here = step_at(seconds)
    found = [step for step in range(here - DRIFT, here + DRIFT + 1) if hmac.compare_digest(code(seed, step), given)]
    return found[-1] if found else None


def plain(given: str) -> str | None:
    """Return a code as it is compared, without the gaps that people write; None for what is none."""
    digits = "".join(given.split()).replace("-", "")
    return digits if len(digits) == DIGITS and digits.isascii() and digits.isdigit() else None


def in_letters(seed: bytes) -> str:
    """Return a seed as it is typed into an app."""
    return base64.b32encode(seed).decode().rstrip("=")


def address(seed: bytes, issuer: str, account: str) -> str:
    """Return what an app reads from the picture."""
    label = f"{quote(issuer, safe='')}:{quote(account, safe='@')}"
    values = {
        "secret": in_letters(seed), "issuer": issuer, "algorithm": "SHA1", "digits": DIGITS, "period": PERIOD,
    }  # fmt: skip
    return f"otpauth://totp/{label}?{urlencode(values, quote_via=quote)}"


def picture(address: str) -> str:
    """Return a QR picture of an address, as SVG: dark on light in any case, as not every camera reads the opposite."""
    import segno

    svg: str = segno.make(address, error="m", micro=False).svg_inline(
        scale=5, border=4, dark="#000", light="#fff", omitsize=True, svgclass="qr", lineclass=None
    )
    return svg


def of_user(user_id: uuid.UUID) -> list[Totp]:
    """Return a user's apps that were confirmed."""
    chosen = select(Totp).where(Totp.user_id == user_id, Totp.confirmed_at.is_not(None)).order_by(Totp.created_at)
    return list(db.session.scalars(chosen))


def prepared(user_id: uuid.UUID) -> bytes:
    """Return the seed that a user is about to put into an app, which stays the same until it is confirmed; commits."""
    waiting = select(Totp).where(Totp.user_id == user_id, Totp.confirmed_at.is_(None)).order_by(Totp.created_at)
    found = db.session.scalars(waiting).first()
    if found is not None:
        try:
            return seeds.opened(found.seed)
        except seeds.Unreadable:
            db.session.delete(found)
    seed = secrets.token_bytes(SEED_BYTES)
    db.session.add(Totp(user_id=user_id, seed=seeds.sealed(seed), created_at=now()))
    db.session.commit()
    return seed


def confirm(user_id: uuid.UUID, given: str) -> bool:
    """Take the prepared app for the user's one, if the code is its; the app before it is gone. The caller commits."""
    waiting = select(Totp).where(Totp.user_id == user_id, Totp.confirmed_at.is_(None)).order_by(Totp.created_at)
    for row in db.session.scalars(waiting):
        if is_taken(row, given):
            row.confirmed_at = now()
            db.session.flush()
            db.session.execute(delete(Totp).where(Totp.user_id == user_id, Totp.id != row.id))
            return True
    return False


def is_right(user_id: uuid.UUID, given: str) -> bool:
    """Tell whether a code is of one of the user's apps, and let it be right only once; the caller commits."""
    return any(is_taken(row, given) for row in of_user(user_id))


def is_taken(row: Totp, given: str) -> bool:
    """Take a code: of many requests at once that give the same one, one is right."""
    digits = plain(given)
    if digits is None:
        return False
    try:
        step = matching_step(seeds.opened(row.seed), digits, time.time())
    except seeds.Unreadable as error:
        log.error(f"an authenticator app cannot be checked: {error}", user_id=str(row.user_id))  # noqa: TRY400
        return False
    if step is None:
        return False
    used = update(Totp).where(Totp.id == row.id, Totp.last_step < step).values(last_step=step).returning(Totp.id)
    return db.session.execute(used.execution_options(synchronize_session=False)).first() is not None


def remove(user_id: uuid.UUID) -> bool:
    """Remove a user's apps and tell whether there was one; the caller commits."""
    chosen = delete(Totp).where(Totp.user_id == user_id).returning(Totp.confirmed_at)
    return any(row.confirmed_at for row in db.session.execute(chosen).all())
