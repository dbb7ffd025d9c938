"""The identity provider as it is trusted right now, whatever says so."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Provider:
    """Where the identity provider is asked, and which certificates its signatures are held against."""

    entity_id: str
    sso_url: str | None
    slo_url: str | None
    certificates: tuple[str, ...]
