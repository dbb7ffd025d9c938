"""The command line of each of the cluster's processes; pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cluster import authority
from cluster.layout import Layout
from cluster.process import Process

# One machine's processors are shared by all: none of these needs more than two at once.
GO = {"GOMAXPROCS": "2"}
STORE_PORT = 2379
PROVISIONER = "rancher.io/local-path"
SYSTEM_NAMESPACE = "kube-system"
NAMES = (
    "etcd", "containerd", "kube-apiserver", "docker-registry", "keeper", "kube-controller-manager", "kube-scheduler",
    "kubelet", "kube-proxy", "local-path-provisioner",
)  # fmt: skip


def store(layout: Layout) -> Process:
    """Return the store of the API's objects; what is not durable does not wait for the disk."""
    address = f"https://127.0.0.1:{STORE_PORT}"
    certificates = layout.certificates
    return Process(
        "etcd",
        [
            str(layout.built("etcd")), f"--name={layout.shape.name}", f"--data-dir={layout.store}",
            f"--listen-client-urls={address}", f"--advertise-client-urls={address}",
            "--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
            f"--initial-cluster={layout.shape.name}=http://127.0.0.1:2380",
            f"--cert-file={authority.certificate(certificates, 'store-server')}",
            f"--key-file={authority.key(certificates, 'store-server')}",
            f"--trusted-ca-file={authority.certificate(certificates, authority.STORE)}", "--client-cert-auth=true",
            "--log-level=warn", "--quota-backend-bytes=2147483648", "--snapshot-count=10000",
            *([] if layout.shape.durable else ["--unsafe-no-fsync=true"]),
        ],
        GO,
    )  # fmt: skip


def api(layout: Layout) -> Process:
    """Return the API server."""
    shape, certificates = layout.shape, layout.certificates
    return Process(
        "kube-apiserver",
        [
            str(layout.built("kube-apiserver")),
            f"--advertise-address={shape.node_address}", f"--secure-port={shape.api_port}",
            f"--service-cluster-ip-range={shape.services}",
            f"--etcd-servers=https://127.0.0.1:{STORE_PORT}",
            f"--etcd-cafile={authority.certificate(certificates, authority.STORE)}",
            f"--etcd-certfile={authority.certificate(certificates, 'to-store')}",
            f"--etcd-keyfile={authority.key(certificates, 'to-store')}",
            f"--client-ca-file={authority.certificate(certificates, authority.API)}",
            f"--tls-cert-file={authority.certificate(certificates, 'apiserver')}",
            f"--tls-private-key-file={authority.key(certificates, 'apiserver')}",
            f"--kubelet-certificate-authority={authority.certificate(certificates, authority.API)}",
            f"--kubelet-client-certificate={authority.certificate(certificates, 'to-kubelet')}",
            f"--kubelet-client-key={authority.key(certificates, 'to-kubelet')}",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={certificates / 'tokens.pub'}",
            f"--service-account-signing-key-file={certificates / 'tokens.key'}",
            "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
            "--anonymous-auth=true", "--allow-privileged=true", "--profiling=false",
            f"--cert-dir={layout.runtime / 'apiserver'}",
        ],
        GO,
    )  # fmt: skip


def controllers(layout: Layout) -> Process:
    """Return the controllers."""
    certificates = layout.certificates
    kubeconfig = layout.configuration / "controller-manager.kubeconfig"
    return Process(
        "kube-controller-manager",
        [
            str(layout.built("kube-controller-manager")), f"--kubeconfig={kubeconfig}",
            "--leader-elect=false", "--bind-address=127.0.0.1", "--profiling=false",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={certificates / 'tokens.key'}",
            f"--root-ca-file={authority.certificate(certificates, authority.API)}",
            "--controllers=*,-node-route-controller,-cloud-node-lifecycle-controller,-service-lb-controller",
            f"--cert-dir={layout.runtime / 'controllers'}",
        ],
        GO,
    )  # fmt: skip


def scheduler(layout: Layout) -> Process:
    """Return the scheduler."""
    return Process(
        "kube-scheduler",
        [
            str(layout.built("kube-scheduler")), f"--config={layout.configuration / 'scheduler.json'}",
            "--bind-address=127.0.0.1", f"--cert-dir={layout.runtime / 'scheduler'}",
        ],
        GO,
    )  # fmt: skip


def runtime(layout: Layout) -> Process:
    """Return the container runtime."""
    return Process(
        "containerd",
        [
            str(layout.packages / "usr/bin/containerd"), "--config", str(layout.configuration / "containerd.toml"),
            "--log-level", "warn",
        ],
        {**GO, "PATH": path_of(layout)},
    )  # fmt: skip


def agent(layout: Layout) -> Process:
    """Return the node's agent."""
    return Process(
        "kubelet",
        [
            str(layout.built("kubelet")), f"--config={layout.configuration / 'kubelet.json'}",
            f"--kubeconfig={layout.configuration / 'kubelet.kubeconfig'}", f"--root-dir={layout.kubelet}",
            f"--cert-dir={layout.runtime / 'kubelet'}", f"--hostname-override={layout.shape.node}",
            f"--node-ip={layout.shape.node_address}", "--runtime-cgroups=", "--v=0",
        ],
        {**GO, "PATH": path_of(layout)},
    )  # fmt: skip


def proxy(layout: Layout) -> Process:
    """Return the proxy that carries Services."""
    return Process(
        "kube-proxy",
        [str(layout.built("kube-proxy")), f"--config={layout.configuration / 'proxy.json'}"],
        {**GO, "PATH": path_of(layout)},
    )


def registry(layout: Layout) -> Process:
    """Return the image registry."""
    return Process(
        "docker-registry",
        [str(layout.packages / "usr/bin/docker-registry"), "serve", str(layout.configuration / "registry.json")],
        {**GO, "OTEL_TRACES_EXPORTER": "none"},
    )


def storage(layout: Layout) -> Process:
    """Return the provisioner of volumes."""
    configuration = layout.configuration
    return Process(
        "local-path-provisioner",
        [
            str(layout.built("local-path-provisioner")), "start", f"--config={configuration / 'storage.json'}",
            f"--kubeconfig={configuration / 'storage.kubeconfig'}", f"--provisioner-name={PROVISIONER}",
            f"--namespace={SYSTEM_NAMESPACE}", "--helper-image=unused", "--configmap-name=unused",
            "--service-account-name=default", f"--helper-pod-file={configuration / 'storage-helper.json'}",
        ],
        GO,
    )  # fmt: skip


def keeper(layout: Layout, sources: str) -> Process:
    """Return the keeper of the network policies; `sources` is a digest of the code that it runs."""
    return Process(
        "keeper",
        [str(layout.python), "-m", "cluster.keeper", str(layout.configuration / "keeper.json")],
        {"PYTHONPATH": str(layout.repository), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"},
        sources,
        inside=False,
    )


def path_of(layout: Layout) -> str:
    """Return where the programs find others: the cluster's own first."""
    own: list[Path] = [layout.packages / "usr/bin", layout.packages / "usr/sbin"]
    return ":".join([*map(str, own), "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"])


def environment_inside(layout: Layout) -> Mapping[str, str]:
    """Return the environment of short commands beside the cluster's programs."""
    return {"PATH": path_of(layout), "HOME": "/"}
