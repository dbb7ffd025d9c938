"""The properties of a network."""

from __future__ import annotations

from offline.docker.fields import block_set, flag, labels, mapping, text
from offline.docker.schema import Fields

IPAM_CONFIG: Fields = {
    "subnet": text(replace=True),
    "ipRange": text(replace=True),
    "gateway": text(replace=True),
    "auxAddress": mapping(replace=True),
}

NETWORK: Fields = {
    "name": text(required=True, replace=True),
    "labels": labels(),
    "driver": text(computed=True, replace=True),
    "options": mapping(computed=True, replace=True),
    "internal": flag(computed=True, replace=True),
    "attachable": flag(replace=True),
    "ingress": flag(replace=True),
    "ipv6": flag(replace=True, underlying="ipv6"),
    "ipamDriver": text(default="default", replace=True),
    "ipamOptions": mapping(replace=True),
    "ipamConfigs": block_set(IPAM_CONFIG, computed=True, replace=True, underlying="ipam_config"),
    "scope": text(computed=True, input=False),
}
