"""Passkeys and security keys (WebAuthn): a key signs a challenge that was made for one purpose at one browser."""

from __future__ import annotations

import json
import secrets
import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import structlog
from flask import current_app
from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, delete, func, select, update
from sqlalchemy.orm import Mapped, mapped_column

from ..database import Model, db
from ..moments import Moment, now
from ..settings import Settings
from ..users import Names, User

if TYPE_CHECKING:
    from webauthn.helpers.structs import AuthenticatorTransport

log = structlog.stdlib.get_logger(__name__)

LIFETIME = timedelta(minutes=5)
CHALLENGE_BYTES = 32
MOST_KEYS = 10
LONGEST_ANSWER = 16_000
LONGEST_NAME = 100

Purpose = Literal["enrol", "sign in", "prove"]


class Passkey(Model):
    """A user's key: its public half, and how often it says that it has signed."""

    __tablename__ = "passkeys"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    credential_id: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int] = mapped_column(BigInteger)
    transports: Mapped[list[str]] = mapped_column(Names)
    name: Mapped[str] = mapped_column(String(LONGEST_NAME))
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    used_at: Mapped[datetime | None] = mapped_column(Moment)


class Challenge(Model):
    """What a key is to sign, good once, for one purpose, at one browser, for a few minutes."""

    __tablename__ = "challenges"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    purpose: Mapped[str] = mapped_column(String(16))
    bound_to: Mapped[bytes] = mapped_column(LargeBinary)
    challenge: Mapped[bytes] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (Index("ix_challenges_bound_to", "bound_to", "purpose"),)


def site() -> tuple[str, str]:
    """Return what keys are bound to: the site's host, and its whole address."""
    settings: Settings = current_app.extensions["settings"]
    return urlsplit(settings.site_url).hostname or "localhost", settings.site_url


def of_user(user_id: uuid.UUID) -> list[Passkey]:
    """Return a user's keys, the oldest first."""
    return list(db.session.scalars(select(Passkey).where(Passkey.user_id == user_id).order_by(Passkey.created_at)))


def challenged(user_id: uuid.UUID, purpose: Purpose, bound_to: bytes) -> bytes:
    """Return a new challenge; `bound_to` is what this browser is known by. Commits."""
    at = now()
    stale = select(Challenge.id).where(Challenge.expires_at <= at).limit(100).with_for_update(skip_locked=True)
    db.session.execute(delete(Challenge).where(Challenge.id.in_(stale)).execution_options(synchronize_session=False))
    challenge = secrets.token_bytes(CHALLENGE_BYTES)
    db.session.add(
        Challenge(user_id=user_id, purpose=purpose, bound_to=bound_to, challenge=challenge, expires_at=at + LIFETIME)
    )
    db.session.commit()
    return challenge


def to_enrol(user: User, bound_to: bytes) -> str:
    """Return what a browser needs to make a key for a user, as JSON. Commits."""
    import webauthn
    from webauthn.helpers import structs

    settings: Settings = current_app.extensions["settings"]
    user_id, email, name = user.id, user.email or str(user.id), user.name
    known = of_user(user_id)
    options = webauthn.generate_registration_options(
        rp_id=site()[0],
        rp_name=settings.site_name,
        user_id=user_id.bytes,
        user_name=email,
        user_display_name=name,
        challenge=challenged(user_id, "enrol", bound_to),
        timeout=int(LIFETIME.total_seconds() * 1000),
        exclude_credentials=[structs.PublicKeyCredentialDescriptor(id=key.credential_id) for key in known],
        authenticator_selection=structs.AuthenticatorSelectionCriteria(
            user_verification=structs.UserVerificationRequirement.REQUIRED,
            resident_key=structs.ResidentKeyRequirement.DISCOURAGED,
        ),
    )
    return webauthn.options_to_json(options)


def to_sign(user_id: uuid.UUID, purpose: Purpose, bound_to: bytes) -> str | None:
    """Return what a browser needs to have a challenge signed by one of a user's keys, as JSON. Commits."""
    import webauthn
    from webauthn.helpers import structs

    known = [(key.credential_id, key.transports) for key in of_user(user_id)]
    if not known:
        return None
    options = webauthn.generate_authentication_options(
        rp_id=site()[0],
        challenge=challenged(user_id, purpose, bound_to),
        timeout=int(LIFETIME.total_seconds() * 1000),
        allow_credentials=[
            structs.PublicKeyCredentialDescriptor(id=credential, transports=transports_of(names))
            for credential, names in known
        ],
        user_verification=structs.UserVerificationRequirement.REQUIRED,
    )
    return webauthn.options_to_json(options)


