"""Answers a program's look-ups: networks, images, logs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from offline.plugin.errors import PluginError
from offline.plugin.values import Properties, Value

if TYPE_CHECKING:
    from offline.docker.call import Call
    from offline.docker.lives import Lives

GET_NETWORK = "docker:index/getNetwork:getNetwork"
GET_REMOTE_IMAGE = "docker:index/getRemoteImage:getRemoteImage"
GET_REGISTRY_IMAGE = "docker:index/getRegistryImage:getRegistryImage"
GET_LOGS = "docker:index/getLogs:getLogs"

ARGUMENTS: Mapping[str, frozenset[str]] = {
    GET_NETWORK: frozenset({"name"}),
    GET_REMOTE_IMAGE: frozenset({"name"}),
    GET_REGISTRY_IMAGE: frozenset({"name", "insecureSkipVerify", "authConfig"}),
    GET_LOGS: frozenset(
        {
            "name", "details", "discardHeaders", "follow", "logsListStringEnabled", "showStderr", "showStdout",
            "since", "tail", "timestamps", "until",
        }
    ),
}  # fmt: skip


def answer(token: str, arguments: Properties, lives: Callable[[], Lives]) -> tuple[Properties, list[str]]:
    """Return what was looked up, and complaints about the arguments; raise PluginError when it cannot be found."""
    if token not in ARGUMENTS:
        raise PluginError(f"unrecognized data function (Invoke): {token}")
    complaints = [f"[{key}] Invalid or unknown key" for key in sorted(arguments.keys() - ARGUMENTS[token])]
    if not arguments.get("name"):
        reason = 'The argument "name" is required, but no definition was found.'
        complaints.insert(0, f"[name] Missing required argument: {reason}")
    if complaints:
        return {}, complaints
    call = lives().call("")
    name = str(arguments["name"])
    if token == GET_NETWORK:
        return _network(call, token, name), []
    if token == GET_REMOTE_IMAGE:
        return _remote_image(call, token, name), []
    if token == GET_LOGS:
        return _logs(call, token, name, arguments), []
    raise _not_found(
        token,
        f"Got error when attempting to fetch image version {name} from registry: the offline Docker provider asks no "
        "registry; put the official plugin on PATH",
    )


def _not_found(token: str, message: str) -> PluginError:
    return PluginError(f"invoking {token}: 1 error occurred:\n\t* {message}\n\n")


def _network(call: Call, token: str, name: str) -> Properties:
    from offline.docker.daemon import DaemonError, quoted

    try:
        found: dict[str, Any] = call.daemon.get(f"/networks/{quoted(name)}")
    except DaemonError as error:
        raise _not_found(token, f"Could not find docker network: {error}") from None
    return {
        "containers": [_member(key, member) for key, member in sorted((found.get("Containers") or {}).items())],
        "driver": found["Driver"],
        "id": found["Id"],
        "internal": bool(found.get("Internal")),
        "ipamConfigs": [
            {
                "auxAddress": dict(config.get("AuxiliaryAddresses") or {}),
                "gateway": config.get("Gateway") or "",
                "ipRange": config.get("IPRange") or "",
                "subnet": config.get("Subnet") or "",
            }
            for config in (found.get("IPAM") or {}).get("Config") or []
        ],
        "name": found["Name"],
        "options": dict(found.get("Options") or {}),
        "scope": found.get("Scope") or "",
    }


def _member(identity: str, member: Mapping[str, Any]) -> Properties:
    return {
        "containerId": identity,
        "endpointId": member.get("EndpointID") or "",
        "ipv4Address": member.get("IPv4Address") or "",
        "ipv6Address": member.get("IPv6Address") or "",
        "macAddress": member.get("MacAddress") or "",
        "name": member.get("Name") or "",
    }


def _remote_image(call: Call, token: str, name: str) -> Properties:
    from offline.docker.pull import inspect_image
    from offline.docker.remote_image import repo_digest

    found = inspect_image(call, name)
    if found is None:
        raise _not_found(token, f"did not find docker image {json.dumps(name)}")
    return {"id": found["Id"], "name": name, "repoDigest": repo_digest(name, found)}


def _logs(call: Call, token: str, name: str, arguments: Properties) -> Properties:
    from offline.docker.container_run import unframed
    from offline.docker.daemon import DaemonError, quoted

    if arguments.get("follow") is True:
        raise _not_found(token, "follow is not supported by the offline Docker provider: leave it out")
    query: dict[str, str | bool] = {
        "stdout": arguments.get("showStdout") is not False,
        "stderr": arguments.get("showStderr") is not False,
        "timestamps": arguments.get("timestamps") is True,
        "details": arguments.get("details") is True,
        "tail": _text(arguments.get("tail")) or "all",
        "since": _text(arguments.get("since")),
        "until": _text(arguments.get("until")),
    }
    try:
        raw = call.daemon.raw(f"/containers/{quoted(name)}/logs", {k: v for k, v in query.items() if v != ""})
        terminal = bool(call.daemon.get(f"/containers/{quoted(name)}/json")["Config"].get("Tty"))
    except DaemonError as error:
        raise _not_found(token, f"dataSourceDockerLogsRead: error while asking for logs {error}") from None
    lines = (raw if terminal else unframed(raw)).decode(errors="replace").splitlines()
    wanted = arguments.get("logsListStringEnabled") is not False
    return {**arguments, "id": name, "logsListStrings": [*lines] if wanted else []}


def _text(value: Value) -> str:
    return value if isinstance(value, str) else ""
