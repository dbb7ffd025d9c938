"""When the certificates end by which people sign in: what a watch is told, so that nobody is surprised."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from . import trust
from .settings import Saml

METRIC = "scaffold_saml_certificate_end_timestamp_seconds"


@dataclass(frozen=True)
class End:
    """Whose certificate ends when, and whether it is the one in use or the next."""

    whose: Literal["provider", "site"]
    use: Literal["now", "next"]
    thumbprint: str
    at: datetime


def ends(saml: Saml) -> list[End]:
    """Return the end of every certificate that is trusted, and of the site's own."""
    found = [End("provider", "now", one.certificate.thumbprint, one.certificate.ends) for one in trust.known(saml)]
    if saml.certificate is not None:
        found.append(End("site", "now", saml.certificate.thumbprint, saml.certificate.ends))
    if saml.certificate_new is not None:
        found.append(End("site", "next", saml.certificate_new.thumbprint, saml.certificate_new.ends))
    return found


def text(found: Iterable[End]) -> str:
    """Return the ends in Prometheus' text format."""
    lines = [
        f"# HELP {METRIC} When a certificate of signing in ends, in seconds since 1970; the same on every replica.",
        f"# TYPE {METRIC} gauge",
    ]
    for one in found:
        labels = f'whose="{one.whose}",use="{one.use}",thumbprint="{one.thumbprint}"'
        lines.append(f"{METRIC}{{{labels}}} {one.at.timestamp():.0f}")
    return "\n".join(lines) + "\n"
