"""What has to be there before something else starts, and what runs a job again when it changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker


@dataclass(frozen=True)
class Ready:
    """Resources to wait for, and the ids of the containers behind them."""

    resources: tuple[pulumi.Input[pulumi.Resource], ...] = ()
    ids: tuple[pulumi.Input[str], ...] = ()


def containers(started: Sequence[docker.Container]) -> Ready:
    """Wait for containers; their ids change when they are made anew."""
    return Ready(tuple(started), tuple(container.id for container in started))


def job(finished: pulumi.Output[docker.Container]) -> Ready:
    """Wait for a job's success; its id changes when it has run again."""
    return Ready((finished,), (finished.apply(lambda container: container.id),))


def passed(finished: pulumi.Output[docker.Container], first: Ready) -> Ready:
    """Wait for a job's success; what was `first` before it is what runs others again, with it and without it."""
    return Ready((finished,), first.ids)


def every(parts: Iterable[Ready]) -> Ready:
    """Wait for all of it."""
    listed = list(parts)
    return Ready(
        tuple(resource for part in listed for resource in part.resources),
        tuple(identity for part in listed for identity in part.ids),
    )
