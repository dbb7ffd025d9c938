"""The properties of a container."""

from __future__ import annotations

from offline.docker.fields import block_set, blocks, flag, labels, mapping, number, text, text_set, texts
from offline.docker.schema import Field, Fields, absolute_path, at_least, base64_text, duration, matches

READ_TIMEOUT_MS = 15_000


def _throttle(underlying: str) -> Field:
    return block_set(
        {"path": text(required=True), "rate": number(required=True, complain=at_least(0))}, underlying=underlying
    )


MOUNT: Fields = {
    "target": text(required=True),
    "source": text(),
    "type": text(required=True, complain=matches(r"^(bind|volume|tmpfs)$")),
    "readOnly": flag(),
    "bindOptions": blocks(
        {"propagation": text(complain=matches(r"^(private|rprivate|shared|rshared|slave|rslave)$"))}, one=True
    ),
    "volumeOptions": blocks(
        {
            "noCopy": flag(),
            "labels": block_set(
                {"label": text(required=True, replace=True), "value": text(required=True, replace=True)}
            ),
            "driverName": text(),
            "driverOptions": mapping(typed=True),
            "subpath": text(replace=True),
        },
        one=True,
    ),
    "tmpfsOptions": blocks({"sizeBytes": number(), "mode": number()}, one=True, replace=True),
}

VOLUME: Fields = {
    "fromContainer": text(replace=True),
    "containerPath": text(replace=True),
    "hostPath": text(replace=True, complain=absolute_path),
    "volumeName": text(replace=True),
    "readOnly": flag(replace=True),
    "selinuxRelabel": text(replace=True, complain=matches(r"^(z|Z)$")),
}

PORT: Fields = {
    "internal": number(required=True, replace=True),
    "external": number(computed=True, replace=True),
    "ip": text(default="0.0.0.0", blank_is="0.0.0.0", replace=True),  # noqa: S104  the provider's default
    "protocol": text(default="tcp", replace=True),
}

NETWORK: Fields = {
    "name": text(required=True, replace=True),
    "aliases": text_set(replace=True),
    "ipv4Address": text(replace=True, underlying="ipv4_address"),
    "ipv6Address": text(replace=True, underlying="ipv6_address"),
    "linkLocalIps": text_set(replace=True),
    "macAddress": text(replace=True),
    "driverOpts": text_set(replace=True),
    "gwPriority": number(replace=True, complain=at_least(0)),
}

NETWORK_DATA: Fields = {
    "networkName": text(computed=True, input=False),
    "ipAddress": text(computed=True, input=False),
    "ipPrefixLength": number(computed=True, input=False),
    "gateway": text(computed=True, input=False),
    "globalIpv6Address": text(computed=True, input=False),
    "globalIpv6PrefixLength": number(computed=True, input=False),
    "ipv6Gateway": text(computed=True, input=False),
    "macAddress": text(computed=True, input=False),
}

UPLOAD: Fields = {
    "content": text(replace=True),
    "contentBase64": text(replace=True, complain=base64_text, underlying="content_base64"),
    "file": text(required=True, replace=True),
    "executable": flag(default=False, replace=True),
    "permissions": text(replace=True, complain=matches(r"^0[0-7]{3}$")),
    "source": text(replace=True),
    "sourceHash": text(replace=True),
}

HEALTHCHECK: Fields = {
    "tests": texts(underlying="test"),
    "interval": text(default="0s", complain=duration),
    "timeout": text(default="0s", complain=duration),
    "startPeriod": text(default="0s", complain=duration),
    "startInterval": text(default="0s", complain=duration),
    "retries": number(default=0, complain=at_least(0)),
}

