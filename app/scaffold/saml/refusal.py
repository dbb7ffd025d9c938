"""Why a message of an identity provider, or of whoever claims to be one, is not taken."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from types import MappingProxyType

NOTHING: Mapping[str, str] = MappingProxyType({})
MALFORMED, FORBIDDEN, TOO_LARGE = 400, 403, 413


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault
    """A message that is not taken: the reason is a code for the audit log, and never shown to whoever sent it.

    `detail` says in words what was found, for the log too, as does `user_id` where it is known who is kept out.
    """

    def __init__(
        self,
        reason: str,
        status: int = FORBIDDEN,
        detail: Mapping[str, str] = NOTHING,
        user_id: uuid.UUID | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.detail = detail
        self.user_id = user_id
