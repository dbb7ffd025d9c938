"""Turns what the daemon says about a container into the properties of its state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from offline.docker.durations import format_duration
from offline.docker.reading import flag_of, texts_of
from offline.plugin.values import Properties, Value

MEBIBYTE = 1024 * 1024

Inspected = Mapping[str, Any]


def found_in(inspected: Inspected, before: Mapping[str, Value]) -> Properties:
    """Return the properties the daemon tells of; `before` is the state that is refreshed.

    Where `before` lacks ulimits, devices, ports, pidMode, gpus or device requests, the daemon's are not told either.
    """
    config, host, status = inspected["Config"], inspected["HostConfig"], inspected["State"]
    found: Properties = {
        "name": str(inspected["Name"]).lstrip("/"),
        "image": _image(inspected, before),
        "platform": inspected.get("Platform") or "",
        **_of_config(config),
        **_of_host(host),
        **_optional(host, before),
        "logOpts": _mapping((host.get("LogConfig") or {}).get("Config")) if before.get("logOpts") else {},
        **networks(inspected.get("NetworkSettings") or {}, before, running=bool(status.get("Running"))),
    }
    if not status.get("Running"):
        found["exitCode"] = int(status.get("ExitCode") or 0)
        if flag_of(before, "mustRun"):
            found["mustRun"] = False
    return found


def _image(inspected: Inspected, before: Mapping[str, Value]) -> str:
    """Return the image as the program named it: by id, else by name."""
    by_id = str(before.get("image") or "").startswith("sha256:")
    return str(inspected["Image"] if by_id or not before.get("image") else inspected["Config"]["Image"])


def _of_config(config: Inspected) -> Properties:
    found: Properties = {
        "hostname": config.get("Hostname") or "",
        "domainname": config.get("Domainname") or "",
        "command": list(config.get("Cmd") or []),
        "entrypoints": list(config.get("Entrypoint") or []),
        "user": config.get("User") or "",
        "workingDir": config.get("WorkingDir") or "",
        "tty": bool(config.get("Tty")),
        "stdinOpen": bool(config.get("OpenStdin")),
        "stopSignal": config.get("StopSignal") or "",
        "stopTimeout": int(config.get("StopTimeout") or 0),
    }
    check = config.get("Healthcheck")
    if check:
        found["healthcheck"] = {
            "tests": list(check.get("Test") or []),
            "interval": format_duration(check.get("Interval") or 0),
            "timeout": format_duration(check.get("Timeout") or 0),
            "startPeriod": format_duration(check.get("StartPeriod") or 0),
            "startInterval": format_duration(check.get("StartInterval") or 0),
            "retries": int(check.get("Retries") or 0),
        }
    return found


def _of_host(host: Inspected) -> Properties:
    restart = host.get("RestartPolicy") or {}
    found: Properties = {
        "rm": bool(host.get("AutoRemove")),
        "readOnly": bool(host.get("ReadonlyRootfs")),
        "dns": _texts(host, "Dns"),
        "dnsOpts": _texts(host, "DnsOptions"),
        "dnsSearches": _texts(host, "DnsSearch"),
        "securityOpts": _texts(host, "SecurityOpt"),
        "publishAllPorts": bool(host.get("PublishAllPorts")),
        "restart": restart.get("Name") or "",
        "maxRetryCount": int(restart.get("MaximumRetryCount") or 0),
        "init": bool(host.get("Init")),
        "runtime": host.get("Runtime") or "",
        "mounts": [_mount(mount) for mount in host.get("Mounts") or []],
        "tmpfs": _mapping(host.get("Tmpfs")),
        "hosts": [_extra_host(pair) for pair in host.get("ExtraHosts") or []],
        "privileged": bool(host.get("Privileged")),
        "memory": _mebibytes(host.get("Memory")),
        "memoryReservation": _mebibytes(host.get("MemoryReservation")),
        "memorySwap": _mebibytes(host.get("MemorySwap")),
        "shmSize": _mebibytes(host.get("ShmSize")),
        "cpuShares": int(host.get("CpuShares") or 0),
        "cpuSet": host.get("CpusetCpus") or "",
        "logDriver": (host.get("LogConfig") or {}).get("Type") or "",
        "storageOpts": _mapping(host.get("StorageOpt")),
        "networkMode": host.get("NetworkMode") or "",
        "usernsMode": host.get("UsernsMode") or "",
        "sysctls": _mapping(host.get("Sysctls")),
        "ipcMode": host.get("IpcMode") or "",
        "groupAdds": _texts(host, "GroupAdd"),
        "deviceReadBps": _throttle(host.get("BlkioDeviceReadBps")),
        "deviceReadIops": _throttle(host.get("BlkioDeviceReadIOps")),
        "deviceWriteBps": _throttle(host.get("BlkioDeviceWriteBps")),
        "deviceWriteIops": _throttle(host.get("BlkioDeviceWriteIOps")),
    }
    if host.get("CapAdd") or host.get("CapDrop"):
        found["capabilities"] = {"adds": _texts(host, "CapAdd"), "drops": _texts(host, "CapDrop")}
    if host.get("NanoCpus"):
        found["cpus"] = decimal(int(host["NanoCpus"]))
    return found


def _optional(host: Inspected, before: Mapping[str, Value]) -> Properties:
    found: Properties = {}
    if before.get("ulimits"):
        found["ulimits"] = [
            {"name": u["Name"], "soft": int(u["Soft"]), "hard": int(u["Hard"])} for u in host.get("Ulimits") or []
        ]
    if before.get("devices"):
        found["devices"] = _devices(host, before["devices"])
    if before.get("pidMode"):
        found["pidMode"] = host.get("PidMode") or ""
    requests = host.get("DeviceRequests") or []
    if before.get("gpus"):
        shown = _gpus(requests)
        if shown is not None:
            found["gpus"] = shown
    elif before.get("deviceRequests"):
        found["deviceRequests"] = [
            {
                "driver": request.get("Driver") or "",
                "count": int(request.get("Count") or 0),
                "deviceIds": _texts(request, "DeviceIDs"),
                "capabilities": [*(request.get("Capabilities") or [[]])[0]],
                "options": _mapping(request.get("Options")),
            }
            for request in requests
        ]
    return found


def _devices(host: Inspected, configured: Value) -> Value:
    spelled_out = {
        device.get("hostPath")
        for device in (configured if isinstance(configured, list) else [])
        if isinstance(device, dict) and device.get("containerPath")
    }
    return [
        {
            "hostPath": device["PathOnHost"],
            "containerPath": device["PathInContainer"] if device["PathOnHost"] in spelled_out else "",
            "permissions": device["CgroupPermissions"],
        }
        for device in host.get("Devices") or []
    ]


def _gpus(requests: list[Inspected]) -> str | None:
    if not requests:
        return ""
    if len(requests) != 1:
        return None
    if requests[0].get("DeviceIDs"):
        return "device=" + ",".join(requests[0]["DeviceIDs"])
    capable = any(c.lower() == "gpu" for group in requests[0].get("Capabilities") or [] for c in group)
    return "all" if requests[0].get("Count") == -1 and capable else None


def networks(settings: Inspected, before: Mapping[str, Value], *, running: bool) -> Properties:
    """Return what is said of a container's networks and, where it has any configured, of its published ports."""
    found: Properties = {"bridge": settings.get("Bridge") or ""}
    if before.get("ports") and (running or flag_of(before, "mustRun")):
        found["ports"] = published(settings.get("Ports") or {})
    found["networkDatas"] = [
        {
            "networkName": name,
            "ipAddress": network.get("IPAddress") or "",
            "ipPrefixLength": int(network.get("IPPrefixLen") or 0),
            "gateway": network.get("Gateway") or "",
            "globalIpv6Address": network.get("GlobalIPv6Address") or "",
            "globalIpv6PrefixLength": int(network.get("GlobalIPv6PrefixLen") or 0),
            "ipv6Gateway": network.get("IPv6Gateway") or "",
            "macAddress": network.get("MacAddress") or "",
        }
        for name, network in sorted((settings.get("Networks") or {}).items())
    ]
    return found


