"""The bundles of former releases, read from the stack's own outputs as the last update left them."""

from __future__ import annotations

import pulumi
from pulumi.runtime import invoke

from infra import bundle
from infra.bundle import Kept

OUTPUT = "bundles"


def own_name() -> str:
    """Return the stack's full name, as every backend knows it."""
    return f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"


def of_this_stack() -> tuple[Kept, ...]:
    """Return the kept bundles, newest first; raise RunError where they cannot be read.

    Asked of the engine, at once: what a release is called has to be known before the first resource is declared.
    """
    answer = invoke("pulumi:pulumi:readStackOutputs", {"name": own_name()})
    found = (answer.value or {}).get("outputs") or {}
    try:
        return bundle.read(str(found.get(OUTPUT) or ""))
    except bundle.UnreadableError as error:
        raise pulumi.RunError(
            f"the stack's output {OUTPUT!r}: {error}; it is written by a newer version of this program, or by hand. "
            "Nothing was changed. Use that version"
        ) from error
