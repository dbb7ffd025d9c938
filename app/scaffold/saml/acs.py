"""The answer of the identity provider: checked, taken once, and made into a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import delete

from .. import audit, sessions, users
from ..database import db
from ..moments import now
from ..sessions import SetCookie
from ..users import Attributes, Identity
from . import attributes, transactions, trust, verification, wire
from .refusal import Refusal
from .response import Assertion, Expected
from .settings import Saml
from .tables import Transaction


@dataclass(frozen=True)
class Entered:
    """Somebody who is signed in now: where they go, and what gives them their session."""

    path: str
    set_cookie: SetCookie


def enter(message: str, relay_state: str | None, saml: Saml) -> Entered:
    """Sign in whom a response is about; raise `Refusal` for any that is not the answer this browser waits for."""
    data = wire.decoded(message)
    root = verification.shaped(data)
    transaction = transactions.awaited(root.get("InResponseTo"), "login")
    path = transaction.return_path if relay_state == transaction.relay_state else transactions.FIRST_PAGE
    former, expected, provider = transaction.former_session, expectation(transaction, saml), trust.current(saml)
    # No connection is held while the signature is looked at.
    db.session.rollback()
    assertion = verification.verify(data, saml, provider, expected, now())
    identity, profile = attributes.identity(assertion, saml), attributes.profile(assertion, saml)
    about = {"saml_request": expected.request_id, "assertion": assertion.id}
    try:
        transactions.consume(expected.request_id)
        transactions.consume_message(assertion.issuer, assertion.id, assertion.keep_until)
        return Entered(path, begin_session(assertion, identity, profile, former, about))
    except Refusal as error:
        db.session.rollback()
        raise Refusal(error.reason, error.status, {**about, **error.detail}, error.user_id) from None


def expectation(transaction: Transaction, saml: Saml) -> Expected:
    """Return what the answer to a request must say."""
    return Expected(
        issuer=saml.idp_entity_id,
        audience=saml.sp_entity_id,
        acs_url=saml.acs_url,
        request_id=transaction.request_id,
        requested_at=transaction.created_at,
        forced=transaction.forced,
    )


def begin_session(
    assertion: Assertion, identity: Identity, profile: Attributes, former: bytes | None, about: Mapping[str, str]
) -> SetCookie:
    """Begin the session of whom an assertion is about, in place of the browser's `former` one."""
    try:
        user = users.sign_in_with(identity, profile)
    except users.Refused as error:
        raise Refusal(error.reason, user_id=error.user_id) from None
    if former is not None:
        db.session.execute(delete(sessions.Row).where(sessions.Row.digest == former))
    user_id = user.id
    set_cookie = sessions.start(
        user,
        method="saml",
        expires_at=assertion.session_ends,
        name_id=assertion.name_id,
        session_index=assertion.session_index,
        issuer=assertion.issuer,
    )
    db.session.commit()
    audit.record("authn_login_success", user_id=user_id, method="saml", detail=about)
    return set_cookie
