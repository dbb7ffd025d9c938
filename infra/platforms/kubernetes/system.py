"""A system as objects of a cluster: namespace, images, policies, then jobs and services in the order that they name."""

from __future__ import annotations

import pulumi

from infra.model import Job, Service, System
from infra.platforms import Former, Serving, order
from infra.platforms.kubernetes import (
    account,
    edge,
    files,
    flag,
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
from infra.platforms.kubernetes.files import Held
from infra.platforms.kubernetes.pod import Surroundings
from infra.platforms.kubernetes.ready import Ready
from infra.platforms.kubernetes.resource import Object
from infra.settings import Settings

PATIENT_SECONDS = 120
"""How long what is no release may run before it is ready: a database that recovers, for one."""


def check(system: System, _settings: Settings) -> Former:
    """Return the images that are not built: whether the registry still has them, the nodes tell when they pull."""
    return {key: image.digest for key, image in system.images.items() if image.digest}


def run(system: System, settings: Settings, former: Former) -> Serving:
    """Declare every resource of the system and return what serves."""
    own = settings.kubernetes
    places = volume.plan(system)
    policies = network.plan(system)
    steps = order.of(system)
    within, namespace = stack.create(system, settings)
    images = image.create(within, system, settings, former)
    accounts = account.create(within, system, image.pull_secret(within, own.registry, namespace), namespace)
    claims = volume.create(within, system, settings, namespace)
    # Nothing starts before the policies are there: its first second is as closed as every other.
    guarded = ready.every([namespace, ready.made(*network.create(within, policies, namespace))])
    started: dict[str, Ready] = {}
    tried = Ready(ids=(system.attempt,))
    held: dict[str, Held] = {}

    def around(each: Service | Job) -> Surroundings:
        identity = each.identity if isinstance(each, Job) else each.name
        if identity not in held:
            held[identity] = files.create(within, identity, each.workload.files, namespace)
        return Surroundings(images[each.workload.image.key], held[identity], places)

    def run_job(each: Job, first: Ready) -> Ready:
        own = ready.made(accounts[each.identity], *claims_of(each))
        return ready.checked(
            job.create(within, each, around(each), settings.ready_seconds, ready.every([guarded, own, first]))
        )

    def claims_of(each: Service | Job) -> list[Object]:
        return [claims[name] for name in dict.fromkeys(places[m.volume].claim for m in each.workload.mounts) if name]

    for each in steps:
        first = ready.every(started[name] for name in each.after)
        if isinstance(each, Job):
            started[each.name] = run_job(each, ready.every([first, tried]) if each.release else first)
            continue
        mounted, flags = claims_of(each), flag.create(within, each, namespace)
        edge.create(within, system, each, own, namespace)
        all_first = ready.every([guarded, ready.made(accounts[each.name], *mounted, *flags), first])
        declared = workload.create(within, system, each, around(each), own.leave_seconds, all_first)
        workload.keep_running(within, each, namespace)
        kind = "StatefulSet" if workload.is_stateful(system, each) else "Deployment"
        checked = rollout.finished(within, kind, each.name, declared, patience(each, settings))
        started[each.name] = ready.checked(checked, *mounted)
    ends = ready.every([started[system.route.service], started[system.route.gateway]])
    confirmed = serving.confirmed(within, system, ends.resources)
    for last in order.once_serving(system):
        run_job(last, Ready((confirmed.apply(lambda _: within.provider),), tried.ids))
    serves = pulumi.Output.from_input(system.release) if pulumi.runtime.is_dry_run() else confirmed
    return Serving(serves, images[system.image.key])


def patience(service: Service, settings: Settings) -> int:
    """Return how long a pod of a service may run before it is ready; only a release has a setting for it."""
    return settings.ready_seconds if service.release else max(settings.ready_seconds, PATIENT_SECONDS)


def addresses(system: System) -> dict[str, str]:
    """Return where the stack is in the cluster, for whoever sends to it or looks at it."""
    namespace = stack.namespace_of(system.project, system.stack)
    return {"gatewayAddress": f"{system.route.gateway}.{namespace}.svc:{edge.PORT}", "namespace": namespace}
