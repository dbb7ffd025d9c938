"""A system as Docker resources: images, networks, volumes, then jobs and services in the order that they name."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_docker as docker

from infra.model import Job, Limits, Service, System, Workload
from infra.platforms.docker import files, image, job, leftover, network, order, switch, workload
from infra.platforms.docker.stack import Stack
from infra.settings import Settings

Ready = list[pulumi.Input[pulumi.Resource]]


def run(system: System, settings: Settings) -> None:
    """Declare every resource of the system."""
    provider = docker.Provider("docker", host=settings.docker_host or None)
    stack = Stack(system.project, system.stack, settings.docker_host, provider, leftover.refusal(settings.docker_host))
    planned = network.plan(system)
    images = image.create(stack, system)
    networks = network.create(stack, planned)
    volumes = create_volumes(stack, system, protect=settings.protect_data)
    ready: dict[str, Ready] = {}
    for each in order.of(system):
        joined = [networks[name] for name in planned.members.get(each.name, ())]
        depends_on = [resource for name in each.after for resource in ready[name]]
        if isinstance(each, Service):
            ready[each.name] = run_service(stack, each, images, joined, volumes, depends_on)
        else:
            ready[each.name] = [job.create(stack, each, images[each.workload.image.name], joined, volumes, depends_on)]
    moved = switch.describe(stack, system)
    job.create(
        stack,
        moved,
        images[moved.workload.image.name],
        [networks[network.towards(system.route.service)]],
        volumes,
        [*ready[system.route.service], *ready[system.route.gateway]],
    )


def run_service(
    stack: Stack,
    service: Service,
    images: Mapping[str, docker.RemoteImage],
    networks: list[docker.Network],
    volumes: Mapping[str, docker.Volume],
    depends_on: Ready,
) -> Ready:
    """Declare a service with its files and return what has to be there before the next."""
    built = images[service.workload.image.name]
    held, laid = None, depends_on
    if service.workload.files and not service.update:
        held, filled = files.create(stack, service, built)
        laid = [*depends_on, filled]
    containers: Ready = [*workload.create(stack, service, built, networks, volumes, held, laid)]
    if not service.update:
        return containers
    update = Job(
        name=f"{service.name}-update",
        workload=updating(service),
        beside=service.name,
    )
    return [*containers, job.create(stack, update, built, [], volumes, containers)]


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
                # A changed label would replace the volume, and with it the data.
                pulumi.ResourceOptions(ignore_changes=["labels"]),
            ),
        )
        for volume in system.volumes
    }
