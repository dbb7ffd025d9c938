"""The gate: what stands between the Docker daemon and a service that may stop and start others."""

from __future__ import annotations

import pulumi_docker as docker

from infra.model import Control, Limits, Probe, Service, Workload
from infra.platforms.docker import workload
from infra.platforms.docker.image import Built
from infra.platforms.docker.ready import Ready
from infra.platforms.docker.stack import Stack

FOLDER = "/run/restore-gate"
DAEMON = "/var/run/docker.sock"
COMMAND = ("python", "-m", "restore", "gate")
LIMITS = Limits(memory=64, cpus="0.5", tmp=1)
STOP_SECONDS = 10


def name_of(service: Service) -> str:
    """Return the name of a service's gate."""
    return f"{service.name}-gate"


def create(
    stack: Stack, service: Service, control: Control, image: Built
) -> tuple[Ready, list[docker.ContainerVolumeArgs]]:
    """Declare the gate, which alone has the daemon's socket, and return the mount by which the service reaches it.

    It is root, whose socket that is, without any of root's powers, and tells its caller by the kernel's word.
    """
    name = name_of(service)
    volume = docker.Volume(
        f"volume-{name}",
        name=stack.object_name(name),
        labels=[docker.VolumeLabelArgs(label=label, value=value) for label, value in stack.labels(name, None).items()],
        opts=stack.options(),
    )
    mount = docker.ContainerVolumeArgs(volume_name=volume.name, container_path=FOLDER, read_only=False)
    described = Workload(image=service.workload.image, user=0, limits=LIMITS, env=environment(stack, service, control))
    container = docker.Container(
        name,
        name=stack.object_name(name),
        image=image.name,
        command=list(COMMAND),
        user=f"0:{service.workload.group}",
        envs=workload.environment(described),
        read_only=True,
        tmpfs=workload.scratch(described),
        capabilities=workload.no_capabilities(),
        security_opts=["no-new-privileges:true"],
        memory=LIMITS.memory,
        memory_swap=LIMITS.memory,
        cpus=stack.cpus(LIMITS.cpus),
        ulimits=workload.ulimits(described),
        volumes=[
            mount,
            docker.ContainerVolumeArgs(host_path=daemon_socket(stack.host), container_path=DAEMON, read_only=True),
        ],
        network_mode="none",
        healthcheck=workload.asked(Probe(command=(*COMMAND, "check"), interval_seconds=30, timeout_seconds=5)),
        restart="unless-stopped",
        must_run=True,
        wait=False,
        stop_timeout=STOP_SECONDS,
        destroy_grace_seconds=STOP_SECONDS,
        log_driver="json-file",
        log_opts=workload.LOG_OPTIONS,
        labels=workload.labels(stack.labels(name, None)),
        opts=stack.container_options(Ready()),
    )
    return Ready((container,), (container.id,)), [mount]


def environment(stack: Stack, service: Service, control: Control) -> dict[str, str]:
    """Return whom the gate serves, and what it lets be looked at, stopped and started."""
    told = {
        "RESTORE_COORDINATOR_UID": str(service.workload.user),
        "RESTORE_PROJECT": stack.project,
        "RESTORE_SERVICES": ",".join(control.services),
        "RESTORE_STACK": stack.name,
        "RESTORE_STOP_CONTAINERS": ",".join((*control.services, *control.containers)),
    }
    return {name: value for name, value in told.items() if value}


def daemon_socket(host: str) -> str:
    """Return where the daemon's socket is on its own machine."""
    return host.removeprefix("unix://") if host.startswith("unix://") else DAEMON
