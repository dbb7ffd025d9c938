"""Turns a container's properties into what the daemon is sent; nothing here touches it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from offline.docker.durations import parse_duration
from offline.docker.reading import blocks_of, flag_of, labels_of, mapping_of, number_of, text_of, texts_of
from offline.plugin.errors import PluginError
from offline.plugin.values import Properties

MEBIBYTE = 1024 * 1024
SUBPATH_API = (1, 45)
START_INTERVAL_API = (1, 44)

Body = dict[str, Any]


def create_body(wanted: Properties, api: tuple[int, int]) -> Body:
    """Return the body of a create call; raise PluginError for what cannot be asked of the daemon."""
    exposed, _ = ports(wanted)
    anonymous, _, _ = volumes(wanted)
    command = texts_of(wanted, "command")
    if "" in command:
        raise PluginError("values for command may not be empty")
    body: Body = {
        "Image": text_of(wanted, "image"),
        "Hostname": text_of(wanted, "hostname"),
        "Domainname": text_of(wanted, "domainname"),
        "Tty": flag_of(wanted, "tty"),
        "OpenStdin": flag_of(wanted, "stdinOpen"),
        "Env": texts_of(wanted, "envs"),
        "Cmd": command or None,
        "Entrypoint": texts_of(wanted, "entrypoints") or None,
        "User": text_of(wanted, "user"),
        "WorkingDir": text_of(wanted, "workingDir"),
        "Labels": labels_of(wanted),
        "ExposedPorts": exposed,
        "Volumes": anonymous,
        "Healthcheck": healthcheck(wanted, api),
        "HostConfig": host_config(wanted, api),
    }
    if text_of(wanted, "stopSignal"):
        body["StopSignal"] = text_of(wanted, "stopSignal")
    if number_of(wanted, "stopTimeout"):
        body["StopTimeout"] = number_of(wanted, "stopTimeout")
    return {key: value for key, value in body.items() if value is not None}


def healthcheck(wanted: Properties, api: tuple[int, int]) -> Body | None:
    """Return the health check, durations in nanoseconds, or None to leave the image's."""
    for block in blocks_of(wanted, "healthcheck"):
        check: Body = {
            "Test": texts_of(block, "tests"),
            "Interval": parse_duration(text_of(block, "interval")) or 0,
            "Timeout": parse_duration(text_of(block, "timeout")) or 0,
            "StartPeriod": parse_duration(text_of(block, "startPeriod")) or 0,
            "Retries": number_of(block, "retries"),
        }
        start_interval = parse_duration(text_of(block, "startInterval")) or 0
        if start_interval:
            if api < START_INTERVAL_API:
                raise PluginError(
                    'Unable to create container: "specify health-check start interval" requires API version 1.44, '
                    f"but the Docker daemon API version is {api[0]}.{api[1]}"
                )
            check["StartInterval"] = start_interval
        return check
    return None


def ports(wanted: Properties) -> tuple[Body, Body]:
    """Return the ports the container exposes and how they are published."""
    exposed: Body = {}
    bindings: dict[str, list[Body]] = {}
    for port in blocks_of(wanted, "ports"):
        key = f"{number_of(port, 'internal')}/{text_of(port, 'protocol') or 'tcp'}"
        exposed[key] = {}
        external = number_of(port, "external")
        bindings.setdefault(key, []).append({"HostIp": text_of(port, "ip"), "HostPort": str(external)})
    return exposed, dict(bindings)


def volumes(wanted: Properties) -> tuple[Body, list[str], list[str]]:
    """Return the volume paths, the binds, and the containers to take volumes from."""
    paths: Body = {}
    binds: list[str] = []
    sources: list[str] = []
    for volume in blocks_of(wanted, "volumes"):
        path, source = text_of(volume, "containerPath"), text_of(volume, "fromContainer")
        name = text_of(volume, "hostPath") or text_of(volume, "volumeName")
        if not source and not path:
            raise PluginError("Unable to parse volumes: volume entry without container path or source container")
        if source and path:
            raise PluginError("Unable to parse volumes: both a container and a path specified in a volume entry")
        if source:
            sources.append(source)
            continue
        paths[path] = {}
        if name:
            mode = "ro" if flag_of(volume, "readOnly") else "rw"
            relabel = text_of(volume, "selinuxRelabel")
            binds.append(f"{name}:{path}:{mode},{relabel}" if relabel else f"{name}:{path}:{mode}")
    return paths, binds, sources


def mounts(wanted: Properties, api: tuple[int, int]) -> list[Body]:
    """Return the mounts with the options of their type."""
    return [_mount(mount, api) for mount in blocks_of(wanted, "mounts")]


