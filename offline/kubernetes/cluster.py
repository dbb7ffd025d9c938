"""The cluster that was configured: reached when it is first needed, and with the kinds it serves."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from kubeapi.access import KubeconfigError
from kubeapi.client import Client
from kubeapi.discovery import Discovery, Resource
from kubeapi.errors import FORBIDDEN, UNAUTHORIZED, ApiError, UnreachableError
from offline.kubernetes.configuration import Configuration

UNREACHABLE = "configured Kubernetes cluster is unreachable"


class UnreachableClusterError(Exception):
    """The cluster cannot be asked; the text says why."""


class MissingKindError(Exception):
    """The cluster serves no such kind."""


class Cluster:
    """One cluster. Its methods may be called from many threads at once."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._discovery: Discovery | None = None
        self._reached = False

    @property
    def client(self) -> Client:
        """The client, once the cluster has answered; raise UnreachableClusterError."""
        with self._lock:
            if self._client is None:
                try:
                    self._client = Client(self.configuration.access())
                except KubeconfigError as error:
                    raise UnreachableClusterError(f"{UNREACHABLE}: {error}") from None
                self._discovery = Discovery(self._client)
            if not self._reached:
                self._reach(self._client)
                self._reached = True
            return self._client

    def _reach(self, client: Client) -> None:
        try:
            client.get("/api/v1")
        except (UnreachableError, KubeconfigError) as error:
            raise UnreachableClusterError(f"{UNREACHABLE}: {error}") from None
        except ApiError as error:
            if error.status == UNAUTHORIZED:
                raise UnreachableClusterError(f"{UNREACHABLE}: its user is not let in: {error.message}") from None
            if error.status != FORBIDDEN:
                raise UnreachableClusterError(f"{UNREACHABLE}: {error.message}") from None

    def version(self) -> tuple[int, int]:
        """Return the version of Kubernetes; raise UnreachableClusterError or ApiError."""
        found = self.client.get("/version")
        major, minor = (int("".join(filter(str.isdigit, str(found[key])))) for key in ("major", "minor"))
        return major, minor

    def resource(self, api_version: str, kind: str, *, fresh: bool = False) -> Resource:
        """Return where a kind is served; raise MissingKindError, UnreachableClusterError, ApiError."""
        _ = self.client
        assert self._discovery is not None  # noqa: S101  made with the client
        found = self._discovery.resource(api_version, kind, fresh=fresh)
        if found is None:
            raise MissingKindError(f'no matches for kind "{kind}" in version "{api_version}"')
        return found

    def place(self, thing: Mapping[str, Any], *, fresh: bool = False) -> Resource:
        """Return where an object's kind is served, as `resource` does."""
        return self.resource(str(thing.get("apiVersion", "")), str(thing.get("kind", "")), fresh=fresh)


def namespace_of(thing: Mapping[str, Any]) -> str:
    """Return an object's namespace, empty where it names none."""
    return str((thing.get("metadata") or {}).get("namespace") or "")


def name_of(thing: Mapping[str, Any]) -> str:
    """Return an object's name."""
    return str((thing.get("metadata") or {}).get("name") or "")


def identity(resource: Resource, thing: Mapping[str, Any]) -> str:
    """Return the id by which the engine knows an object."""
    name = name_of(thing)
    return f"{namespace_of(thing) or 'default'}/{name}" if resource.namespaced else name


def item(resource: Resource, thing: Mapping[str, Any]) -> str:
    """Return the path of an object."""
    return resource.item(name_of(thing), namespace_of(thing))
