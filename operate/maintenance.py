"""`make maintenance ON|OFF`: everybody gets the page on purpose, until somebody says that it is over."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import ipaddress
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

from operate import platforms
from operate.flag import Flag, Order
from operate.moment import placed, zone_of
from operate.request import Request
from setup.problem import Problem

VARIABLES = ("MESSAGE", "UNTIL", "ALLOW")
LONGEST_MESSAGE = 1000
MOST_NETWORKS = 64
FARTHEST_DAYS = 366
BYPASS_SECONDS = 24 * 3600
BYPASS_BEYOND_SECONDS = 12 * 3600
USUAL_SITE = "http://localhost:8000"
LINK = "/gateway/staff?pass="
WANTED_UNTIL = (
    'UNTIL="2026-11-25 22:00" in this machine\'s own time, or with a zone after it: UTC, Europe/Berlin or +01:00'
)
MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d)\s*(\S+)?", re.ASCII)


@dataclass(frozen=True)
class Expected:
    """The expected end: seconds since 1970, and words for a person; 0 and none where nobody knows it."""

    seconds: int = 0
    words: str = ""


def run(request: Request) -> int:
    """Turn the maintenance on or off, or tell how it is; what cannot be meant is refused before anything changes."""
    words = list(request.arguments)
    given = {name: request.environment[name] for name in VARIABLES if request.environment.get(name)}
    if words not in ([], ["ON"], ["OFF"]):
        raise Problem(
            f"make maintenance got {' '.join(words)!r}.",
            "make maintenance ON begins it, make maintenance OFF ends it, make maintenance tells how it is",
        )
    if given and words != ["ON"]:
        raise Problem(
            f"{', '.join(given)} goes with make maintenance ON alone.",
            f"make maintenance {' '.join(words)} without it".replace("  ", " "),
        )
    platform = platforms.of(request)
    if words == ["ON"]:
        flag, value = begin(given, time.time())
        platform.maintenance(request, Order(flag=flag))
        for line in [*told(flag, request.stack), *way_past(flag, value, request.setting("siteUrl") or USUAL_SITE)]:
            request.terminal.say(line)
        return 0
    on = platform.maintenance(request, Order(look=not words))
    for line in told(on, request.stack):
        request.terminal.say(line)
    return 0


def begin(given: Mapping[str, str], now: float) -> tuple[Flag, str]:
    """Return the flag of a maintenance that begins, and the value that is let past it; raise Problem."""
    expected = expected_end(given.get("UNTIL", ""), now)
    allow = networks(given.get("ALLOW", ""))
    message = checked(given.get("MESSAGE", ""))
    identity = secrets.token_hex(8)
    until = max(int(now) + BYPASS_SECONDS, expected.seconds + BYPASS_BEYOND_SECONDS)
    value = signed(identity, until)
    digest = hashlib.sha256(value.encode()).hexdigest()
    return Flag(identity, int(now), message, expected.seconds, expected.words, allow, digest, until), value


def signed(identity: str, until: int) -> str:
    """Return the one value that is let past this maintenance until then.

    The key signs it and is forgotten: the gateways keep a digest of the signed value, and whoever reads that, or the
    ConfigMap that holds it, cannot make the value from it.
    """
    body = f"{identity}.{until}"
    signature = hmac.new(secrets.token_bytes(32), body.encode(), hashlib.sha256).digest()
    return f"{body}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def checked(message: str) -> str:
    """Return a message that may stand on the page; raise Problem."""
    if len(message) > LONGEST_MESSAGE:
        raise Problem(f"MESSAGE has {len(message)} characters.", f"say it in {LONGEST_MESSAGE} at the most")
    if found := re.search(r"[\x00-\x09\x0b-\x1f\x7f\ud800-\udfff]", message):
        raise Problem(f"MESSAGE holds the control character {found[0]!r}.", "leave it out; line breaks may stay")
    return message


def networks(given: str) -> tuple[str, ...]:
    """Return the address ranges in a list with commas or blanks between them; raise Problem for what is none."""
    found = []
    for entry in re.split(r"[,\s]+", given.strip(", \t\n")):
        if not entry:
            continue
        try:
            network = ipaddress.ip_network("" if "%" in entry else entry)
        except ValueError as error:
            raise Problem(
                f"ALLOW: got {entry!r}, which is no address range ({error}).", "ALLOW=203.0.113.0/24,2001:db8::/48"
            ) from None
        if network.prefixlen == 0:
            raise Problem(
                f"ALLOW: got {entry!r}, which lets everybody past.", "name your own ranges: ALLOW=203.0.113.0/24"
            )
        found.append(str(network))
    if len(set(found)) > MOST_NETWORKS:
        raise Problem(f"ALLOW has {len(set(found))} ranges.", f"name {MOST_NETWORKS} at the most")
    return tuple(dict.fromkeys(found))


def expected_end(given: str, now: float) -> Expected:
    """Return the expected end; raise Problem for what is no moment, none that is unmistakable, or none to come.

    Without a zone it is a time of this machine's own, by TZ where that is set.
    """
    if not given.strip():
        return Expected()
    found = MOMENT.fullmatch(given.strip())
    try:
        naive = datetime.datetime.strptime(f"{found[1]} {found[2]}", "%Y-%m-%d %H:%M") if found else None  # noqa: DTZ007 - its zone is the next word
    except ValueError:
        naive = None
    if found is None or naive is None:
        raise Problem(f"UNTIL: got {given!r}, which is no date and time.", WANTED_UNTIL)
    zone, name = zone_of(found[3] or "", "UNTIL", given, WANTED_UNTIL)
    moments = placed(naive, zone)
    if len(moments) != 1:
        how = "comes twice" if moments else "never comes"
        raise Problem(
            f"UNTIL: got {given!r}, which {how}: the clocks change that night.",
            f'say it as an offset from UTC: UNTIL="{found[1]} {found[2]} +01:00", or another one',
        )
    (moment,) = moments
    seconds = int(moment.timestamp())
    if seconds <= now:
        here = datetime.datetime.fromtimestamp(now, moment.tzinfo).strftime("%Y-%m-%d %H:%M")
        raise Problem(f"UNTIL: got {given!r}, which has passed: it is {here} there.", WANTED_UNTIL)
    if seconds > now + FARTHEST_DAYS * 24 * 3600:
        raise Problem(f"UNTIL: got {given!r}, which is more than {FARTHEST_DAYS} days ahead.", WANTED_UNTIL)
    return Expected(seconds, in_words(moment, name))


def in_words(moment: datetime.datetime, name: str) -> str:
    """Return a moment as a person reads it, with its zone, since the visitors may be in another one."""
    minutes = int((moment.utcoffset() or datetime.timedelta()).total_seconds()) // 60
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    offset = f"UTC{sign}{hours:02d}:{rest:02d}" if minutes else "UTC"
    zone = f"{name}, {offset}" if name else offset
    return f"{moment.day} {moment.strftime('%B %Y, %H:%M')} ({zone})"


def told(on: Flag | None, stack: str) -> list[str]:
    """Return what is so, in lines for the person who asked."""
    if on is None:
        return [f"No maintenance is on: the stack {stack} serves everybody."]
    lines = [f"A maintenance is on since {at(on.since)}: everybody gets the page with status 503."]
    if on.message:
        lines.append(f"message  {on.message}".replace("\n", "\n         "))
    if on.expected:
        lines.append(f"until    {on.expected_words}" + (", which has passed" if on.expected <= time.time() else ""))
    if on.allow:
        lines.append(f"allowed  {', '.join(on.allow)}")
    lines.append(f"bypass   the link that ON printed, until {at(on.bypass_until)}")
    return [*lines, f"make maintenance OFF STACK={stack} ends it."]


def way_past(flag: Flag, value: str, site: str) -> list[str]:
    """Return the link for staff, and what to know of it."""
    return [
        f"Staff look past it with this link, until {at(flag.bypass_until)}; it is shown this once:",
        f"  {site.rstrip('/')}{LINK}{value}",
    ]


def at(seconds: int) -> str:
    """Return a moment in this machine's own time."""
    return in_words(datetime.datetime.fromtimestamp(seconds).astimezone(), "")
