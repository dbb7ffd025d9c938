"""What no resource can do: ask the cluster, read logs, and remove a job that failed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import pulumi

from infra.settings import Settings
from kubeapi import kubeconfig
from kubeapi.access import KubeconfigError
from kubeapi.client import Client
from kubeapi.errors import ApiError, UnreachableError

GONE_SECONDS = 60.0
POLL_SECONDS = 0.2
NODES_LOOKED_AT = 20

Found = TypeVar("Found")
Live = dict[str, Any]


def connect(settings: Settings) -> Client:
    """Return a client of the stack's cluster; raise RunError with the setting where there is none."""
    own = settings.kubernetes
    try:
        return Client(kubeconfig.load(own.kubeconfig, own.context))
    except KubeconfigError as error:
        raise pulumi.RunError(
            f"kubeconfig: got {own.kubeconfig or 'nothing'!r}, which names no cluster: {error}. "
            "Set it: pulumi config set kubeconfig PATH (and kubeContext, for another than its current context)"
        ) from None


def asked(client: Client, ask: Callable[[], Found]) -> Found:
    """Return what the cluster answers; raise RunError with its address where it does not, or refuses."""
    try:
        return ask()
    except ApiError as error:
        raise pulumi.RunError(
            f"the cluster at {client.access.server} (context {client.access.context!r}) refused: {error.message}. "
            "Give that user the rights, or set another: pulumi config set kubeContext NAME"
        ) from None
    except (UnreachableError, KubeconfigError) as error:
        raise pulumi.RunError(
            f"no cluster answers at {client.access.server} (context {client.access.context!r}): {error}. "
            "Start it, or set where it is: pulumi config set kubeconfig PATH"
        ) from None


def identity(client: Client) -> str:
    """Return what tells one cluster from another, whatever its address, or nothing to a user who may not know it."""
    try:
        found = asked(client, lambda: client.get("/api/v1/namespaces/kube-system"))
    except pulumi.RunError:
        asked(client, lambda: client.get("/version"))
        return ""
    return str(found["metadata"]["uid"])


def processors(client: Client) -> str:
    """Return for which processors images have to be, such as linux/amd64; nothing where nodes differ or do not say."""
    try:
        nodes = client.get("/api/v1/nodes", {"limit": NODES_LOOKED_AT})["items"]
    except (ApiError, UnreachableError):
        return ""
    found = {"{operatingSystem}/{architecture}".format_map(node["status"]["nodeInfo"]) for node in nodes}
    return found.pop() if len(found) == 1 else ""


def labels_of_namespace(client: Client, name: str) -> dict[str, str] | None:
    """Return the labels of a namespace, or None where there is none, or none that this user may see."""
    try:
        found = client.get(f"/api/v1/namespaces/{quote(name, safe='')}")
    except (ApiError, UnreachableError):
        return None
    return dict(found["metadata"].get("labels") or {})


def api_ports(client: Client) -> frozenset[int]:
    """Return the ports at which pods reach the cluster's API: those of its Service, and of the machines behind it."""
    usual = {443, 6443, urlsplit(client.access.server).port or 443}
    path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    try:
        found = client.get(path, {"labelSelector": "kubernetes.io/service-name=kubernetes"})["items"]
    except (ApiError, UnreachableError):
        # A user who may not know. Most clusters have the usual ones.
        return frozenset(usual)
    return frozenset(usual | {port["port"] for each in found for port in each.get("ports") or () if port.get("port")})


def remove_job(client: Client, path: str) -> None:
    """Remove a job with its pods, and wait until it is gone; raise RunError when it stays."""

    def gone() -> bool:
        try:
            client.delete(path, {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"})
        except ApiError as error:
            if not error.gone:
                raise
            return True
        return False

    deadline = time.monotonic() + GONE_SECONDS
    while not asked(client, gone):
        if time.monotonic() > deadline:
            raise pulumi.RunError(
                f"{path} is still there {GONE_SECONDS:.0f} s after it was deleted: look for finalizers"
            )
        time.sleep(POLL_SECONDS)
