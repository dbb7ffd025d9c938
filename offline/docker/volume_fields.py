"""The properties of a volume."""

from __future__ import annotations

from offline.docker.fields import blocks, labels, mapping, text
from offline.docker.schema import Fields, one_of

CLUSTER: Fields = {
    "id": text(computed=True, input=False),
    "scope": text(default="single", replace=True, complain=one_of("single", "multi")),
    "sharing": text(default="none", replace=True, complain=one_of("none", "readonly", "onewriter", "all")),
    "type": text(default="block", replace=True, complain=one_of("mount", "block")),
    "group": text(replace=True),
    "limitBytes": text(replace=True),
    "requiredBytes": text(replace=True),
    "topologyPreferred": text(replace=True),
    "topologyRequired": text(replace=True),
    "availability": text(default="active", complain=one_of("active", "pause", "drain")),
}

VOLUME: Fields = {
    "name": text(computed=True, replace=True),
    "labels": labels(),
    "driver": text(computed=True, replace=True),
    "driverOpts": mapping(replace=True),
    "mountpoint": text(computed=True, input=False),
    "cluster": blocks(CLUSTER, one=True),
}
