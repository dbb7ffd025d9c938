"""What every Docker object of a stack shares: the provider, its names, its labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from infra.platforms.docker.ready import Ready

NEVER_UPDATED_IN_PLACE = ["healthcheck", "init", "tmpfs"]
"""Inputs of a container that the provider takes without doing anything; a change must replace it."""


def name_of(project: str, stack: str, name: str) -> str:
    """Return the name that a Docker object of a stack has on the machine."""
    return f"{project}-{stack}-{name}"


@dataclass(frozen=True)
class Stack:
    """A stack on one Docker daemon: its address, empty for the environment's, and its machine's processors."""

    project: str
    name: str
    host: str
    processors: int
    provider: docker.Provider
    refuse_leftovers: pulumi.ResourceHook

    def object_name(self, name: str) -> str:
        """Return the name that a Docker object has on the machine."""
        return name_of(self.project, self.name, name)

    def cpus(self, limit: str) -> str:
        """Return a limit in processors as Docker takes it: none above what the machine has, which limits nothing."""
        return f"{min(float(limit), self.processors):.1f}"

    def labels(self, service: str, release: str | None) -> dict[str, str]:
        """Return the labels by which an object is found again."""
        own = {"scaffold.project": self.project, "scaffold.stack": self.name, "scaffold.service": service}
        return own | ({"scaffold.release": release} if release else {})

    def options(self, first: Ready | None = None, *, protect: bool = False) -> pulumi.ResourceOptions:
        """Return the options of every object: this provider, and, names being given, the old one deleted first."""
        return pulumi.ResourceOptions(
            provider=self.provider,
            depends_on=list(first.resources) if first else [],
            protect=protect,
            retain_on_delete=protect,
            delete_before_replace=True,
        )

    def container_options(
        self, first: Ready, networks: Sequence[docker.Network] = (), made_anew: Sequence[pulumi.Input[str]] = ()
    ) -> pulumi.ResourceOptions:
        """Return the options of a container: none is created over one that the state does not know.

        It is replaced when one of `made_anew` changes, or a network does: a container holds on to its networks by id,
        and cannot start in one that has been made anew under the same name.
        """
        triggers = [*made_anew, *(network.id for network in networks)]
        return pulumi.ResourceOptions.merge(
            self.options(first),
            pulumi.ResourceOptions(
                replace_on_changes=NEVER_UPDATED_IN_PLACE,
                replacement_trigger=pulumi.Output.all(*triggers) if triggers else None,
                hooks=pulumi.ResourceHookBinding(before_create=[self.refuse_leftovers]),
            ),
        )
