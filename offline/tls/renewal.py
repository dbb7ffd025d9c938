"""When a certificate is renewed: at its end, or as many hours before as its inputs say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from offline.plugin.errors import PluginError
from offline.plugin.values import Value
from offline.tls.schema import whole


def written(moment: datetime) -> str:
    """Return a moment as the state holds it."""
    return moment.isoformat().replace("+00:00", "Z")


def due(state: Mapping[str, Value], early_hours: Value, now: datetime) -> bool:
    """Say whether the time has come for a certificate in the state; one of unknown hours is not judged."""
    ends = state.get("validityEndTime")
    if not isinstance(ends, str) or not isinstance(early_hours, int):
        return False
    try:
        end = datetime.fromisoformat(ends)
        return end - timedelta(hours=early_hours) <= now
    except (ValueError, TypeError) as error:
        raise PluginError(f"SelfSignedCert: validityEndTime in the state is {ends!r}, which is no time") from error
    except OverflowError:
        return True


def from_the_start(full: Mapping[str, Value]) -> bool:
    """Say whether a certificate of such inputs is due as soon as it is made."""
    validity, early = full["validityPeriodHours"], full["earlyRenewalHours"]
    if not isinstance(validity, int):
        return False
    return validity == 0 or (isinstance(early, int) and whole(early) >= validity)
