"""A system as objects of a cluster: what everything stands on, then jobs and services in the order that they name."""

from __future__ import annotations

import pulumi

from infra.model import Job, Service, System
from infra.platforms import order
from infra.platforms.contract import Former, Serving
from infra.platforms.kubernetes import (
    control,
    edge,
    flag,
    ground,
    job,
    ready,
    rollout,
    serving,
    stack,
    telling,
    workload,
)
from infra.platforms.kubernetes.ground import Ground
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
    # An order that cannot be is refused before anything is declared.
    steps = order.of(system)
    on = ground.lay(system, settings, former)
    started: dict[str, Ready] = {}
    for each in steps:
        first = ready.every(started[name] for name in each.after)
        if isinstance(each, Job):
            started[each.name] = run_job(on, system, settings, each, first)
        else:
            started[each.name] = run_service(on, system, settings, each, first)
    ends = ready.every([started[system.route.service], started[system.route.gateway]])
    confirmed = serving.confirmed(on.stack, system, ends.resources)
    for last in order.once_serving(system):
        run_job(on, system, settings, last, Ready((confirmed.apply(lambda _: on.stack.provider),)))
    serves = pulumi.Output.from_input(system.release) if pulumi.runtime.is_dry_run() else confirmed
    return Serving(serves, on.images[system.image.key], telling.of(on.stack, system, started))


def run_job(on: Ground, system: System, settings: Settings, each: Job, first: Ready) -> Ready:
    """Declare a job; one of the release runs again with another attempt at it."""
    if each.release:
        first = ready.every([first, Ready(ids=(system.attempt,))])
    done = job.create(on.stack, each, on.around(each), settings.ready_seconds, ready.every([on.under(each), first]))
    checked = ready.checked(done)
    return Ready(checked.resources, first.ids) if each.passing else checked


def run_service(on: Ground, system: System, settings: Settings, each: Service, first: Ready) -> Ready:
    """Declare a service with what leads to it and what keeps it running, and wait until its pods are ready."""
    own = settings.kubernetes
    flags = flag.create(on.stack, each, on.namespace)
    edge.create(on.stack, system, each, own, on.namespace)
    rights = run_control(on, system, each)
    all_first = ready.every([on.under(each, *flags, *rights), first])
    declared = workload.create(on.stack, system, each, on.around(each), own.leave_seconds, all_first)
    workload.keep_running(on.stack, each, on.namespace)
    kind = "StatefulSet" if workload.is_stateful(system, each) else "Deployment"
    checked = rollout.finished(on.stack, kind, each.name, declared, patience(each, settings))
    return ready.checked(checked, *on.claims_of(each))


def patience(service: Service, settings: Settings) -> int:
    """Return how long a pod of a service may run before it is ready; only a release has a setting for it."""
    return settings.ready_seconds if service.release else max(settings.ready_seconds, PATIENT_SECONDS)


def addresses(system: System) -> dict[str, str]:
    """Return where the stack is in the cluster, for whoever sends to it or looks at it."""
    namespace = stack.namespace_of(system.project, system.stack)
    return {"gatewayAddress": f"{system.route.gateway}.{namespace}.svc:{edge.PORT}", "namespace": namespace}


def run_control(on: Ground, system: System, each: Service) -> list[Object]:
    """Declare what a service may stop and start, and the migrations that it may run."""
    wanted = each.controls
    if wanted is None:
        return []
    made = control.create(on.stack, each, wanted, ready.made(on.accounts[each.identity]))
    if wanted.migrations:
        (job,) = (other for other in system.jobs if other.name == wanted.migrations)
        made.append(control.migrations(on.stack, job, on.around(job), on.under(job)))
    return made