def published(bindings: Mapping[str, list[Inspected] | None]) -> list[Value]:
    """Return published ports in the order of the container's own ports."""
    result: list[Value] = []
    for key in sorted(bindings, key=lambda key: int(key.partition("/")[0])):
        internal, _, protocol = key.partition("/")
        result.extend(
            {
                "internal": int(internal),
                "external": int(binding.get("HostPort") or 0),
                "ip": binding.get("HostIp") or "",
                "protocol": protocol,
            }
            for binding in bindings[key] or []
        )
    return result


def _mount(mount: Inspected) -> Properties:
    found: Properties = {
        "type": mount.get("Type") or "",
        "target": mount.get("Target") or "",
        "source": mount.get("Source") or "",
        "readOnly": bool(mount.get("ReadOnly")),
    }
    if mount.get("BindOptions"):
        found["bindOptions"] = {"propagation": mount["BindOptions"].get("Propagation") or ""}
    if mount.get("VolumeOptions"):
        options = mount["VolumeOptions"]
        driver = options.get("DriverConfig") or {}
        found["volumeOptions"] = {
            "noCopy": bool(options.get("NoCopy")),
            "labels": [{"label": k, "value": v} for k, v in (options.get("Labels") or {}).items()],
            "driverName": driver.get("Name") or "",
            "driverOptions": _mapping(driver.get("Options")),
            "subpath": options.get("Subpath") or "",
        }
    if mount.get("TmpfsOptions"):
        options = mount["TmpfsOptions"]
        found["tmpfsOptions"] = {
            "sizeBytes": int(options.get("SizeBytes") or 0),
            "mode": int(options.get("Mode") or 0),
        }
    return found


def decimal(nano: int) -> str:
    """Return billionths of a processor as a decimal with at least one digit after the point."""
    whole, rest = divmod(nano, 10**9)
    return f"{whole}.{f'{rest:09d}'.rstrip('0') or '0'}"


def _extra_host(pair: str) -> Properties:
    host, _, address = pair.partition(":")
    return {"host": host, "ip": address}


def _mebibytes(count: int | None) -> int:
    return count // MEBIBYTE if count and count > 0 else int(count or 0)


def _throttle(devices: list[Inspected] | None) -> list[Value]:
    return [{"path": device["Path"], "rate": int(device["Rate"])} for device in devices or []]


def _texts(source: Inspected, key: str) -> list[Value]:
    return [*texts_of({"found": list(source.get(key) or [])}, "found")]


def _mapping(found: Mapping[str, str] | None) -> Properties:
    return dict(found or {})
