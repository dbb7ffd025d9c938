"""Slowing down those who guess: counted in the database, so that all workers and replicas count together."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from .database import Model
from .moments import Moment


class Throttle(Model):
    """How often something was guessed wrong, and until when it is not listened to."""

    __tablename__ = "throttles"

    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    scope: Mapped[str] = mapped_column(String(32))
    failures: Mapped[int]
    locks: Mapped[int]
    blocked_until: Mapped[datetime | None] = mapped_column(Moment)
    changed_at: Mapped[datetime] = mapped_column(Moment, index=True)
