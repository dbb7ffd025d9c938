"""PostgreSQL's log records as the project's log lines, without the values that statements carry."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from server import line

LEVELS = {
    "LOG": "info",
    "INFO": "info",
    "NOTICE": "info",
    "STATEMENT": "info",
    "DETAIL": "info",
    "HINT": "info",
    "WARNING": "warning",
    "ERROR": "error",
    "FATAL": "error",
    "PANIC": "critical",
}
LONGEST = 8192
MASK = "'…'"

# Where a value can stand in a statement: escape, plain and dollar-quoted strings. Comments and names are kept whole, so
# that an apostrophe or dollar inside one opens no string. An unfinished string reaches to the end of the text.
TOKEN = re.compile(
    r"""
    [eE]'(?:[^'\\]|\\.|'')*(?:'|\Z)
  | (?P<keep> --[^\n]* | /\*.*?(?:\*/|\Z) | "(?:[^"]|"")*(?:"|\Z) | [^\W\d][\w$]* )
  | '(?:[^']|'')*(?:'|\Z)
  | \$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)
    """,
    re.VERBOSE | re.DOTALL,
)
DURATION = re.compile(r"(duration: [\d.]+ ms  (?:statement|parse|bind|execute)[^:]*: )(.*)", re.DOTALL)
LAST_VALUE = re.compile(r': ".*"', re.DOTALL)
EARLY = re.compile(r"(?P<stamp>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) UTC \[(?P<pid>\d+)\] (?P<rest>.*)", re.DOTALL)
SEVERITY = re.compile(r"(?P<severity>[A-Z]+[1-5]?):\s+(?P<message>.*)", re.DOTALL)
RENAMED = {
    "pid": "pid",
    "user": "user",
    "dbname": "database",
    "remote_host": "client",
    "application_name": "application",
    "backend_type": "process",
    "hint": "hint",
}


def masked(statement: str) -> str:
    """Return SQL with every string in it replaced, and nothing else changed."""
    return TOKEN.sub(lambda found: found["keep"] or MASK, statement)


def shortened(text: str) -> str:
    """Return the text, cut where it is longer than a log line's field may be."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def level_of(severity: str) -> str:
    """Return the project's level for a severity of PostgreSQL."""
    return LEVELS.get(severity, "debug" if severity.startswith("DEBUG") else "info")


def moment(stamp: str) -> str:
    """Return PostgreSQL's time in UTC as ISO 8601, or the present time when it has another form."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC", stamp):
        return f"{stamp[:10]}T{stamp[11:23]}Z"
    return str(line.entry("info", "")["timestamp"])


def translate(record: Mapping[str, object]) -> dict[str, object]:
    """Return one record of PostgreSQL's JSON log as a log line.

    Values never come along: strings in statements are masked, and details that quote rows (SQLSTATE classes 22 and 23)
    or data being copied are left out.
    """
    state = str(record.get("state_code", "00000"))
    quotes_values = state[:2] in ("22", "23")
    message = str(record.get("message", ""))
    slow = DURATION.fullmatch(message)
    if slow:
        message = slow[1] + masked(slow[2])
    elif state[:2] == "22":
        message = LAST_VALUE.sub(': "…"', message)
    fields = line.entry(level_of(str(record.get("error_severity", "LOG"))), shortened(message))
    fields["timestamp"] = moment(str(record.get("timestamp", "")))
    for theirs, ours in RENAMED.items():
        if record.get(theirs) not in (None, ""):
            fields[ours] = record[theirs]
    if state != "00000":
        fields["sqlstate"] = state
    if record.get("detail") and not quotes_values:
        fields["detail"] = shortened(masked(str(record["detail"])))
    for name in ("statement", "internal_query"):
        if record.get(name):
            fields[name] = shortened(masked(str(record[name])))
    if record.get("context"):
        fields["context"] = shortened(LAST_VALUE.sub(': "…"', masked(str(record["context"]))))
    return fields


def parse(text: str) -> dict[str, object]:
    """Return the log line for one line of a JSON log file; text that is no record becomes a message."""
    try:
        record = json.loads(text)
    except ValueError:
        record = None
    return translate(record) if isinstance(record, dict) else early(text)


def early(text: str) -> dict[str, object]:
    """Return the log line for output outside the JSON log: initdb's, and the server's before its collector runs."""
    stamped = EARLY.fullmatch(text)
    rest = stamped["rest"] if stamped else text
    graded = SEVERITY.fullmatch(rest)
    known = graded is not None and (graded["severity"] in LEVELS or graded["severity"].startswith("DEBUG"))
    if graded is None or not known:
        fields = line.entry("info", shortened(rest))
    else:
        fields = line.entry(level_of(graded["severity"]), shortened(graded["message"]))
    if stamped:
        fields["timestamp"] = moment(f"{stamped['stamp']} UTC")
        fields["pid"] = int(stamped["pid"])
    return fields
