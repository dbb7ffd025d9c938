"""What has to be there before something else starts, and what runs a job again when it changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pulumi

from infra.platforms.kubernetes.resource import Object


@dataclass(frozen=True)
class Ready:
    """Resources to wait for, and the uids of the objects behind them."""

    resources: tuple[pulumi.Input[pulumi.Resource], ...] = ()
    ids: tuple[pulumi.Input[str], ...] = ()


def made(*objects: Object) -> Ready:
    """Wait until objects exist."""
    return Ready(tuple(objects))


def checked(found: pulumi.Output[Object], *made_with: Object) -> Ready:
    """Wait for an object that was looked at; its uid, and those of what it was made with, change when they are new."""
    return Ready((found,), (found.apply(lambda each: each.uid), *(each.uid for each in made_with)))


def every(parts: Iterable[Ready]) -> Ready:
    """Wait for all of it."""
    listed = list(parts)
    return Ready(
        tuple(resource for part in listed for resource in part.resources),
        tuple(identity for part in listed for identity in part.ids),
    )