def _mount(mount: Properties, api: tuple[int, int]) -> Body:
    kind = text_of(mount, "type")
    body: Body = {
        "Type": kind,
        "Target": text_of(mount, "target"),
        "Source": text_of(mount, "source"),
        "ReadOnly": flag_of(mount, "readOnly"),
    }
    if kind == "bind":
        for options in blocks_of(mount, "bindOptions"):
            body["BindOptions"] = {"Propagation": text_of(options, "propagation")}
    elif kind == "volume":
        for options in blocks_of(mount, "volumeOptions"):
            if api < SUBPATH_API:
                raise PluginError("Setting VolumeOptions.Subpath requires docker version 1.45 or higher")
            body["VolumeOptions"] = {
                "NoCopy": flag_of(options, "noCopy"),
                "Labels": labels_of(options),
                "DriverConfig": {
                    "Name": text_of(options, "driverName"),
                    "Options": mapping_of(options, "driverOptions"),
                },
                "Subpath": text_of(options, "subpath"),
            }
    elif kind == "tmpfs":
        for options in blocks_of(mount, "tmpfsOptions"):
            body["TmpfsOptions"] = {"SizeBytes": number_of(options, "sizeBytes"), "Mode": number_of(options, "mode")}
    return body


def host_config(wanted: Properties, api: tuple[int, int]) -> Body:
    """Return the part of a create call that is about the host."""
    _, bindings = ports(wanted)
    _, binds, sources = volumes(wanted)
    security, masked = security_options(texts_of(wanted, "securityOpts"))
    capabilities = next(iter(blocks_of(wanted, "capabilities")), {})
    body: Body = {
        "Privileged": flag_of(wanted, "privileged"),
        "PublishAllPorts": flag_of(wanted, "publishAllPorts"),
        "RestartPolicy": restart_policy(wanted),
        "Runtime": text_of(wanted, "runtime"),
        "Mounts": mounts(wanted, api),
        "AutoRemove": flag_of(wanted, "rm"),
        "ReadonlyRootfs": flag_of(wanted, "readOnly"),
        "LogConfig": {"Type": text_of(wanted, "logDriver"), "Config": mapping_of(wanted, "logOpts")},
        "Tmpfs": mapping_of(wanted, "tmpfs"),
        "PortBindings": bindings,
        "ExtraHosts": [f"{text_of(h, 'host')}:{text_of(h, 'ip')}" for h in blocks_of(wanted, "hosts")],
        "Binds": binds,
        "VolumesFrom": sources,
        "Ulimits": [
            {"Name": text_of(u, "name"), "Soft": number_of(u, "soft"), "Hard": number_of(u, "hard")}
            for u in blocks_of(wanted, "ulimits")
        ],
        "CapAdd": texts_of(capabilities, "adds"),
        "CapDrop": texts_of(capabilities, "drops"),
        "Devices": [_device(device) for device in blocks_of(wanted, "devices")],
        "DeviceRequests": device_requests(wanted),
        "Dns": texts_of(wanted, "dns"),
        "DnsOptions": texts_of(wanted, "dnsOpts"),
        "DnsSearch": texts_of(wanted, "dnsSearches"),
        "SecurityOpt": security,
        "Memory": number_of(wanted, "memory") * MEBIBYTE,
        "MemoryReservation": number_of(wanted, "memoryReservation") * MEBIBYTE,
        "MemorySwap": memory_swap(wanted),
        "ShmSize": number_of(wanted, "shmSize") * MEBIBYTE,
        "CpuShares": number_of(wanted, "cpuShares"),
        "CpusetCpus": text_of(wanted, "cpuSet"),
        "NetworkMode": text_of(wanted, "networkMode"),
        "UsernsMode": text_of(wanted, "usernsMode"),
        "PidMode": text_of(wanted, "pidMode"),
        "Sysctls": mapping_of(wanted, "sysctls"),
        "IpcMode": text_of(wanted, "ipcMode"),
        "GroupAdd": texts_of(wanted, "groupAdds"),
        "CgroupnsMode": cgroup_namespace(wanted),
        "CgroupParent": text_of(wanted, "cgroupParent"),
        "Init": flag_of(wanted, "init"),
        "StorageOpt": mapping_of(wanted, "storageOpts"),
        **throttles(wanted),
        **cpu_quota(wanted),
    }
    body = {key: value for key, value in body.items() if value or key == "Init"}
    if masked:
        body["MaskedPaths"], body["ReadonlyPaths"] = [], []
    return body


def restart_policy(wanted: Properties) -> Body:
    """Return the restart policy."""
    return {"Name": text_of(wanted, "restart"), "MaximumRetryCount": number_of(wanted, "maxRetryCount")}


