"""The switch: one logical one-shot whose input is the release; it moves the gateway, or puts everything back."""

from __future__ import annotations

import json

from infra.model import Job, Limits, Service, System, Workload
from infra.platforms.docker import daemon
from infra.platforms.docker.stack import Stack
from infra.platforms.docker.workload import container_names

NAME = "switch"


def describe(system: System) -> Job:
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
                "PEERS": ",".join(peers(service)),
                "READY_TIMEOUT": str(route.ready_seconds),
                "RELEASE": system.release,
                "SITE_URL": route.site_url,
                "WARM_PATHS": ",".join(route.warm_paths),
            },
            mounts=gateway.workload.mounts,
        ),
        beside=gateway.name,
    )


def stop_what_does_not_serve(stack: Stack, system: System) -> str:
    """Stop the containers of a release that the gateway did not take, and return what to say about it.

    Otherwise they would run beside the release that serves, starting and failing for ever, and more with each attempt.
    The next update starts those that it still wants.
    """
    gateway = stack.object_name(system.route.gateway)
    told = daemon.run(stack.host, "container", "exec", gateway, "python3", "-m", "watcher", "status")
    try:
        serving = json.loads(told.stdout)["release"]
    except (ValueError, KeyError, TypeError):
        return ""
    if serving == system.release:
        return ""
    stopped = [stack.object_name(name) for name in container_names(system.service(system.route.service))]
    daemon.stop(stack.host, stopped)
    return f"\nWhat does not serve has been stopped; its log says more: docker logs {stopped[0]}"


def peers(service: Service) -> list[str]:
    """Return the containers of a service as the gateway finds them.

    Not by their full names: those hold the stack's, and no name of more than 63 characters can be looked up.
    """
    return [f"{name}:{service.port}" for name in container_names(service)]
