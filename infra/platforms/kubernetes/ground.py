"""What is there before any workload starts: namespace, images, accounts, claims, files and policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from infra.model import Job, Service, System
from infra.platforms.contract import Former
from infra.platforms.kubernetes import account, cluster, files, image, network, ready, stack, volume
from infra.platforms.kubernetes.files import Held
from infra.platforms.kubernetes.pod import Surroundings
from infra.platforms.kubernetes.ready import Ready
from infra.platforms.kubernetes.resource import Object
from infra.platforms.kubernetes.stack import Stack
from infra.platforms.kubernetes.volume import Place
from infra.settings import Settings


@dataclass(frozen=True)
class Ground:
    """What workloads stand on, by the names that the system gives it."""

    stack: Stack
    namespace: Ready
    guarded: Ready
    images: Mapping[tuple[str, str], pulumi.Output[str]]
    processors: str
    accounts: Mapping[str, Object]
    claims: Mapping[str, Object]
    held: Mapping[str, Held]
    places: Mapping[str, Place]

    def around(self, each: Service | Job) -> Surroundings:
        """Return what a workload's pods are put into."""
        return Surroundings(
            self.images[each.workload.image.key], self.processors, self.held[each.identity], self.places
        )

    def claims_of(self, each: Service | Job) -> list[Object]:
        """Return the claims that a workload's pods mount."""
        return [self.claims[place.claim] for place in volume.claimed_by(each, self.places)]

    def under(self, each: Service | Job, *more: Object) -> Ready:
        """Wait for whatever a workload's pods cannot start without."""
        return ready.every([self.guarded, ready.made(self.accounts[each.identity], *self.claims_of(each), *more)])


def lay(system: System, settings: Settings, former: Former) -> Ground:
    """Declare all of it; what cannot be is refused before the first object is declared."""
    places = volume.plan(system)
    within, namespace = stack.create(system, settings)
    controls = any(service.controls for service in system.services)
    policies = network.plan(
        system, cluster.api_ports(within.client) if controls else (), solver=bool(settings.kubernetes.tls.issuer)
    )
    processors = image.built_for(within, settings)
    images = image.create(within, system, settings, former, processors)
    pull_secret = image.pull_secret(within, settings.kubernetes.registry, namespace)
    return Ground(
        stack=within,
        namespace=namespace,
        # Nothing starts before the policies are there: its first second is as closed as every other.
        guarded=ready.every([namespace, ready.made(*network.create(within, policies, namespace))]),
        images=images,
        processors=processors,
        accounts=account.create(within, system, pull_secret, namespace),
        claims=volume.create(within, system, settings, namespace),
        held={
            each.identity: files.create(within, each.identity, each.workload.files, namespace)
            for each in system.identities
        },
        places=places,
    )
