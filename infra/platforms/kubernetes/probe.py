"""Probes: a workload's own commands, and before the first traffic the paths that a new release must answer."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from infra.model import Probe, Route, Service
from infra.platforms.kubernetes.pod import TMP
from infra.platforms.kubernetes.progress import answered

STARTING_SECONDS = 1
PATIENT_SECONDS = 24 * 3600
"""How long a service may start that nobody restarts: one that recovers its data must not be stopped doing so."""
PATIENCE = 3
"""How many times as long a pod may be deaf as it may be not ready: it gets no requests meanwhile, and may recover.

All pods wait for one database; starting them all again while that is slow would add to what it has to do.
"""
WARM_SECONDS = 15
MARK = f"/{TMP}/warm"


def of(service: Service, route: Route) -> dict[str, Any]:
    """Return the probes of a service's container."""
    probe = service.probe
    released = service.name == route.service
    start, ready = list(probe.alive or probe.command), list(probe.command)
    if released:
        start, ready = ["bash", "-c", telling(service, route, start)], ["bash", "-c", readiness(service, route)]
    probes: dict[str, Any] = {
        # The first look comes at once, and so does what follows it: traffic, as soon as there can be any.
        "startupProbe": asked(start, probe, period=STARTING_SECONDS, failures=starting(service, route)),
        "readinessProbe": asked(
            ready, probe, period=probe.interval_seconds, failures=probe.retries, extra=WARM_SECONDS if released else 0
        ),
    }
    if probe.alive:
        probes["livenessProbe"] = asked(
            probe.alive, probe, period=probe.interval_seconds, failures=probe.retries * PATIENCE
        )
    return probes


def asked(
    command: tuple[str, ...] | list[str], probe: Probe, *, period: int, failures: int, extra: int = 0
) -> dict[str, Any]:
    """Return one probe."""
    return {
        "exec": {"command": list(command)},
        "periodSeconds": period,
        "timeoutSeconds": probe.timeout_seconds + extra,
        "failureThreshold": failures,
    }


def starting(service: Service, route: Route) -> int:
    """Return how many looks a service may take to start before it is started again."""
    if not service.probe.alive:
        return PATIENT_SECONDS // STARTING_SECONDS
    seconds = max(service.probe.grace_seconds, route.ready_seconds if service.name == route.service else 0)
    return seconds // STARTING_SECONDS


def readiness(service: Service, route: Route) -> str:
    """Return the commands that ask a pod of a release whether it is ready, and then for the warm paths."""
    told = telling(service, route, service.probe.command)
    return f"{told}\n{warming(route)}" if route.warm_paths else told


def telling(service: Service, route: Route, command: Sequence[str]) -> str:
    """Return the commands that probe a pod of a release, and say what it answered where that is not what is wanted.

    The cluster keeps their words as an event, which whoever waits can read.
    """
    path = command[-1]
    told = f'ask {shlex.quote(path)} && echo "{answered(path, "$status")}"'
    return f"{asking(service, route)}\n{shlex.join(command)} || {{ {told}; exit 1; }}"


def warming(route: Route) -> str:
    """Return the commands that ask a pod for the warm paths, once in its life."""
    every = " && ".join(f"ask {shlex.quote(path)}" for path in route.warm_paths)
    return f"test -e {MARK} || {{ {every} && : >{MARK}; }}"


def asking(service: Service, route: Route) -> str:
    """Return a function of the shell that asks a pod for a path as a visitor would.

    As on Docker, any answer below 500 will do.
    """
    site = urlsplit(route.site_url)
    return "\n".join(
        (
            "ask() {",
            f"    exec 3<>/dev/tcp/127.0.0.1/{service.port} || return 1",
            "    printf 'GET %s HTTP/1.0\\r\\nHost: %s\\r\\nX-Forwarded-Proto: %s\\r\\n\\r\\n' "
            f'"$1" {shlex.quote(site.netloc)} {site.scheme} >&3',
            f'    read -r -t {WARM_SECONDS} _ status _ <&3 && [ "$status" -lt 500 ]',
            "}",
        )
    )
