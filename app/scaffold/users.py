"""The people who may sign in, and what an identity provider knows them by."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import JSON, Boolean, ForeignKey, Index, String, delete, false, func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from .database import Model, db
from .moments import Moment, now

ADMIN = "admin"
LONGEST_NAME = 200
Names = JSON().with_variant(JSONB(), "postgresql")


class Refused(Exception):  # noqa: N818 - it is an answer, not a fault
    """Somebody may not sign in; the reason is a code for the audit log, and never shown to whoever asks."""

    def __init__(self, reason: str, user_id: uuid.UUID | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.user_id = user_id


class User(Model):
    """A person, known by an opaque id.

    A local account signs in with its address and a password: there the address is unique, whatever its case. What an
    identity provider says of an address is shown and never looked up: addresses move from one person to another.
    """

    __tablename__ = "users"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    email: Mapped[str | None] = mapped_column(String(254))
    display_name: Mapped[str | None] = mapped_column(String(LONGEST_NAME))
    roles: Mapped[list[str]] = mapped_column(Names, default=list, server_default="[]")
    local: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    disabled_at: Mapped[datetime | None] = mapped_column(Moment)

    __table_args__ = (
        Index(
            "uq_users_email_lower",
            text("lower(email)"),
            unique=True,
            postgresql_where=text("local"),
            sqlite_where=text("local"),
        ),
    )

    @property
    def name(self) -> str:
        """What the person is called on pages."""
        return self.display_name or self.email or str(self.id)


class KnownAs(Model):
    """Whom an identity provider means: three words of which none ever changes, unlike addresses and names."""

    __tablename__ = "identities"

    issuer: Mapped[str] = mapped_column(String(255), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(255), primary_key=True)
    object_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())


@dataclass(frozen=True)
class Identity:
    """Who somebody is to an identity provider; a provider without tenants has an empty one."""

    issuer: str
    object_id: str
    tenant: str = ""


@dataclass(frozen=True)
class Attributes:
    """What an identity provider says about somebody this time; None leaves what is known."""

    email: str | None = None
    display_name: str | None = None
    roles: tuple[str, ...] | None = None


def sign_in_with(identity: Identity, attributes: Attributes) -> User:
    """Return the user of an identity, made at the first time; raise `Refused` for one who is disabled.

    The caller commits. Whoever's roles have changed is signed out everywhere else.
    """
    user = of_identity(identity)
    if user is None:
        user = made_for(identity, attributes)
    if user.disabled_at is not None:
        raise Refused("disabled", user.id)
    update(user, attributes)
    return user


def of_identity(identity: Identity) -> User | None:
    """Return the user whom an identity provider knows by these words."""
    return db.session.scalar(
        select(User)
        .join(KnownAs, KnownAs.user_id == User.id)
        .where(
            KnownAs.issuer == identity.issuer,
            KnownAs.tenant == identity.tenant,
            KnownAs.object_id == identity.object_id,
        )
    )


def made_for(identity: Identity, attributes: Attributes) -> User:
    """Return a new user for an identity, or the one that another request makes for it at the same time."""
    try:
        with db.session.begin_nested():
            user = User(id=uuid.uuid4(), roles=list(attributes.roles or ()))
            db.session.add(user)
            db.session.flush()
            db.session.add(
                KnownAs(issuer=identity.issuer, tenant=identity.tenant, object_id=identity.object_id, user_id=user.id)
            )
            db.session.flush()
    except IntegrityError:
        known = of_identity(identity)
        if known is None:
            raise
        return known
    return user


def update(user: User, attributes: Attributes) -> None:
    """Write down what is said about somebody this time; changed roles end the sessions that began with others."""
    if attributes.email is not None:
        user.email = attributes.email[:254]
    if attributes.display_name is not None:
        user.display_name = attributes.display_name[:LONGEST_NAME]
    if attributes.roles is not None and sorted(set(attributes.roles)) != sorted(user.roles):
        give_roles(user, attributes.roles)
    db.session.flush()


def give_roles(user: User, roles: tuple[str, ...]) -> None:
    """Change somebody's roles and end their sessions; the caller commits."""
    from . import sessions

    user.roles = sorted(set(roles))
    db.session.execute(delete(sessions.Row).where(sessions.Row.user_id == user.id))


def local_of(email: str) -> User | None:
    """Return the local account with an address, whatever its case."""
    return db.session.scalar(select(User).where(func.lower(User.email) == email.lower(), User.local))


def disable(user: User) -> None:
    """Keep somebody out from now on, and end their sessions; the caller commits."""
    from . import sessions

    user.disabled_at = user.disabled_at or now()
    db.session.execute(delete(sessions.Row).where(sessions.Row.user_id == user.id))


def enable(user: User) -> None:
    """Let somebody in again; the caller commits."""
    user.disabled_at = None
