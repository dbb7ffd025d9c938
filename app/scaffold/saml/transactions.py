"""Which answers are waited for: each one belongs to a browser, comes once, and only for some minutes."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit

from flask import Response, request
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from .. import sessions
from ..database import db
from ..moments import now
from .refusal import Refusal
from .tables import ConsumedMessage, Transaction

Kind = Literal["login", "logout"]

# The identity provider's form comes from another site: `Lax` would keep the cookie back. A browser takes the prefix
# only with Secure, and then no other host can have set it.
COOKIE = "__Host-saml_tx"
LIFETIME = timedelta(minutes=15)
BYTES = 32
TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
SWEPT_AT_ONCE = 100
LONGEST_PATH = 2000
FIRST_PAGE = "/"


@dataclass(frozen=True)
class Begun:
    """A request that may be sent now, and what the browser is given to be known by."""

    request_id: str
    relay_state: str
    browser: str

    def remember(self, response: Response) -> Response:
        """Give the browser its cookie."""
        response.set_cookie(
            COOKIE, self.browser, max_age=LIFETIME, path="/", secure=True, httponly=True, samesite="None"
        )
        return response


def digest(token: str) -> bytes:
    """Return what is kept of a cookie."""
    return hashlib.sha256(token.encode()).digest()


def local_path(wanted: str | None) -> str:
    """Return where to go on this site, which is the first page for anything that may lead elsewhere."""
    if not wanted or len(wanted) > LONGEST_PATH or not wanted.startswith("/") or not wanted.isascii():
        return FIRST_PAGE
    # A browser reads a backslash as a slash, and passes over tabs and line ends.
    if wanted.startswith("//") or "\\" in wanted or not wanted.isprintable() or " " in wanted:
        return FIRST_PAGE
    parts = urlsplit(wanted)
    return FIRST_PAGE if parts.scheme or parts.netloc else wanted


def browser_of_request() -> str | None:
    """Return what this browser is known by, when it looks like that."""
    token = request.cookies.get(COOKIE, "")
    return token if TOKEN.fullmatch(token) else None


def begin(kind: Kind, return_path: str = FIRST_PAGE, *, forced: bool = False) -> Begun:
    """Begin to wait for an answer; it is committed here.

    A browser is known by one cookie for all that it waits for: two tabs that sign in at once do not get into each
    other's way.
    """
    at = now()
    browser = browser_of_request() or secrets.token_urlsafe(BYTES)
    # An id in XML begins with no digit.
    session = sessions.token_of_request()
    begun = Begun(f"_{secrets.token_hex(20)}", secrets.token_urlsafe(BYTES), browser)
    sweep(at)
    db.session.add(
        Transaction(
            request_id=begun.request_id,
            kind=kind,
            browser=digest(browser),
            relay_state=begun.relay_state,
            return_path=return_path,
            former_session=sessions.digest(session) if session else None,
            forced=forced,
            created_at=at,
            expires_at=at + LIFETIME,
        )
    )
    db.session.commit()
    return begun


def awaited(request_id: str | None, kind: Kind) -> Transaction:
    """Return the transaction that a message says it answers; raise `Refusal` unless this browser waits for it now."""
    browser = browser_of_request()
    if browser is None:
        raise Refusal("no_transaction_cookie")
    if not request_id:
        raise Refusal("no_in_response_to")
    found = db.session.scalar(select(Transaction).where(Transaction.request_id == request_id, Transaction.kind == kind))
    if found is None:
        raise Refusal("unknown_request")
    if not secrets.compare_digest(found.browser, digest(browser)):
        raise Refusal("other_browser")
    if found.consumed_at is not None:
        raise Refusal("request_consumed")
    if found.expires_at <= now():
        raise Refusal("request_expired")
    return found


def consume(request_id: str) -> None:
    """Take the one answer to a request; raise `Refusal` for the second, however close together both come."""
    at = now()
    taken = db.session.execute(
        update(Transaction)
        .where(Transaction.request_id == request_id, Transaction.consumed_at.is_(None), Transaction.expires_at > at)
        .values(consumed_at=at)
        .returning(Transaction.request_id)
        .execution_options(synchronize_session=False)
    ).all()
    if len(taken) != 1:
        db.session.rollback()
        raise Refusal("request_consumed")


def consume_message(issuer: str, message_id: str, kept_until: datetime) -> None:
    """Take a message; raise `Refusal` for one that was taken before. It is committed here.

    Whatever follows may fail: what was shown once is not taken again.
    """
    try:
        with db.session.begin_nested():
            db.session.add(ConsumedMessage(issuer=issuer, message_id=message_id, kept_until=kept_until))
            db.session.flush()
    except IntegrityError:
        db.session.commit()
        raise Refusal("replayed") from None
    db.session.commit()


def sweep(at: datetime) -> None:
    """Delete some of what is over, and wait for nobody who does the same; the caller commits."""
    over = select(Transaction.request_id).where(Transaction.expires_at <= at).limit(SWEPT_AT_ONCE)
    chosen = delete(Transaction).where(Transaction.request_id.in_(over.with_for_update(skip_locked=True)))
    db.session.execute(chosen.execution_options(synchronize_session=False))
    forgotten = select(ConsumedMessage.message_id).where(ConsumedMessage.kept_until <= at).limit(SWEPT_AT_ONCE)
    done = delete(ConsumedMessage).where(
        ConsumedMessage.message_id.in_(forgotten.with_for_update(skip_locked=True)), ConsumedMessage.kept_until <= at
    )
    db.session.execute(done.execution_options(synchronize_session=False))
