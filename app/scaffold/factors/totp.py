"""Codes from an authenticator app (RFC 6238)."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, func
from sqlalchemy.orm import Mapped, mapped_column

from ..database import Model
from ..moments import Moment


class Totp(Model):
    """A user's authenticator app: its seed, encrypted, and the step of the last code that was taken."""

    __tablename__ = "totps"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    seed: Mapped[bytes] = mapped_column(LargeBinary)
    last_step: Mapped[int] = mapped_column(BigInteger, default=0)
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    confirmed_at: Mapped[datetime | None] = mapped_column(Moment)
