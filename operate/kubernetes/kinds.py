"""The kinds of object that a stack consists of on a cluster."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind: its group and version, its names, and the setting without which no stack has one."""

    api_version: str
    name: str
    plural: str
    needs: str = ""

    @property
    def group(self) -> str:
        """The API group, empty for the core one."""
        return self.api_version.rpartition("/")[0]

    def collection(self, namespace: str) -> str:
        """Return the path of the kind's objects in a namespace."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        return f"{root}/namespaces/{namespace}/{self.plural}"

    def item(self, namespace: str, name: str) -> str:
        """Return the path of one object."""
        return f"{self.collection(namespace)}/{name}"


DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
STATEFUL_SET = Kind("apps/v1", "StatefulSet", "statefulsets")
JOB = Kind("batch/v1", "Job", "jobs")
CLAIM = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
SERVICE = Kind("v1", "Service", "services")
INGRESS = Kind("networking.k8s.io/v1", "Ingress", "ingresses", needs="ingressClass")
AUTOSCALER = Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", needs="maxReplicas")
ROUTE = Kind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes", needs="gatewayParent")
# Stands at no pods until a restore has the schema brought up to the release.
WAITS = "migrate-for-restore"
WORKLOADS = (DEPLOYMENT, STATEFUL_SET, JOB)

# What runs goes first when all of them are removed, so that nothing is left without what it uses.
KINDS = (
    *WORKLOADS,
    AUTOSCALER,
    INGRESS,
    ROUTE,
    SERVICE,
    Kind("v1", "ConfigMap", "configmaps"),
    Kind("v1", "Secret", "secrets"),
    Kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings"),
    Kind("rbac.authorization.k8s.io/v1", "Role", "roles"),
    Kind("v1", "ServiceAccount", "serviceaccounts"),
    Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
)
