"""The gateway: Nginx with its watcher, the only published port; pages, settings and releases reach it live."""

from __future__ import annotations

import json
from typing import Any

from infra import images, maintenance, web
from infra.model import Limits, Mount, Probe, Published, Service, Volume, Workload
from infra.release import public_file
from infra.settings import Settings

NAME = "gateway"
PORT = 8080
USER = 10002
DRAIN_SECONDS = 30
"""How long requests in flight may take when the gateway stops; no setting, since a changed one would replace it."""
SECONDS_BEYOND_DRAINING = 5
FAREWELL_SECONDS = 5
"""How long a gateway of several goes on serving with answers that close their connections, before it stops."""
MEMORY = 512
"""In MiB: it idles at a tenth of it, but strangers must not be able to fill it with as many connections as it takes."""
UPSTREAM = f"{web.NAME}:{web.PORT}"
CONNECT_TIMEOUT_MS = 2000
STATE = Volume("gateway")
STATE_MOUNT = Mount(STATE.name, "/var/lib/gateway")
FLAG = f"{STATE_MOUNT.path}/flag/maintenance.json"


def service(settings: Settings) -> Service:
    """Describe the gateway."""
    farewell = FAREWELL_SECONDS if settings.platform == "kubernetes" else 0
    return Service(
        name=NAME,
        workload=Workload(
            image=images.gateway(settings),
            user=USER,
            limits=Limits(memory=MEMORY, cpus="2.0", open_files=8192),
            env={"STOP_TIMEOUT": str(DRAIN_SECONDS)} | ({"FAREWELL_SECONDS": str(farewell)} if farewell else {}),
            files=(maintenance.page(settings), public_file("gateway.json", document(settings))),
            mounts=(STATE_MOUNT,),
        ),
        port=PORT,
        probe=Probe(command=("probe-http", str(PORT), "/gateway/healthz")),
        reachable_from=(),
        stop_seconds=farewell + DRAIN_SECONDS + SECONDS_BEYOND_DRAINING,
        replicas=settings.kubernetes.gateway_replicas if settings.platform == "kubernetes" else 1,
        published=Published(settings.gateway_address, settings.gateway_port),
        update=("python3", "-m", "watcher", "apply", "/run/files"),
        flag=FLAG,
    )


def document(settings: Settings) -> str:
    """Return the gateway's settings as its watcher reads them.

    On Docker the switch tells it whom to send to. A cluster says by DNS which pods are ready, and a pod on another node
    may take longer to connect to than a container on this machine.
    """
    told: dict[str, Any] = {"site_url": settings.site_url, "trusted_proxies": list(settings.trusted_proxies)}
    if settings.platform == "kubernetes":
        told |= {"upstream": {"discover": UPSTREAM}, "connect_timeout_ms": CONNECT_TIMEOUT_MS}
    else:
        told |= {"upstream": None}
    return json.dumps(told, sort_keys=True, indent=2)
