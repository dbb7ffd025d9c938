"""A maintenance on purpose: the flag that a person sets, and what Nginx and the page are told of it."""

from __future__ import annotations

import datetime
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from watcher.site import shown

ID = re.compile(r"[a-z0-9]{4,32}", re.ASCII)
DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
LONGEST_MESSAGE = 1000
LONGEST_WORDS = 200
MOST_NETWORKS = 64
LATEST = 253402300799
"""The last second of the year 9999: a moment beyond it has no date."""
DETAIL = "The site is being looked after. Nothing was done with this request."
BEGIN, END = '<!--# block name="message" -->', "<!--# endblock -->"
ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})

Address = ipaddress.IPv4Network | ipaddress.IPv6Network


class FlagError(ValueError):
    """A flag that cannot be used."""


@dataclass(frozen=True)
class Flag:
    """One maintenance: moments are seconds since 1970, 0 where none is known; `expected_words` say it to a person.

    `bypass_digest` is the SHA-256 of the one value that is let past, until `bypass_until`.
    """

    id: str
    since: int
    message: str
    expected: int
    expected_words: str
    allow: tuple[str, ...]
    bypass_digest: str
    bypass_until: int

    def document(self) -> dict[str, Any]:
        """Return the flag as it is told and stored."""
        return asdict(self) | {"allow": list(self.allow)}


def check(given: object) -> Flag:
    """Return the flag in a JSON value; raise FlagError that names what is wrong in it."""
    known = {field.name for field in fields(Flag)}
    if not isinstance(given, dict) or set(given) != known:
        raise FlagError(f"maintenance: got {shown(given)}, wanted an object with {', '.join(sorted(known))}")
    return Flag(
        id=fitting(given, "id", ID, "4 to 32 small letters and digits"),
        since=moment(given, "since"),
        message=words(given, "message", LONGEST_MESSAGE),
        expected=moment(given, "expected"),
        expected_words=words(given, "expected_words", LONGEST_WORDS),
        allow=networks(given["allow"]),
        bypass_digest=fitting(given, "bypass_digest", DIGEST, "64 hexadecimal digits"),
        bypass_until=moment(given, "bypass_until"),
    )


def parse(text: str) -> Flag:
    """Return the flag in a JSON text; raise FlagError."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FlagError(f"maintenance: is not JSON: {error}") from error
    return check(given)


def text(flag: Flag) -> str:
    """Return the flag as JSON, as it is stored."""
    return json.dumps(flag.document(), sort_keys=True) + "\n"


def fitting(given: Mapping[str, Any], key: str, form: re.Pattern[str], wanted: str) -> str:
    """Return a value of some form; raise FlagError."""
    value = given[key]
    if not isinstance(value, str) or not form.fullmatch(value):
        raise FlagError(f"maintenance: {key}: got {shown(value)}, wanted {wanted}")
    return value


def moment(given: Mapping[str, Any], key: str) -> int:
    """Return seconds since 1970; raise FlagError."""
    value = given[key]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LATEST:
        raise FlagError(f"maintenance: {key}: got {shown(value)}, wanted seconds since 1970, or 0 for none")
    return value


def words(given: Mapping[str, Any], key: str, longest: int) -> str:
    """Return a text that may be written anywhere; raise FlagError."""
    value = given[key]
    if not isinstance(value, str) or len(value) > longest or re.search(r"[\x00-\x09\x0b-\x1f\x7f\ud800-\udfff]", value):
        raise FlagError(
            f"maintenance: {key}: wanted a text of at most {longest} characters, without control characters"
        )
    return value


def networks(value: object) -> tuple[str, ...]:
    """Return networks as CIDR; raise FlagError for what is none, or for one that lets everybody past."""
    if not isinstance(value, list) or len(value) > MOST_NETWORKS:
        raise FlagError(f"maintenance: allow: got {shown(value)}, wanted a list of at most {MOST_NETWORKS} networks")
    found = []
    for entry in value:
        try:
            network = ipaddress.ip_network(entry if isinstance(entry, str) and "%" not in entry else "")
        except ValueError as error:
            raise FlagError(f"maintenance: allow: got {shown(entry)}, wanted a network: {error}") from error
        if network.prefixlen == 0:
            raise FlagError(f"maintenance: allow: got {shown(entry)}, which lets everybody past")
        found.append(str(network))
    return tuple(dict.fromkeys(found))


def nginx_text(flag: Flag | None) -> str:
    """Return what Nginx reads: a word and what it is a line; nothing where no maintenance is on."""
    if flag is None:
        return ""
    lines = [
        f"id {flag.id}",
        f"detail {json.dumps(flag.message or DETAIL)}",
        f"expected {flag.expected}",
        f"expected_html {expected_html(flag)}",
        f"expected_iso {iso(flag.expected)}",
        f"bypass_digest {flag.bypass_digest}",
        f"bypass_until {flag.bypass_until}",
    ]
    for entry in flag.allow:
        network = ipaddress.ip_network(entry)
        lines.append(f"allow {network.network_address.packed.hex()} {network.prefixlen}")
    return "\n".join(lines) + "\n"


def iso(seconds: int) -> str:
    """Return a moment as machines read it, in UTC."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def expected_html(flag: Flag) -> str:
    """Return the sentence that tells the expected end, or nothing."""
    if not flag.expected:
        return ""
    said = escaped(flag.expected_words or iso(flag.expected)).replace("\n", " ")
    return f'<p class="expected">Expected to end: <time datetime="{iso(flag.expected)}">{said}</time></p>'


def page(html: str, flag: Flag) -> str:
    """Return the page with the flag's message in the place of its own, or at its end where it has no such place."""
    if not flag.message:
        return html
    before, begin, rest = html.partition(BEGIN)
    _, end, after = rest.partition(END)
    said = escaped(flag.message)
    return f"{before}{said}{after}" if begin and end else f"{html}\n<p>{said}</p>\n"


def escaped(words: str) -> str:
    """Return words as they may stand in HTML; the image's small Python has no module for it."""
    return words.translate(ESCAPES)
