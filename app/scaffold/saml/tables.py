"""What SAML keeps in the database."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ..database import Model
from ..moments import Moment


class Transaction(Model):
    """A request that was sent to the identity provider: whose browser it is, and where that wants to go after."""

    __tablename__ = "saml_transactions"

    request_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    # Only a digest of what the browser's cookie holds.
    browser: Mapped[bytes] = mapped_column(LargeBinary)
    relay_state: Mapped[str] = mapped_column(String(64))
    return_path: Mapped[str] = mapped_column(String(2000))
    # The session that the browser has now: its cookie does not come with the answer, and it is to end with that.
    former_session: Mapped[bytes | None] = mapped_column(LargeBinary)
    forced: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment, index=True)
    consumed_at: Mapped[datetime | None] = mapped_column(Moment)


class ConsumedMessage(Model):
    """An assertion or a logout request that was taken, and must not be again for as long as it would be valid."""

    __tablename__ = "consumed_messages"

    issuer: Mapped[str] = mapped_column(String(255), primary_key=True)
    message_id: Mapped[str] = mapped_column(String(256), primary_key=True)
    kept_until: Mapped[datetime] = mapped_column(Moment, index=True)


class Provider(Model):
    """The last good copy of what an identity provider's metadata says, so that a start needs nobody else's server."""

    __tablename__ = "saml_providers"

    entity_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    sso_url: Mapped[str | None] = mapped_column(Text)
    slo_url: Mapped[str | None] = mapped_column(Text)
    fetched_at: Mapped[datetime | None] = mapped_column(Moment)
    next_fetch_at: Mapped[datetime] = mapped_column(Moment)
    problem: Mapped[str | None] = mapped_column(String(500))


class TrustedCertificate(Model):
    """A certificate that was in the metadata: it is trusted until it ends or somebody ends that by hand."""

    __tablename__ = "saml_certificates"

    entity_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    pem: Mapped[str] = mapped_column(Text)
    ends_at: Mapped[datetime] = mapped_column(Moment)
    first_seen_at: Mapped[datetime] = mapped_column(Moment)
    last_seen_at: Mapped[datetime] = mapped_column(Moment)
    distrusted_at: Mapped[datetime | None] = mapped_column(Moment)
