"""What closes the site's port: the gateway's container holds it, and another one can begin only when it has gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from infra.model import Service, System
from infra.platforms.docker import image, network, workload
from infra.platforms.docker.stack import name_of

SECONDS = "1 to 6"
"""How long nobody is served when no request is in flight: on two processors, with nothing else to do and busy."""


def warn(system: System, found: Mapping[str, Any] | None) -> None:
    """Say, in a preview as in an update, what will have the running gateway replaced, and how to lose no request.

    `found` is the gateway's container as the daemon tells of it.
    """
    if found is None or not found["State"]["Running"]:
        return
    gateway = system.service(system.route.gateway)
    networks = network.plan(system).members.get(gateway.name, ())
    joined = [name_of(system.project, system.stack, each) for each in networks]
    image_name = image.name_of(system.project, system.stack, gateway.workload.image)
    reasons = differences(found, gateway, image_name, joined)
    if reasons:
        pulumi.log.warn(message(gateway, reasons))


def differences(found: Mapping[str, Any], gateway: Service, image_name: str, joined: Sequence[str]) -> list[str]:
    """Return what of the running container is not as described, of that which only another container can have."""
    config, described = found["Config"], gateway.workload
    published = gateway.published
    present = [
        f"{each['HostIp']}:{each['HostPort']}"
        for each in ((found["HostConfig"].get("PortBindings") or {}).get(f"{gateway.port}/tcp") or ())
    ]
    wanted = [f"{published.address}:{published.port}"] if published else []
    # The image's own variables stand beside these, so that one which is gone cannot be told from them.
    told = [each for each in workload.environment(described) if each not in (config.get("Env") or ())]
    compared = {
        "image": (config["Image"], image_name),
        "address": (", ".join(present), ", ".join(wanted)),
        "networks": (", ".join(sorted(found["NetworkSettings"]["Networks"])), ", ".join(sorted(joined))),
        "user": (config["User"], f"{described.user}:{described.group}"),
        "probe": (" ".join((config.get("Healthcheck") or {}).get("Test", ())[1:]), " ".join(gateway.probe.command)),
    }
    return [f"{name}: {before} → {after}" for name, (before, after) in compared.items() if before != after] + [
        f"environment: {each}" for each in told
    ]


def message(gateway: Service, reasons: Sequence[str]) -> str:
    """Say what is replaced and why, what visitors see of it, and what to do instead."""
    return (
        f"the container of the {gateway.name} will be replaced ({'; '.join(reasons)}). It holds the site's port, "
        f"which is closed for {SECONDS} s meanwhile, and for up to {gateway.stop_seconds} s more while requests "
        "in flight end: whoever asks then is refused, and sees no maintenance page. Do it when few visitors are "
        "there. To lose no request: a proxy in front that tries again, or Kubernetes, where the gateway rolls. "
        "Releases, pages and settings of the gateway replace no container"
    )