def memory_swap(wanted: Properties) -> int:
    """Return memory and swap together in bytes; -1 is unlimited."""
    swap = number_of(wanted, "memorySwap")
    return swap * MEBIBYTE if swap > 0 else swap


def security_options(written: list[str]) -> tuple[list[str], bool]:
    """Return the options for the daemon, and whether system paths stay unmasked, which is asked for otherwise."""
    unconfined = "systempaths=unconfined"
    return [option for option in written if option != unconfined], unconfined in written


def cgroup_namespace(wanted: Properties) -> str:
    """Return the cgroup namespace mode; raise PluginError for one there is not."""
    mode = text_of(wanted, "cgroupnsMode")
    if mode not in ("", "private", "host"):
        raise PluginError("cgroupns_mode: invalid CGROUP mode, must be either 'private', 'host' or empty")
    return mode


def cpu_quota(wanted: Properties) -> Body:
    """Return the processor share: as billionths of a processor, else as period and quota."""
    written = text_of(wanted, "cpus")
    if not written:
        return {"CpuPeriod": number_of(wanted, "cpuPeriod"), "CpuQuota": number_of(wanted, "cpuQuota")}
    try:
        nano = Fraction(written) * 10**9
    except (ValueError, ZeroDivisionError):
        raise PluginError(f"Error setting cpus: failed to parse {written} as a rational number") from None
    if nano.denominator != 1:
        raise PluginError("Error setting cpus: value is too precise")
    return {"NanoCpus": int(nano)}


def throttles(wanted: Properties) -> Body:
    """Return the limits on what block devices are read and written."""
    names = {
        "deviceReadBps": "BlkioDeviceReadBps",
        "deviceReadIops": "BlkioDeviceReadIOps",
        "deviceWriteBps": "BlkioDeviceWriteBps",
        "deviceWriteIops": "BlkioDeviceWriteIOps",
    }
    return {
        theirs: [{"Path": text_of(d, "path"), "Rate": number_of(d, "rate")} for d in blocks_of(wanted, ours)]
        for ours, theirs in names.items()
    }


def _device(device: Properties) -> Body:
    host = text_of(device, "hostPath")
    return {
        "PathOnHost": host,
        "PathInContainer": text_of(device, "containerPath") or host,
        "CgroupPermissions": text_of(device, "permissions"),
    }


def device_requests(wanted: Properties) -> list[Body]:
    """Return the requests for devices such as GPUs."""
    gpus = text_of(wanted, "gpus").strip().strip("\"'")
    if gpus:
        return [_gpus(gpus)]
    return [
        {
            "Driver": text_of(request, "driver"),
            "Count": number_of(request, "count"),
            "DeviceIDs": texts_of(request, "deviceIds"),
            "Capabilities": [texts_of(request, "capabilities")],
            "Options": mapping_of(request, "options"),
        }
        for request in blocks_of(wanted, "deviceRequests")
    ]


def _gpus(written: str) -> Body:
    request: Body = {"Count": 0, "DeviceIDs": [], "Capabilities": [["gpu"]], "Options": {}, "Driver": ""}
    if written == "all":
        return {**request, "Count": -1}
    key, _, value = written.partition("=")
    if key == "device" and value:
        return {**request, "DeviceIDs": value.split(",")}
    raise PluginError(f'Error setting gpus: {written!r} is neither "all" nor "device=<id[,id...]>"')


def endpoint(network: Properties, api: tuple[int, int]) -> Body:
    """Return how the container is connected to one network."""
    options = dict(pair.split("=", 1) for pair in texts_of(network, "driverOpts") if "=" in pair)
    body: Body = {
        "Aliases": texts_of(network, "aliases"),
        "IPAMConfig": {
            "IPv4Address": text_of(network, "ipv4Address"),
            "IPv6Address": text_of(network, "ipv6Address"),
            "LinkLocalIPs": texts_of(network, "linkLocalIps"),
        },
        "MacAddress": text_of(network, "macAddress"),
        "DriverOpts": options,
    }
    if api >= (1, 48):
        body["GwPriority"] = number_of(network, "gwPriority")
    return body


def update_body(wanted: Properties) -> Body:
    """Return the body of an update call: everything that can change while the container lives."""
    body: Body = {
        "RestartPolicy": restart_policy(wanted),
        "CpuShares": number_of(wanted, "cpuShares"),
        "Memory": number_of(wanted, "memory") * MEBIBYTE,
        "MemoryReservation": number_of(wanted, "memoryReservation") * MEBIBYTE,
        "MemorySwap": memory_swap(wanted),
        "CpusetCpus": text_of(wanted, "cpuSet"),
        **throttles(wanted),
    }
    return {key: value for key, value in body.items() if value}
