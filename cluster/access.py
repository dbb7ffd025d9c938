"""Kubeconfigs: for the administrator with everything in the file, for the cluster's own programs with paths in it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from cluster import authority
from cluster.layout import Layout
from setup.files import write_atomically

ADMINISTRATOR = "administrator"
PROGRAMS = ("controller-manager", "scheduler", "proxy", "kubelet", "keeper", "storage")


def provide(layout: Layout) -> None:
    """Write the kubeconfigs."""
    certificates = layout.certificates
    for name in PROGRAMS:
        files = {
            "certificate-authority": str(authority.certificate(certificates, authority.API)),
            "client-certificate": str(authority.certificate(certificates, name)),
            "client-key": str(authority.key(certificates, name)),
        }
        text = kubeconfig(layout.shape.name, name, server(layout, inside=True), files)
        _write(layout, name, text)
    contents = {
        "certificate-authority-data": _encoded(authority.certificate(certificates, authority.API).read_bytes()),
        "client-certificate-data": _encoded(authority.certificate(certificates, ADMINISTRATOR).read_bytes()),
        "client-key-data": _encoded(authority.key(certificates, ADMINISTRATOR).read_bytes()),
    }
    text = kubeconfig(layout.shape.name, ADMINISTRATOR, server(layout, inside=False), contents)
    write_atomically(layout.kubeconfig, text.encode(), 0o600)


def server(layout: Layout, *, inside: bool) -> str:
    """Return the API's address, for programs of the cluster or for whoever is on this machine."""
    address = layout.shape.node_address if inside else "127.0.0.1"
    return f"https://{address}:{layout.shape.api_port}"


def kubeconfig(cluster: str, user: str, address: str, proof: Mapping[str, str]) -> str:
    """Return a kubeconfig's text; JSON, which every reader of YAML takes."""
    found: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": cluster,
        "clusters": [
            {
                "name": cluster,
                "cluster": {
                    "server": address,
                    **{name: value for name, value in proof.items() if name.startswith("certificate-authority")},
                },
            }
        ],
        "users": [
            {
                "name": user,
                "user": {name: value for name, value in proof.items() if name.startswith("client-")},
            }
        ],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user}}],
    }
    return json.dumps(found, indent=2) + "\n"


def _write(layout: Layout, name: str, text: str) -> None:
    write_atomically(layout.configuration / f"{name}.kubeconfig", text.encode(), 0o600)


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
