"""Times as SAML writes them: in UTC, and nothing else."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from .refusal import Refusal

WRITTEN = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?Z")


def read(text: str | None, name: str) -> datetime:
    """Return the time that is written; raise `Refusal` where there is none, or one in another form."""
    if text is None:
        raise Refusal(f"no_{name}")
    found = WRITTEN.fullmatch(text)
    try:
        if found:
            fraction = (found.group(2) or "0")[:6].ljust(6, "0")
            return datetime.strptime(found.group(1), "%Y-%m-%dT%H:%M:%S").replace(microsecond=int(fraction), tzinfo=UTC)
    except ValueError:
        pass
    raise Refusal(f"bad_{name}")


def write(moment: datetime) -> str:
    """Return a time as SAML writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
