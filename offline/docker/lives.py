"""Leads a call to the life of its resource type. Loaded apart from the rest: the daemon's client takes time to load."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from offline.docker import container, network, remote_image, volume
from offline.docker.call import Call, Made
from offline.docker.configuration import Configuration
from offline.docker.daemon import LONG_SECONDS, Address, Daemon, UnreachableError, from_environment
from offline.docker.resource import CONTAINER_TYPE, NETWORK_TYPE, REMOTE_IMAGE_TYPE, VOLUME_TYPE, ResourceType
from offline.plugin.errors import PluginError
from offline.plugin.log import EngineLog
from offline.plugin.values import Properties, Value

NATIVE = "docker native provider returned an unexpected error from Configure"


class Lives:
    """The daemon that was configured, and what can be done on it."""

    def __init__(self, configuration: Configuration, log: EngineLog) -> None:
        found = from_environment(configuration.host, configuration.cert_path)
        address = Address(
            found.host,
            found.cert_path,
            configuration.ca_material,
            configuration.cert_material,
            configuration.key_material,
        )
        if not address.valid:
            raise PluginError(f"{NATIVE}: unable to parse docker host `{address.host}`")
        self.auths = configuration.auths
        self.cancelled = threading.Event()
        self._daemon = Daemon(address)
        self._log = log
        if not configuration.host_unknown:
            self._connect()

    def _connect(self) -> None:
        try:
            _ = self._daemon.api
        except UnreachableError as error:
            if "speaks API" in str(error):
                raise PluginError(str(error)) from None
            raise PluginError(f"{NATIVE}: failed to connect to any docker daemon") from None

    def call(self, urn: str, seconds: float = 0) -> Call:
        """Return what one call works with; a time of 0 stands for the provider's own, twenty minutes."""
        return Call(self._daemon, self._log, self.cancelled, urn, seconds or LONG_SECONDS)

    def create(self, kind: ResourceType, call: Call, foretold: Properties) -> Made:
        """Create an object; raise PluginError or InitFailedError."""
        if kind is CONTAINER_TYPE:
            return container.create(call, foretold, self.auths)
        if kind is NETWORK_TYPE:
            return network.create(call, foretold)
        if kind is VOLUME_TYPE:
            return volume.create(call, foretold)
        return remote_image.create(call, foretold, self.auths)

    def read(self, kind: ResourceType, call: Call, id: str, prior: Mapping[str, Value]) -> Made | None:  # noqa: A002
        """Return an object's present state, or None when it is gone; raise PluginError."""
        if kind is CONTAINER_TYPE:
            return container.read(call, id, prior)
        if kind is NETWORK_TYPE:
            return network.read(call, id, prior)
        if kind is VOLUME_TYPE:
            return volume.read(call, id, prior)
        return remote_image.read(call, prior)

    def update(
        self,
        kind: ResourceType,
        call: Call,
        id: str,  # noqa: A002
        prior: Mapping[str, Value],
        foretold: Properties,
    ) -> Properties:
        """Change an object in place; raise PluginError or InitFailedError."""
        if kind is CONTAINER_TYPE:
            return container.update(call, id, prior, foretold)
        if kind is REMOTE_IMAGE_TYPE:
            return remote_image.update(call, foretold, self.auths)
        raise PluginError(f"{call.urn}: nothing of this type can be changed in place")

    def delete(self, kind: ResourceType, call: Call, id: str, state: Mapping[str, Value]) -> None:  # noqa: A002
        """Remove an object; raise PluginError."""
        if kind is CONTAINER_TYPE:
            container.delete(call, id, state)
        elif kind is NETWORK_TYPE:
            network.delete(call, id)
        elif kind is VOLUME_TYPE:
            volume.delete(call, id)
        else:
            remote_image.delete(call, state)
