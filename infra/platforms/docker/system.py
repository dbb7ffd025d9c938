"""A system as Docker resources: images, networks, volumes, then jobs and services in the order that they name."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pulumi
import pulumi_docker as docker

from infra.model import Job, Limits, Service, System, Workload
from infra.platforms import order
from infra.platforms.contract import Former, Serving
from infra.platforms.docker import (
    daemon,
    files,
    folder,
    gate,
    image,
    interruption,
    job,
    leftover,
    moving,
    network,
    ready,
    switch,
    telling,
    workload,
)
from infra.platforms.docker.image import Built, Images
from infra.platforms.docker.ready import Ready
from infra.platforms.docker.stack import Stack, name_of
from infra.platforms.docker.workload import Source
from infra.settings import Settings


def check(system: System, settings: Settings) -> Former:
    """Return the ids of the images that are not built; raise RunError where one has gone."""
    return {
        key: image.find(settings.docker_host, system.project, system.stack, wanted)
        for key, wanted in system.images.items()
        if wanted.digest
    }


def run(system: System, settings: Settings, former: Former) -> Serving:
    """Declare every resource of the system and return what serves."""
    host = settings.docker_host
    gateway = name_of(system.project, system.stack, system.route.gateway)
    with ThreadPoolExecutor(max_workers=3) as asking:
        asked = asking.submit(daemon.processors, host)
        listed = asking.submit(daemon.names, host)
        found = asking.submit(daemon.container, host, gateway)
    # Asked first: an address that nobody answers at, once in the state, would stop every refresh from then on.
    processors = asked.result()
    provider = docker.Provider(
        "docker",
        host=host or None,
        opts=pulumi.ResourceOptions(hooks=pulumi.ResourceHookBinding(before_update=[moving.refusal()])),
    )
    stack = Stack(system.project, system.stack, host, processors, provider, leftover.refusal(host, listed.result()))
    present = found.result()
    folder.check(host, system)
    if taken := leftover.taken_port(host, system, present):
        # Said after the provider: a stack that was taken to another daemon hears of that first. Nothing follows.
        never = provider.id.apply(functools.partial(refuse, taken))
        return Serving(never, never)
    interruption.warn(system, present)
    planned = network.plan(system)
    images = image.create(stack, system, former)
    networks = network.create(stack, planned)
    volumes: dict[str, Source] = {
        **folder.sources(system),
        **create_volumes(stack, system, protect=settings.protect_data),
    }
    started: dict[str, Ready] = {}
    tried = Ready(ids=(system.attempt,))
    for each in order.of(system):
        first = ready.every(started[name] for name in each.after)
        if each.release and isinstance(each, Job):
            first = ready.every([first, tried])
        joined = [networks[name] for name in planned.members.get(each.identity, ())]
        if isinstance(each, Service):
            laying = layer(system, each, images)
            started[each.name] = run_service(stack, each, images, laying, joined, volumes, first)
        else:
            done = job.create(stack, each, images[each.workload.image.key], joined, volumes, first)
            started[each.name] = ready.passed(done, first) if each.passing else ready.job(done)
    moved = switch.describe(system)
    switched = job.create(
        stack,
        moved,
        images[moved.workload.image.key],
        [networks[network.towards(system.route.service)]],
        volumes,
        ready.every([started[system.route.service], started[system.route.gateway], tried]),
        otherwise=lambda: switch.stop_what_does_not_serve(stack, system),
    )
    for last in order.once_serving(system):
        joined = [networks[name] for name in planned.members.get(last.identity, ())]
        job.create(stack, last, images[last.workload.image.key], joined, volumes, ready.job(switched))
    serves = pulumi.Output.from_input(
        system.release if pulumi.runtime.is_dry_run() else switched.apply(lambda _: system.release)
    )
    digest = pulumi.Output.from_input(images[system.image.key].digest)
    # Read once all is done that somebody waits for; a preview can tell only what does not change.
    at_last = Ready() if pulumi.runtime.is_dry_run() else ready.job(switched)
    return Serving(serves, digest, telling.of(stack, system, started, at_last))


def addresses(system: System) -> dict[str, str]:
    """Return where on the machine the stack is reached."""
    published = system.service(system.route.gateway).published
    if published is None:
        return {}
    address = f"[{published.address}]" if ":" in published.address else published.address
    return {"gatewayAddress": f"{address}:{published.port}"}


def refuse(why: str, _: str) -> str:
    """Fail the update."""
    raise pulumi.RunError(why)


def layer(system: System, service: Service, images: Images) -> Built:
    """Return the image from which a service's files are laid: the gateway's for a release, while its own is built."""
    one = system.service(system.route.gateway) if service.release else service
    return images[one.workload.image.key]


def run_service(
    stack: Stack,
    service: Service,
    images: Images,
    laying: Built,
    networks: list[docker.Network],
    volumes: Mapping[str, Source],
    first: Ready,
) -> Ready:
    """Declare a service with its files, laid from the image `laying`, and return what must be there before the next."""
    built = images[service.workload.image.key]
    held: docker.Volume | None = None
    more: list[docker.ContainerVolumeArgs] = []
    if service.controls:
        opened, more = gate.create(stack, service, service.controls, built)
        first = ready.every([first, opened])
    if service.workload.files and not service.update:
        held, filled = files.create(stack, service, laying)
        first = ready.every([first, ready.job(filled)])
    running = ready.containers(workload.create(stack, service, built, networks, volumes, held, first, more))
    if not service.update:
        return running
    update = Job(
        name=f"{service.name}-update",
        workload=updating(service),
        beside=service.name,
    )
    updated = job.create(stack, update, built, [], volumes, running)
    return Ready((*running.resources, updated), running.ids)


def updating(service: Service) -> Workload:
    """Return the workload that hands a service its files while it runs."""
    own = service.workload
    return Workload(
        image=own.image,
        user=own.user,
        limits=Limits(memory=128, cpus="1.0"),
        command=service.update,
        files=own.files,
        mounts=own.mounts,
    )


def create_volumes(stack: Stack, system: System, *, protect: bool) -> dict[str, docker.Volume]:
    """Declare the volumes; those with data are protected, and stay on the machine even when they are let go."""
    return {
        volume.name: docker.Volume(
            f"volume-{volume.name}",
            name=stack.object_name(volume.name),
            labels=[
                docker.VolumeLabelArgs(label=label, value=value)
                for label, value in stack.labels(volume.name, None).items()
            ],
            opts=pulumi.ResourceOptions.merge(
                stack.options(protect=volume.data and protect),
                # A changed label would replace the volume, and with it the data; and so would what somebody who made it
                # beforehand, on a disk of their own, told Docker about that.
                pulumi.ResourceOptions(ignore_changes=["driver", "driver_opts", "labels"]),
            ),
        )
        for volume in system.volumes
        if not volume.folder
    }
