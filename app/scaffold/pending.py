"""Signing in half done: the password was right, and the second factor is still to come."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from .database import Model
from .moments import Moment


class PendingSignIn(Model):
    """Whose password was right at which browser; it opens nothing but the page that asks for the second factor."""

    __tablename__ = "pending_sign_ins"

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[datetime] = mapped_column(Moment)