def transports_of(names: list[str]) -> list[AuthenticatorTransport]:
    """Return the ways to a key that are known."""
    from webauthn.helpers import structs

    known = {transport.value: transport for transport in structs.AuthenticatorTransport}
    return [known[name] for name in names if name in known]


def consumed(given: str, user_id: uuid.UUID, purpose: Purpose, bound_to: bytes) -> bytes | None:
    """Return the challenge that an answer is to, used up with it; None unless it was made for just this. Commits."""
    answered = challenge_of(given)
    if answered is None:
        return None
    chosen = delete(Challenge).where(
        Challenge.challenge == answered,
        Challenge.user_id == user_id,
        Challenge.purpose == purpose,
        Challenge.bound_to == bound_to,
        Challenge.expires_at > now(),
    )
    found = db.session.execute(chosen.returning(Challenge.id).execution_options(synchronize_session=False)).first()
    # Whatever becomes of the answer: a challenge is answered once.
    db.session.commit()
    return answered if found else None


def challenge_of(given: str) -> bytes | None:
    """Return the challenge that an answer says it is to."""
    from webauthn.helpers import base64url_to_bytes

    if len(given) > LONGEST_ANSWER:
        return None
    try:
        said = json.loads(base64url_to_bytes(json.loads(given)["response"]["clientDataJSON"]))
        return base64url_to_bytes(said["challenge"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def enrol(user_id: uuid.UUID, given: str, name: str, bound_to: bytes) -> bool:
    """Take a new key for a user's and tell whether the answer was right; the caller commits."""
    import webauthn
    from sqlalchemy.exc import IntegrityError
    from webauthn.helpers.exceptions import WebAuthnException

    challenge = consumed(given, user_id, "enrol", bound_to)
    if challenge is None or len(of_user(user_id)) >= MOST_KEYS:
        return False
    rp_id, origin = site()
    try:
        verified = webauthn.verify_registration_response(
            credential=given,
            expected_challenge=challenge,
            expected_rp_id=rp_id,
            expected_origin=origin,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:
        log.info("a passkey was not taken", error=str(error)[:200])
        return False
    passkey = Passkey(
        user_id=user_id,
        credential_id=verified.credential_id,
        public_key=verified.credential_public_key,
        sign_count=verified.sign_count,
        transports=told_transports(given),
        name=name.strip()[:LONGEST_NAME] or "Passkey",
        created_at=now(),
    )
    try:
        with db.session.begin_nested():
            db.session.add(passkey)
            db.session.flush()
    except IntegrityError:
        return False
    return True


def told_transports(given: str) -> list[str]:
    """Return the ways to a key that its browser names, of those that there are."""
    told = json.loads(given)["response"].get("transports", [])
    names = told if isinstance(told, list) else []
    return [transport.value for transport in transports_of([name for name in names if isinstance(name, str)])]


def is_right(user_id: uuid.UUID, given: str, purpose: Purpose, bound_to: bytes) -> bool:
    """Tell whether a challenge was signed by one of a user's keys; the caller commits."""
    import webauthn
    from webauthn.helpers import base64url_to_bytes
    from webauthn.helpers.exceptions import WebAuthnException

    challenge = consumed(given, user_id, purpose, bound_to)
    if challenge is None:
        return False
    rp_id, origin = site()
    try:
        credential_id = base64url_to_bytes(json.loads(given)["rawId"])
        chosen = select(Passkey).where(Passkey.user_id == user_id, Passkey.credential_id == credential_id)
        passkey = db.session.scalar(chosen)
        if passkey is None:
            return False
        verified = webauthn.verify_authentication_response(
            credential=given,
            expected_challenge=challenge,
            expected_rp_id=rp_id,
            expected_origin=origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:
        log.info("a passkey was not taken", error=str(error)[:200])
        return False
    used = (
        update(Passkey)
        .where(Passkey.id == passkey.id, Passkey.sign_count <= verified.new_sign_count)
        .values(sign_count=verified.new_sign_count, used_at=now())
        .returning(Passkey.id)
    )
    return db.session.execute(used.execution_options(synchronize_session=False)).first() is not None


def remove(user_id: uuid.UUID, passkey_id: uuid.UUID | None = None) -> int:
    """Remove one of a user's keys, or all, and return how many there were; the caller commits."""
    chosen = delete(Passkey).where(Passkey.user_id == user_id)
    if passkey_id is not None:
        chosen = chosen.where(Passkey.id == passkey_id)
    return len(db.session.execute(chosen.returning(Passkey.id)).all())
