"""Control: a role for the scale of what a service may stop and start, and the migrations that it may run."""

from __future__ import annotations

import pulumi

from infra.model import Control, Job, Service
from infra.platforms.kubernetes import pod
from infra.platforms.kubernetes.pod import Surroundings
from infra.platforms.kubernetes.ready import Ready
from infra.platforms.kubernetes.resource import Manifest, Object
from infra.platforms.kubernetes.stack import NAME, Stack

MIGRATIONS = "migrate-for-restore"
PART = "app.kubernetes.io/component"
RBAC = "rbac.authorization.k8s.io"
DONE = ("sh", "-c", "exec sleep infinity")


def create(stack: Stack, service: Service, control: Control, first: Ready) -> list[Object]:
    """Declare the role and who has it: nobody but the service's own account."""
    role = stack.declare(
        f"role-{service.name}",
        f"{RBAC}/v1",
        "Role",
        {"rules": rules(control)},
        service=service.name,
        object_name=service.name,
        first=first,
    )
    bound = stack.declare(
        f"binding-{service.name}",
        f"{RBAC}/v1",
        "RoleBinding",
        {
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": service.name},
            "subjects": [{"kind": "ServiceAccount", "name": service.identity, "namespace": stack.namespace}],
        },
        service=service.name,
        object_name=service.name,
        first=first,
    )
    return [role, bound]


def rules(control: Control) -> list[Manifest]:
    """Return what is allowed: to scale what is named, and to see the namespace's pods, which have no names to give."""
    names = [*control.services, *([MIGRATIONS] if control.migrations else [])]
    found: list[Manifest] = [
        {"apiGroups": ["apps"], "resources": ["deployments/scale"], "resourceNames": names, "verbs": ["get", "patch"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
    ]
    if control.migrations:
        found.append(
            {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": [MIGRATIONS], "verbs": ["get"]}
        )
    return found


def migrations(stack: Stack, job: Job, around: Surroundings, first: Ready) -> Object:
    """Declare the migrations of the release as something that can be scaled up: its pod is ready when they are done."""
    return stack.declare(
        MIGRATIONS,
        "apps/v1",
        "Deployment",
        {"spec": deployment(stack, job, around)},
        service=MIGRATIONS,
        object_name=MIGRATIONS,
        release=job.release,
        # How many there are is the affair of whoever restores.
        options=pulumi.ResourceOptions(ignore_changes=["spec.replicas"]),
        first=first,
    )


def deployment(stack: Stack, job: Job, around: Surroundings) -> Manifest:
    """Return a Deployment of no pods; each would migrate before its one container starts, which does nothing."""
    labels = {**stack.labels(job.identity, job.release), PART: MIGRATIONS}
    template = pod.template(job, labels, around, {}, {"terminationGracePeriodSeconds": 30})
    (migrating,) = template["spec"]["containers"]
    done = {key: value for key, value in migrating.items() if key not in ("env", "args", "volumeMounts")}
    template["spec"]["initContainers"] = [migrating | {"terminationMessagePolicy": "FallbackToLogsOnError"}]
    template["spec"]["containers"] = [done | {"name": "done", "args": list(DONE)}]
    return {
        "replicas": 0,
        "revisionHistoryLimit": 0,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": {NAME: job.identity, PART: MIGRATIONS}},
        "template": template,
    }
