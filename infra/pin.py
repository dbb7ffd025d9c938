"""The pin: whether a stack can run a former release, and what the schema has to do with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from infra import bundle
from infra.bundle import Bundle, Kept

UNPIN = "go on with what is in the clone: pulumi config rm release (or make unpin)"


@dataclass(frozen=True)
class Downgrade:
    """Taking the schema back: with a release that knows the way, to the revision that the pinned one knows last."""

    through: Bundle
    to: str


class RefusedError(pulumi.RunError):
    """A pinned release that cannot run; nothing has been changed."""

    def __init__(self, why: str, way_out: str) -> None:
        super().__init__(f"release: {why}. Nothing was changed. {way_out}")


def find(release: str, history: Sequence[Kept]) -> Kept:
    """Return the kept bundle of a release; raise RefusedError naming those that there are."""
    for kept in history:
        if release in kept.names:
            return kept
    known = ", ".join(kept.release for kept in history) or "none yet"
    raise RefusedError(
        f"got {release!r}, wanted one of the releases that are kept ({known})",
        f"Name one of those: pulumi config set release ID, or {UNPIN}",
    )


def downgrade(
    kept: Kept, history: Sequence[Kept], today: Bundle, credentials: Sequence[str], *, allowed: bool
) -> Downgrade | None:
    """Return how the schema has to be taken back for a kept release, or None where it can live with what is there.

    Raise RefusedError where it has to be and that is not allowed. `history` is newest first, and its newest bundle
    stands for the schema as it is: the migration itself looks at the database once more.
    """
    broken = breaking(kept, history)
    if not broken or not kept.steps:
        return None
    head = kept.steps[-1].revision
    if not allowed:
        raise RefusedError(
            f"release {kept.release} knows the schema up to revision {head} and cannot live with what came after "
            f"({', '.join(broken)}: not declared compatible)",
            "Take the schema back first, through the newer image, and lose what only the newer schema holds: "
            "make rollback ARGS='--with-downgrade' (or pulumi config set releaseDowngrade true); or restore a backup "
            f"from before; or {UNPIN}",
        )
    return Downgrade(bundle.restored(history[0], today, credentials), head)


def breaking(kept: Kept, history: Sequence[Kept]) -> list[str]:
    """Return the revisions of the newest release that a kept one can neither know nor live with, oldest first."""
    known = {step.revision for step in kept.steps}
    return [step.revision for step in history[0].steps if step.revision not in known and not step.compatible]