CONTAINER: Fields = {
    "attach": flag(default=False),
    "bridge": text(computed=True, input=False),
    "capabilities": block_set(
        {"adds": text_set(replace=True, underlying="add"), "drops": text_set(replace=True, underlying="drop")},
        one=True,
        replace=True,
    ),
    "cgroupParent": text(replace=True),
    "cgroupnsMode": text(replace=True),
    "command": texts(computed=True, replace=True),
    "containerLogs": text(computed=True, input=False),
    "containerReadRefreshTimeoutMilliseconds": number(default=READ_TIMEOUT_MS),
    "cpuPeriod": number(complain=at_least(0)),
    "cpuQuota": number(complain=at_least(0)),
    "cpuSet": text(complain=matches(r"^\d+([,-]\d+)*$")),
    "cpuShares": number(complain=at_least(0)),
    "cpus": text(replace=True),
    "destroyGraceSeconds": number(),
    "deviceReadBps": _throttle("device_read_bps"),
    "deviceReadIops": _throttle("device_read_iops"),
    "deviceRequests": block_set(
        {
            "driver": text(default="cdi", replace=True),
            "count": number(default=0, replace=True),
            "deviceIds": text_set(replace=True),
            "capabilities": text_set(replace=True),
            "options": mapping(replace=True, typed=True),
        },
        replace=True,
        conflicts=("gpus",),
    ),
    "deviceWriteBps": _throttle("device_write_bps"),
    "deviceWriteIops": _throttle("device_write_iops"),
    "devices": block_set(
        {
            "hostPath": text(required=True, replace=True),
            "containerPath": text(replace=True),
            "permissions": text(default="rwm", replace=True),
        },
        replace=True,
    ),
    "dns": text_set(replace=True),
    "dnsOpts": text_set(replace=True),
    "dnsSearches": text_set(replace=True, underlying="dns_search"),
    "domainname": text(replace=True),
    "entrypoints": texts(computed=True, replace=True, underlying="entrypoint"),
    "envs": text_set(computed=True, replace=True, underlying="env"),
    "exitCode": number(computed=True, input=False),
    "gpus": text(replace=True),
    "groupAdds": text_set(replace=True, underlying="group_add"),
    "healthcheck": blocks(HEALTHCHECK, one=True, computed=True),
    "hostname": text(computed=True, replace=True),
    "hosts": block_set(
        {"ip": text(required=True, replace=True), "host": text(required=True, replace=True)},
        replace=True,
        underlying="host",
    ),
    "image": text(required=True, replace=True),
    "init": flag(computed=True),
    "ipcMode": text(computed=True, replace=True),
    "labels": labels(computed=True),
    "logDriver": text(computed=True, replace=True),
    "logOpts": mapping(replace=True),
    "logs": flag(default=False),
    "maxRetryCount": number(),
    "memory": number(complain=at_least(0)),
    "memoryReservation": number(default=0, complain=at_least(0)),
    "memorySwap": number(complain=at_least(-1)),
    "mounts": block_set(MOUNT, replace=True),
    "mustRun": flag(default=True),
    "name": text(required=True, replace=True),
    "networkDatas": blocks(NETWORK_DATA, computed=True, input=False, underlying="network_data"),
    "networkMode": text(default="bridge", replace=True),
    "networksAdvanced": block_set(NETWORK, replace=True),
    "pidMode": text(replace=True),
    "platform": text(computed=True, replace=True),
    "ports": blocks(PORT, replace=True),
    "privileged": flag(replace=True),
    "publishAllPorts": flag(replace=True),
    "readOnly": flag(default=False, replace=True),
    "removeVolumes": flag(default=True),
    "restart": text(default="no", complain=matches(r"^(no|on-failure|always|unless-stopped)$")),
    "rm": flag(default=False),
    "runtime": text(computed=True, replace=True),
    "securityOpts": text_set(computed=True, replace=True),
    "shmSize": number(computed=True, replace=True, complain=at_least(0)),
    "start": flag(default=True),
    "stdinOpen": flag(default=False, replace=True),
    "stopSignal": text(computed=True, replace=True),
    "stopTimeout": number(computed=True, replace=True),
    "storageOpts": mapping(replace=True),
    "sysctls": mapping(replace=True),
    "tmpfs": mapping(),
    "tty": flag(default=False, replace=True),
    "ulimits": block_set(
        {
            "name": text(required=True, replace=True),
            "soft": number(required=True, replace=True),
            "hard": number(required=True, replace=True),
        },
        replace=True,
        underlying="ulimit",
    ),
    "uploads": block_set(UPLOAD, replace=True, underlying="upload"),
    "user": text(replace=True, blank_keeps=True),
    "usernsMode": text(replace=True),
    "volumes": block_set(VOLUME, replace=True),
    "wait": flag(default=False),
    "waitTimeout": number(default=60),
    "workingDir": text(replace=True, blank_keeps=True),
}
