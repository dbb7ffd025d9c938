"""Which kinds a cluster serves, and where."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from kubeapi.client import Client
from kubeapi.errors import ApiError

# https://kubernetes.io/docs/concepts/overview/kubernetes-api/#aggregated-discovery
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


@dataclass(frozen=True)
class Resource:
    """One kind as the cluster serves it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool

    def collection(self, namespace: str = "") -> str:
        """Return the path of all objects of the kind, in one namespace or in all."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        within = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced and namespace else ""
        return f"{root}{within}/{self.plural}"

    def item(self, name: str, namespace: str = "") -> str:
        """Return the path of one object."""
        return f"{self.collection(namespace or ('default' if self.namespaced else ''))}/{quote(name, safe='')}"


class Discovery:
    """The kinds of one cluster, asked for once by group and version, and again for one that is not known."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._known: dict[str, dict[str, Resource]] = {}

    def resource(self, api_version: str, kind: str, *, fresh: bool = False) -> Resource | None:
        """Return a kind, or None when the cluster does not serve it; raise UnreachableError."""
        with self._lock:
            known = self._known.get(api_version)
            if known is None or (fresh and kind not in known):
                known = self._known[api_version] = self._ask(api_version)
            return known.get(kind)

    def _ask(self, api_version: str) -> dict[str, Resource]:
        root = "/apis" if "/" in api_version else "/api"
        try:
            rows = self._client.get(f"{root}/{api_version}").get("resources", [])
        except ApiError as error:
            if error.gone:
                return {}
            raise
        return {
            row["kind"]: Resource(api_version, row["kind"], row["name"], bool(row["namespaced"]))
            for row in rows
            if "/" not in row["name"]
        }


def known_kinds(client: Client) -> list[Resource]:
    """Return every kind whose objects can be listed, in each group's preferred version; raise as Client.get."""
    found: list[Resource] = []
    for root in ("/api", "/apis"):
        answer = client.get(root, accept=AGGREGATED)
        for group in answer.get("items", []):
            name = (group.get("metadata") or {}).get("name", "")
            for version in group.get("versions", [])[:1]:
                api_version = f"{name}/{version['version']}" if name else version["version"]
                found.extend(_listable(api_version, version.get("resources", [])))
    return found


def _listable(api_version: str, rows: list[dict[str, Any]]) -> list[Resource]:
    return [
        Resource(api_version, row["responseKind"]["kind"], row["resource"], row["scope"] == "Namespaced")
        for row in rows
        if "list" in row.get("verbs", [])
    ]
