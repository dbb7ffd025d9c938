"""What is known of each resource type before anything is done: its properties and the rules around them."""

from __future__ import annotations

from dataclasses import dataclass

from offline.docker.container_fields import CONTAINER
from offline.docker.network_fields import NETWORK
from offline.docker.remote_image_fields import REMOTE_IMAGE
from offline.docker.schema import Fields
from offline.docker.volume_fields import VOLUME

MINUTE_NS = 60_000_000_000
TIMEOUTS_KEY = "e2bfb730-ecaa-11e6-8f88-34363bc7c4c0"
EXTRA_KEY = "_new_extra_shim"


@dataclass(frozen=True)
class ResourceType:
    """One type: its token, its properties, whether it is named automatically, what its private state holds."""

    token: str
    fields: Fields
    named: bool
    delete_first: bool
    schema_version: str | None
    has_timeouts: bool

    def meta(self, *, preview: bool = False) -> dict[str, object]:
        """Return the private part of the state as the official provider writes it, so that states can be exchanged."""
        found: dict[str, object] = {}
        if preview:
            found[EXTRA_KEY] = {}
        if self.has_timeouts:
            found[TIMEOUTS_KEY] = dict.fromkeys(("create", "delete", "update"), 20 * MINUTE_NS)
        if self.schema_version is not None and not preview:
            found["schema_version"] = self.schema_version
        return found


CONTAINER_TYPE = ResourceType("docker:index/container:Container", CONTAINER, True, True, "2", True)
NETWORK_TYPE = ResourceType("docker:index/network:Network", NETWORK, True, False, "1", False)
VOLUME_TYPE = ResourceType("docker:index/volume:Volume", VOLUME, True, False, "1", False)
REMOTE_IMAGE_TYPE = ResourceType("docker:index/remoteImage:RemoteImage", REMOTE_IMAGE, False, False, None, True)

TYPES = {kind.token: kind for kind in (CONTAINER_TYPE, NETWORK_TYPE, VOLUME_TYPE, REMOTE_IMAGE_TYPE)}
