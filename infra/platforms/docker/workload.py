"""Services as containers, all with the same hardening; a released service stands beside the one it follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi_docker as docker

from infra.model import FILES, Mount, Probe, Service, Workload
from infra.platforms.docker import network
from infra.platforms.docker.image import Built
from infra.platforms.docker.ready import Ready
from infra.platforms.docker.stack import Stack

Source = docker.Volume | str
"""What is mounted: a volume, or a folder of the machine."""
LOG_OPTIONS = {"max-size": "10m", "max-file": "5"}


def container_names(service: Service) -> list[str]:
    """Return the names of a service's containers, without project and stack."""
    if service.release is None:
        return [service.name]
    return [f"{service.name}-{service.release}-{number}" for number in range(1, service.replicas + 1)]


SHARES = 128
"""Of a processor that others want too, an eighth of what a service gets: what serves goes on serving as before."""


def create(
    stack: Stack,
    service: Service,
    image: Built,
    networks: Sequence[docker.Network],
    volumes: Mapping[str, Source],
    files: docker.Volume | None,
    first: Ready,
    more: Sequence[docker.ContainerVolumeArgs] = (),
) -> list[docker.Container]:
    """Declare the containers of a service."""
    workload = service.workload
    mounts = [*mounted(workload.mounts, volumes), *more]
    if files:
        mounts.append(docker.ContainerVolumeArgs(volume_name=files.name, container_path=str(FILES), read_only=True))
    return [
        docker.Container(
            name,
            name=stack.object_name(name),
            image=image.name,
            command=list(workload.command) or None,
            user=f"{workload.user}:{workload.group}",
            envs=environment(workload),
            read_only=True,
            tmpfs=scratch(workload),
            capabilities=no_capabilities(),
            security_opts=["no-new-privileges:true"],
            memory=workload.limits.memory,
            memory_swap=workload.limits.memory,
            cpus=stack.cpus(workload.limits.cpus),
            cpu_shares=SHARES if workload.limits.gives_way else None,
            ulimits=ulimits(workload),
            volumes=mounts,
            networks_advanced=joined(networks, *dict.fromkeys([service.name, name])),
            ports=network.published_ports(service),
            healthcheck=asked(service.probe),
            restart="unless-stopped",
            must_run=True,
            wait=False,
            stop_timeout=service.stop_seconds,
            destroy_grace_seconds=service.stop_seconds,
            log_driver="json-file",
            log_opts=LOG_OPTIONS,
            labels=labels(stack.labels(service.name, service.release)),
            opts=stack.container_options(first, networks),
        )
        for name in container_names(service)
    ]


def environment(workload: Workload) -> list[str]:
    """Return the environment as Docker takes it; none of it is secret, by type."""
    return [f"{name}={value}" for name, value in sorted(workload.env.items())]


def scratch(workload: Workload) -> dict[str, str]:
    """Return the one place where a read-only container can write."""
    return {"/tmp": f"rw,noexec,nosuid,nodev,size={workload.limits.tmp}m"}  # noqa: S108


def no_capabilities(*kept: str) -> docker.ContainerCapabilitiesArgs:
    """Drop every capability but those named, in the spelling that the provider settles on (CAP_…)."""
    return docker.ContainerCapabilitiesArgs(drops=["ALL"], adds=list(kept))


def ulimits(workload: Workload) -> list[docker.ContainerUlimitArgs]:
    """Return the limits on processes and open files; the provider has no input for the pids controller."""
    limits = {"nofile": workload.limits.open_files, "nproc": workload.limits.processes}
    return [docker.ContainerUlimitArgs(name=name, soft=value, hard=value) for name, value in limits.items()]


def mounted(mounts: Sequence[Mount], volumes: Mapping[str, Source]) -> list[docker.ContainerVolumeArgs]:
    """Return a workload's volumes, each by its name or, where it is a folder of the machine, by its path."""

    def one(mount: Mount) -> docker.ContainerVolumeArgs:
        source = volumes[mount.volume]
        if isinstance(source, str):
            return docker.ContainerVolumeArgs(host_path=source, container_path=mount.path, read_only=mount.read_only)
        return docker.ContainerVolumeArgs(volume_name=source.name, container_path=mount.path, read_only=mount.read_only)

    return [one(mount) for mount in mounts]


def joined(networks: Sequence[docker.Network], *aliases: str) -> list[docker.ContainerNetworksAdvancedArgs]:
    """Return the networks that a container joins, and the names by which it is known there."""
    return [docker.ContainerNetworksAdvancedArgs(name=joined.name, aliases=list(aliases)) for joined in networks]


def labels(values: Mapping[str, str]) -> list[docker.ContainerLabelArgs]:
    """Return labels as the provider takes them."""
    return [docker.ContainerLabelArgs(label=label, value=value) for label, value in values.items()]


def asked(probe: Probe) -> docker.ContainerHealthcheckArgs:
    """Return a probe as Docker's health check, durations in Go's own spelling so that they settle."""
    return docker.ContainerHealthcheckArgs(
        tests=["CMD", *probe.command],
        interval=duration(probe.interval_seconds),
        timeout=duration(probe.timeout_seconds),
        retries=probe.retries,
        start_period=duration(probe.grace_seconds),
    )


def duration(seconds: int) -> str:
    """Return a duration as Go prints it: 10s, 1m0s, 1h0m0s.

    Any other spelling differs from what is read back, and every `up` would change it.
    """
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
