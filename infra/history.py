"""The bundles of former releases, read from the stack's own outputs as the last update left them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.runtime import invoke

from infra import bundle
from infra.bundle import Kept

OUTPUT = "bundles"
PATIENCE_SECONDS = 10.0
PAUSE_SECONDS = 0.1


def own_name() -> str:
    """Return the stack's full name, as every backend knows it."""
    return f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"


def of_this_stack() -> tuple[Kept, ...]:
    """Return the kept bundles, newest first; raise RunError where they cannot be read.

    Asked of the engine, at once: what a release is called has to be known before the first resource is declared.
    """
    found = ask("pulumi:pulumi:readStackOutputs", {"name": own_name()}).get("outputs") or {}
    try:
        return bundle.read(str(found.get(OUTPUT) or ""))
    except bundle.UnreadableError as error:
        raise pulumi.RunError(
            f"the stack's output {OUTPUT!r}: {error}; it is written by a newer version of this program, or by hand. "
            "Nothing was changed. Use that version"
        ) from error


def ask(question: str, arguments: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what the engine says of the state; raise RunError with its words when it cannot read it.

    It writes the state into a folder in place, and may be doing just that: half a file is read again in a moment.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return invoke(question, dict(arguments)).value or {}
        except Exception as error:  # what the SDK raises has no type of its own
            if time.monotonic() > until:
                raise pulumi.RunError(f"the stack's state cannot be read; nothing was changed: {error}") from error
            time.sleep(PAUSE_SECONDS)
