"""A system as objects of a cluster: namespace, images, policies, then jobs and services in the order that they name."""

from __future__ import annotations

import pulumi

from infra.model import Job, Service, System
from infra.platforms import order
from infra.platforms.kubernetes import (
    account,
    edge,
    files,
    image,
    job,
    network,
    ready,
    rollout,
    serving,
    stack,
    volume,
    workload,
)
from infra.platforms.kubernetes.pod import Surroundings
from infra.platforms.kubernetes.ready import Ready
from infra.settings import Settings

PATIENT_SECONDS = 120
"""How long what is no release may run before it is ready: a database that recovers, for one."""


def run(system: System, settings: Settings) -> pulumi.Output[str]:
    """Declare every resource of the system and return its release, once it serves; in a preview, at once."""
    own = settings.kubernetes
    places = volume.plan(system)
    policies = network.plan(system)
    steps = order.of(system)
    within, namespace = stack.create(system, settings)
    images = image.create(within, system, settings)
    accounts = account.create(within, system, image.pull_secret(within, own.registry, namespace), namespace)
    claims = volume.create(within, system, settings, namespace)
    # Nothing starts before the policies are there: its first second is as closed as every other.
    guarded = ready.every([namespace, ready.made(*network.create(within, policies, namespace))])
    started: dict[str, Ready] = {}
    for each in steps:
        around = Surroundings(
            images[each.workload.image.name], files.create(within, each.name, each.workload.files, namespace), places
        )
        mounted = [claims[name] for name in dict.fromkeys(places[m.volume].claim for m in each.workload.mounts) if name]
        own_first = ready.every([guarded, ready.made(accounts[each.name], *mounted)])
        first = ready.every([own_first, *(started[name] for name in each.after)])
        if isinstance(each, Job):
            done = job.create(within, each, around, settings.ready_seconds, first)
            started[each.name] = ready.checked(done)
        else:
            edge.create(within, system, each, own, namespace)
            declared = workload.create(within, system, each, around, own.leave_seconds, first)
            workload.keep_running(within, each, namespace)
            kind = "StatefulSet" if workload.is_stateful(system, each) else "Deployment"
            checked = rollout.finished(within, kind, each.name, declared, patience(each, settings))
            started[each.name] = ready.checked(checked, *mounted)
    if pulumi.runtime.is_dry_run():
        return pulumi.Output.from_input(system.release)
    ends = [started[system.route.service], started[system.route.gateway]]
    return serving.confirmed(within, system, [resource for each in ends for resource in each.resources])


def patience(service: Service, settings: Settings) -> int:
    """Return how long a pod of a service may run before it is ready; only a release has a setting for it."""
    return settings.ready_seconds if service.release else max(settings.ready_seconds, PATIENT_SECONDS)


def addresses(system: System) -> dict[str, str]:
    """Return where the stack is in the cluster, for whoever sends to it or looks at it."""
    namespace = stack.namespace_of(system.project, system.stack)
    return {"gatewayAddress": f"{system.route.gateway}.{namespace}.svc:{edge.PORT}", "namespace": namespace}
