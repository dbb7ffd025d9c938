"""The release that was tried last, whether or not it came to serve: it may have moved the schema all the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pulumi
import pulumi_random

from infra import bundle, history
from infra.bundle import Bundle, Kept
from infra.model import System
from infra.origin import Origin
from infra.platforms.contract import Serving
from infra.settings import Settings

NAME = "attempt"
STASH = f"pulumi:index:Stash::{NAME}"


def marked(system: System) -> System:
    """Return the system with a mark that is new whenever another release is tried than the time before.

    Going back after a release that failed, what is unchanged since is looked at again: the schema may have moved.
    """
    made = pulumi_random.RandomId(NAME, byte_length=8, keepers={"release": system.release})
    return replace(system, attempt=made.hex)


def remember(
    settings: Settings, release: str, made: Bundle, serving: Serving, origin: Origin, tried: Sequence[Kept]
) -> None:
    """Keep what is tried in the state, before it serves; a pinned release only then.

    Where the schema is taken back for it, what knows the way stays remembered, so that the next update is the same.
    """
    if settings.release_downgrade:
        known: pulumi.Output[str] = pulumi.Output.secret(bundle.written(tried[:1]))
        pulumi.Stash(NAME, input=known)
        return
    name: pulumi.Input[str] = serving.release if settings.release else release

    def text(found: list[object]) -> str:
        release, digest, document = found
        return bundle.written([Kept(str(release), "", origin.revision, str(digest), document)])  # type: ignore[arg-type]

    content = pulumi.Output.all(name, serving.digest, bundle.document(made)).apply(text)
    secret: pulumi.Output[str] = pulumi.Output.secret(content)
    pulumi.Stash(NAME, input=secret)


def before(settings: Settings, kept: Sequence[Kept]) -> tuple[Kept, ...]:
    """Return the kept bundles with the one that was tried last in front, where the schema is to be taken back.

    Only then is it read: the engine tells all that every resource knows, and that takes its time.
    """
    if not settings.release_downgrade:
        return tuple(kept)
    answer = history.ask("pulumi:pulumi:readStackResourceOutputs", {"stackName": history.own_name()})
    for urn, resource in (answer.get("outputs") or {}).items():
        if str(urn).endswith(STASH):
            tried = bundle.read(str(resource["outputs"].get("input") or ""))
            return (*tried, *(each for each in kept if each.release not in {one.release for one in tried}))
    return tuple(kept)
