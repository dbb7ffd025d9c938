"""Tells somebody who waits how a restore goes on, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from backup import line
from restore import receipt, state
from restore.settings import Settings

LOOK_SECONDS = 0.3
STALE_SECONDS = 60.0
TOLD_SECONDS = 30.0

Receipt = Mapping[str, Any]

# Each step as somebody who waits reads it.
WORDS = {
    "claim": "taking it from the queue",
    "validate": "reading it to its end",
    "load": "loading it beside the live database",
    "verify": "looking at what was loaded",
    "stop": "stopping the site",
    "fence": "shutting the live database",
    "swap": "exchanging the two databases' names",
    "open": "opening the new database",
    "upgrade": "bringing the schema up to the release",
    "start": "starting the site",
    "file": "writing the receipt",
    "halt": "going back: stopping the site",
    "back": "going back: exchanging the names",
    "reopen": "going back: opening the database as it was",
    "restart": "going back: starting the site",
    "discard": "going back: dropping what was loaded",
}


def newest(chosen: Settings) -> str:
    """Return the job of the newest receipt there is; empty without any."""
    found = receipt.read(chosen.folder("receipts"))
    return str(found[0].get("job", "")) if found else ""


def follow(chosen: Settings, since: str, mine: Callable[[Receipt], bool]) -> int:
    """Print how it goes on until there is a receipt after `since` that is waited for; return 0 for a success."""
    told, warned = "", time.monotonic()
    while True:
        for one in receipt.read(chosen.folder("receipts")):
            if str(one.get("job", "")) > since and mine(one):
                return ended(one)
        found, age = state.read(chosen.state)
        words = where(found)
        if words != told:
            told = words
            line.say("info", words)
        if time.monotonic() - warned > TOLD_SECONDS and (not found or age > STALE_SECONDS or found["status"] == "held"):
            warned = time.monotonic()
            why = found.get("reason") or "it does not write its state: does it run?"
            line.say("warning", f"the restore service does nothing: {why}")
        time.sleep(LOOK_SECONDS)


def where(found: Mapping[str, Any]) -> str:
    """Return in words how far the service is."""
    job = found.get("job")
    if not isinstance(job, dict):
        return f"waiting: {', '.join(found.get('queue', ())) or 'nothing'} in the queue"
    progress = job.get("progress") or {}
    more = f", {progress['table']}" if progress.get("table") else ""
    if progress.get("of"):
        more += f", {100 * float(progress.get('bytes', 0)) / float(progress['of']):.0f} %"
    if progress.get("waiting"):
        more += f"; it waits: {progress['waiting']}"
    return f"{job.get('file') or job.get('kind')}: {WORDS.get(str(job.get('step')), 'beginning')}{more}"


def ended(one: Receipt) -> int:
    """Print a receipt's gist and return 0 for a success."""
    if one.get("outcome") == "done":
        line.say(
            "info", "restored", job=one.get("job"), rows=one.get("rows"), downtime_seconds=one.get("downtime_seconds"),
            discarded=one.get("discarded"), previous=one.get("previous"), kept_until=one.get("kept_until"),
        )  # fmt: skip
        return 0
    line.say("error", f"{one.get('outcome')}: {one.get('reason')}", job=one.get("job"), file=one.get("file"))
    return 1
