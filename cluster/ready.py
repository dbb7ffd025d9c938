"""Whether the parts of a cluster answer; each question is asked once, and may raise OSError while nothing is there."""

from __future__ import annotations

import datetime
import http.client
import json
import secrets
import socket
import struct
from ipaddress import IPv4Address

from cluster.api import Api, Refused
from cluster.layout import Layout
from cluster.shape import DOMAIN

SECONDS = 1.0


def api(asked: Api) -> bool:
    """Return whether the API is ready for requests."""
    try:
        return bool(asked.get("/readyz") == "ok")
    except Refused:
        return False


def containerd(layout: Layout) -> bool:
    """Return whether the runtime takes connections."""
    return _connects(str(layout.containerd_socket))


def keeper(layout: Layout) -> bool:
    """Return whether the keeper has loaded the rules."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(SECONDS)
        connection.connect(str(layout.keeper_socket))
        connection.sendall(b'{"verb": "ready"}\n')
        return bool(json.loads(connection.makefile().readline() or '{"problem": "silent"}')["problem"] == "")


def node(asked: Api, layout: Layout) -> bool:
    """Return whether the node is ready, and has said so since its agent was started last."""
    try:
        conditions = asked.get(f"/api/v1/nodes/{layout.shape.node}")["status"].get("conditions") or []
    except Refused:
        return False
    # The API keeps whole seconds.
    started = int((layout.records / "kubelet.json").stat().st_mtime)
    return any(
        each["type"] == "Ready"
        and each["status"] == "True"
        and datetime.datetime.fromisoformat(each["lastHeartbeatTime"]).timestamp() >= started
        for each in conditions
    )


def registry(layout: Layout) -> bool:
    """Return whether the registry answers at its address on this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", layout.shape.registry_port, timeout=SECONDS)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status == http.client.OK
    except http.client.HTTPException as error:
        raise ConnectionError(type(error).__name__) from error
    finally:
        connection.close()


def names(layout: Layout) -> bool:
    """Return whether the cluster's DNS, asked at its address, knows the address of the API."""
    number = secrets.randbelow(1 << 16)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.settimeout(SECONDS / 4)
        connection.sendto(question(f"kubernetes.default.svc.{DOMAIN}", number), (str(layout.shape.dns_address), 53))
        return answered(connection.recv(512), number) == layout.shape.api_address


def question(name: str, number: int) -> bytes:
    """Return a question of DNS for the address of a name."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)


def answered(text: bytes, number: int) -> IPv4Address | None:
    """Return the address in an answer that has one, which is its last part."""
    if len(text) < 12:
        return None
    found, flags, _, answers = struct.unpack(">HHHH", text[:8])
    if found != number or flags & 0x000F or answers != 1:
        return None
    return IPv4Address(text[-4:])


def _connects(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(SECONDS)
        connection.connect(path)
    return True
