"""What the cluster's programs read when they start, as texts by file name; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster import authority
from cluster.images import pause
from cluster.layout import Layout
from cluster.shape import DOMAIN
from setup.files import read_text_or_none

CNI_VERSION = "0.4.0"
KUBECONFIG = "kubeconfig"
RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))


def resolver(candidates: Sequence[Path] = RESOLVERS) -> str:
    """Return the file that names this machine's name servers, passing over one that only leads back to the machine."""
    for path in candidates:
        servers = re.findall(r"^nameserver\s+(\S+)", read_text_or_none(path) or "", re.M)
        if any(not server.startswith(("127.", "::1")) for server in servers):
            return str(path)
    return str(candidates[0])


def files(layout: Layout, mtu: int, name_servers: str) -> dict[str, str]:
    """Return the files below the configuration's folder; `name_servers` is the file that names this machine's."""
    registry = layout.shape.registry
    return {
        "containerd.toml": containerd(layout),
        f"registries/{registry}/hosts.toml": hosts(registry),
        "network/10-pods.conflist": _json(network(layout, mtu)),
        "kubelet.json": _json(kubelet(layout, name_servers)),
        "proxy.json": _json(proxy(layout)),
        "scheduler.json": _json(scheduler(layout)),
        "storage.json": _json(storage(layout)),
        "storage-helper.json": _json(storage_helper()),
        "registry.json": _json(registry_settings(layout)),
        "keeper.json": _json(keeper(layout)),
    }


def containerd(layout: Layout) -> str:
    """Return the container runtime's settings; JSON's strings are TOML's."""
    quoted = json.dumps
    runtime = '"io.containerd.grpc.v1.cri"'
    return f"""version = 2
root = {quoted(str(layout.images))}
state = {quoted(str(layout.runtime / "containerd"))}
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp",
]

[grpc]
address = {quoted(str(layout.containerd_socket))}

[plugins.{runtime}]
sandbox_image = {quoted(pause())}
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
tolerate_missing_hugetlb_controller = true
disable_hugetlb_controller = true

[plugins.{runtime}.containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"

[plugins.{runtime}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins.{runtime}.containerd.runtimes.runc.options]
BinaryName = {quoted(str(layout.packages / "usr/sbin/runc"))}
SystemdCgroup = false

[plugins.{runtime}.cni]
bin_dir = {quoted(str(layout.plugins))}
conf_dir = {quoted(str(layout.configuration / "network"))}
max_conf_num = 1

[plugins.{runtime}.registry]
config_path = {quoted(str(layout.configuration / "registries"))}
"""


def hosts(registry: str) -> str:
    """Return how the runtime speaks to the cluster's registry."""
    return f'server = "http://{registry}"\n\n[host."http://{registry}"]\ncapabilities = ["pull", "resolve"]\n'


def network(layout: Layout, mtu: int) -> dict[str, Any]:
    """Return how a pod gets its network: a routed link, so that all its traffic is filtered; then the policies."""
    pods = layout.shape.pods
    return {
        "cniVersion": CNI_VERSION,
        "name": "pods",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": False,
                "mtu": mtu,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(layout.runtime / "addresses"),
                    "ranges": [[{"subnet": str(pods), "gateway": str(pods[1])}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
            {"type": "announce", "socket": str(layout.keeper_socket)},
        ],
    }


def kubelet(layout: Layout, name_servers: str) -> dict[str, Any]:
    """Return the node agent's settings."""
    certificates = layout.certificates
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": str(layout.shape.node_address),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(authority.certificate(certificates, authority.API))},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(authority.certificate(certificates, "kubelet")),
        "tlsPrivateKeyFile": str(authority.key(certificates, "kubelet")),
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.shape.cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "clusterDNS": [str(layout.shape.dns_address)],
        "clusterDomain": DOMAIN,
        "resolvConf": name_servers,
        "podLogsDir": str(layout.container_logs),
        "volumePluginDir": str(layout.kubelet / "volume-plugins"),
        "containerLogMaxSize": "5Mi",
        "containerLogMaxFiles": 2,
        "maxPods": 100,
        "registryPullQPS": 0,
        "nodeStatusUpdateFrequency": "10s",
        "nodeLeaseDurationSeconds": 120,
        # Not looked at, the statistics of every volume's folder would be gathered each minute.
        "volumeStatsAggPeriod": "-1s",
        # As much as is left for the machine itself; in percent, a large disk would count as full too early.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1Gi", "imagefs.available": "1Gi"},
        # For the same reason images go by age alone.
        "imageGCHighThresholdPercent": 100,
        "imageMaximumGCAge": "168h",
    }


def proxy(layout: Layout) -> dict[str, Any]:
    """Return the settings of the proxy that carries Services; the kernel's limits on connections are left alone."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": str(layout.shape.pods),
        "detectLocalMode": "ClusterCIDR",
        "bindAddress": "127.0.0.1",
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "nodePortAddresses": [f"{layout.shape.node_address}/32"],
        "hostnameOverride": layout.shape.node,
        "oomScoreAdj": 0,
        "clientConnection": {KUBECONFIG: str(layout.configuration / "proxy.kubeconfig")},
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
        "iptables": {"localhostNodePorts": False, "masqueradeAll": False, "minSyncPeriod": "200ms"},
    }


def scheduler(layout: Layout) -> dict[str, Any]:
    """Return the scheduler's settings: there is one, so nobody is elected."""
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "clientConnection": {KUBECONFIG: str(layout.configuration / "scheduler.kubeconfig")},
    }


def storage(layout: Layout) -> dict[str, Any]:
    """Return where the provisioner makes volumes, and with which program."""
    return {
        "nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [str(layout.volumes)]}],
        "setupCommand": "/volume",
        "teardownCommand": "/volume",
    }


def storage_helper() -> dict[str, Any]:
    """Return the pod in which the provisioner makes and removes a volume's folder."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "volume"},
        "spec": {
            "automountServiceAccountToken": False,
            "containers": [{"name": "volume", "image": pause(), "imagePullPolicy": "Never"}],
        },
    }


def registry_settings(layout: Layout) -> dict[str, Any]:
    """Return the registry's settings: on the node, where only this machine and the runtime reach it."""
    return {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(layout.registry)},
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": True, "age": "24h", "interval": "24h", "dryrun": False}},
        },
        "http": {"addr": f":{layout.shape.registry_port}"},
    }


def keeper(layout: Layout) -> dict[str, Any]:
    """Return what the keeper of the network policies works on."""
    shape = layout.shape
    return {
        "name": shape.name,
        "network": str(shape.network),
        "apiPort": shape.api_port,
        "registryPort": shape.registry_port,
        "kubeconfig": str(layout.configuration / "keeper.kubeconfig"),
        "namespace": str(layout.namespace),
        "socket": str(layout.keeper_socket),
        "announced": str(layout.runtime / "announced.json"),
        "logs": str(layout.logs),
    }


def _json(found: dict[str, Any]) -> str:
    return json.dumps(found, indent=2) + "\n"
