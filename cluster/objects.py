"""What is in every cluster from the beginning: names, a place for claims, and rights for the programs; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cluster import images
from cluster.commands import PROVISIONER, SYSTEM_NAMESPACE
from cluster.layout import Layout
from cluster.shape import DOMAIN

Object = dict[str, Any]
DNS_LABELS = {"k8s-app": "kube-dns"}
READ = ("get", "list", "watch")
CORE = ""


def objects(layout: Layout) -> list[Object]:
    """Return the objects, in the order in which they are made."""
    return [
        *rights("cluster:keeper", "User", "cluster:keeper", [
            rule(CORE, ("pods", "namespaces", "services"), READ), rule("networking.k8s.io", ("networkpolicies",), READ),
        ]),
        *rights("cluster:storage", "User", "cluster:storage", [
            rule(CORE, ("nodes", "persistentvolumeclaims", "configmaps", "pods", "pods/log"), READ),
            rule(CORE, ("persistentvolumes", "pods"), (*READ, "create", "patch", "update", "delete")),
            rule(CORE, ("events",), ("create", "patch")),
            rule("storage.k8s.io", ("storageclasses",), READ),
            rule("coordination.k8s.io", ("leases",), (*READ, "create", "update", "patch")),
            rule(CORE, ("endpoints",), (*READ, "create", "update", "patch")),
        ]),
        storage_class(),
        *dns(layout),
    ]  # fmt: skip


def storage_class() -> Object:
    """Return the class of claims that name none: a folder of the node, made once it is known who uses it."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "local-path", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": PROVISIONER,
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Delete",
    }


def dns(layout: Layout) -> list[Object]:
    """Return what answers for names: of Services itself, of all others through this machine's name servers."""
    meta = {"name": "coredns", "namespace": SYSTEM_NAMESPACE}
    container = {
        "name": "coredns",
        "image": images.dns(),
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "env": [{"name": "GOMAXPROCS", "value": "1"}],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "170Mi"}},
        "ports": [
            {"name": "dns", "containerPort": 53, "protocol": "UDP"},
            {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
        ],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 5},
        "livenessProbe": {
            "httpGet": {"path": "/health", "port": 8080}, "initialDelaySeconds": 30, "failureThreshold": 5,
            "timeoutSeconds": 5,
        },
        "securityContext": {
            "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "configuration", "mountPath": "/etc/coredns", "readOnly": True}],
    }  # fmt: skip
    # A kubelet deletes images that no container uses, and does not count the sandboxes, which all pods begin with.
    keeps = {
        "name": "keeps-the-sandbox-image",
        "image": images.pause(),
        "imagePullPolicy": "Never",
        "resources": {"requests": {"cpu": "1m", "memory": "2Mi"}, "limits": {"memory": "16Mi"}},
        "securityContext": container["securityContext"],
    }
    pod = {
        "serviceAccountName": "coredns",
        "dnsPolicy": "Default",
        "priorityClassName": "system-cluster-critical",
        "terminationGracePeriodSeconds": 5,
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"},
            # Port 53 without the right to all low ports.
            "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "53"}],
        },
        "containers": [container, keeps],
        "volumes": [{"name": "configuration", "configMap": {"name": "coredns"}}],
    }  # fmt: skip
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        *rights("system:coredns", "ServiceAccount", "coredns", [
            rule(CORE, ("namespaces", "services", "pods"), ("list", "watch")),
            rule("discovery.k8s.io", ("endpointslices",), ("list", "watch")),
        ]),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"Corefile": CORE_FILE}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {**meta, "labels": DNS_LABELS},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": DNS_LABELS},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}},
                "template": {"metadata": {"labels": DNS_LABELS}, "spec": pod},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": SYSTEM_NAMESPACE, "labels": DNS_LABELS},
            "spec": {
                "clusterIP": str(layout.shape.dns_address),
                "selector": DNS_LABELS,
                "ports": [
                    {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
                    {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
                ],
            },
        },
    ]  # fmt: skip


CORE_FILE = f""".:53 {{
    errors
    health
    ready
    kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{
        pods insecure
        ttl 5
        fallthrough in-addr.arpa ip6.arpa
    }}
    forward . /etc/resolv.conf
    cache 10
    loadbalance
}}
"""


def rule(group: str, resources: Sequence[str], verbs: Sequence[str]) -> Object:
    """Return a rule of a role."""
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


def rights(role: str, kind: str, subject: str, rules: Sequence[Object]) -> list[Object]:
    """Return a role over the whole cluster, and who has it."""
    group = "rbac.authorization.k8s.io"
    who: Object = {"kind": kind, "name": subject}
    who |= {"apiGroup": group} if kind == "User" else {"namespace": SYSTEM_NAMESPACE}
    return [
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": role}, "rules": list(rules)},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": role},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
            "subjects": [who],
        },
    ]
