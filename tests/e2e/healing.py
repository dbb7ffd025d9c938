"""What `make up` does with what a killed update left, and whether anything is left in the end."""

from __future__ import annotations

import json
import re
from typing import Any

from operate.docker.strays import sweep
from setup import state
from setup.daemon import Daemon, endpoint_from
from setup.state import Known, Strays
from tests.conftest import run_docker
from tests.e2e.site import Site


def daemon_of(site: Site) -> Daemon:
    """Return the daemon that the stack runs on."""
    return Daemon(endpoint_from(site.environment))


def known(site: Site) -> Known:
    """Return what the stack's state knows."""
    return state.known_from(json.loads(site.pulumi("stack", "export").stdout)["deployment"])


def strays(site: Site) -> Strays:
    """Return the stack's Docker objects that its state does not know."""
    daemon = daemon_of(site)
    carried = {"scaffold.stack": site.stack}
    return state.strays(
        known(site), *(daemon.labelled(kind, carried) for kind in ("containers", "networks", "volumes"))
    )


def heal(site: Site) -> None:
    """Do what `make cancel` and `make up` do before their update."""
    site.pulumi("cancel", "--yes", site.stack)
    sweep(strays(site), daemon_of(site))
    if known(site).pending_creates:
        site.pulumi("refresh", "--yes", "--skip-preview", "--clear-pending-creates")


def assert_one_release(site: Site, replicas: int = 1) -> str:
    """One release serves, everything of it is there, nothing of any other; return its id."""
    release: str = site.outputs()["release"]
    gateway = told_by_gateway(site)
    web = site.containers("web", running=True)
    assert gateway["release"] == release
    assert len(gateway["peers"]) == len(web) == replicas
    assert json.loads(site.get("/probe/release").body)["release"] == release
    left = strays(site)
    assert not [*left.containers, *left.networks, *left.volumes], f"the state does not know {left}"
    assert releases_of_objects(site) == {release}
    return release


def told_by_gateway(site: Site) -> dict[str, Any]:
    """Return what the gateway says it sends to."""
    (gateway,) = site.containers("gateway", running=True)
    found: dict[str, Any] = json.loads(run_docker("exec", gateway, "python3", "-m", "watcher", "status"))
    return found


def releases_of_objects(site: Site) -> set[str]:
    """Return the releases that containers and volumes of the stack belong to."""
    found = set()
    for listing in (("ps", "--all"), ("volume", "ls")):
        template = '{{.Label "scaffold.release"}}'
        labelled = run_docker(*listing, "--filter", f"label=scaffold.stack={site.stack}", "--format", template)
        found |= set(re.findall(r"\w+", labelled))
    return found
