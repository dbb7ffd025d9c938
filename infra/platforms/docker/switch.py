"""The switch: one logical one-shot whose input is the release; it moves the gateway, or puts everything back."""

from __future__ import annotations

from infra.model import Job, Limits, Service, System, Workload
from infra.platforms.docker.stack import Stack
from infra.platforms.docker.workload import container_names

NAME = "switch"


def describe(stack: Stack, system: System) -> Job:
    """Describe the switch to the system's release.

    One logical resource, not one for each release: going back after a failed switch must run it again.
    """
    route = system.route
    gateway, service = system.service(route.gateway), system.service(route.service)
    return Job(
        name=NAME,
        workload=Workload(
            image=gateway.workload.image,
            user=gateway.workload.user,
            limits=Limits(memory=128, cpus="1.0"),
            command=("python3", "-m", "watcher", "switch"),
            env={
                "GATEWAY": f"{gateway.name}:{gateway.port}",
                "PEERS": ",".join(peers(stack, service)),
                "READY_TIMEOUT": str(route.ready_seconds),
                "RELEASE": system.release,
                "SITE_URL": route.site_url,
                "WARM_PATHS": ",".join(route.warm_paths),
            },
            mounts=gateway.workload.mounts,
        ),
        beside=gateway.name,
    )


def peers(stack: Stack, service: Service) -> list[str]:
    """Return the containers of a service as the gateway finds them."""
    return [f"{stack.object_name(name)}:{service.port}" for name in container_names(service)]
