"""Services as Deployments, or, with data of their own, as StatefulSets; with what keeps enough of them running."""

from __future__ import annotations

from typing import Any

import pulumi

from infra.model import Route, Service, System
from infra.platforms.kubernetes import pod, probe
from infra.platforms.kubernetes.pod import Surroundings
from infra.platforms.kubernetes.ready import Ready
from infra.platforms.kubernetes.resource import Manifest, Object
from infra.platforms.kubernetes.stack import NAME, Stack

HISTORY = 2
SURGE = "25%"
OF_PROCESSORS = 0.6
"""Above which part of their processors busy pods get company."""
ZONES = ("kubernetes.io/hostname", "topology.kubernetes.io/zone")


def is_stateful(system: System, service: Service) -> bool:
    """Whether a service has a claim, of its own or beside another's data, which one pod at a time may use."""
    data = {volume.name for volume in system.volumes if volume.data or volume.beside}
    return any(mount.volume in data for mount in service.workload.mounts)


def create(
    stack: Stack, system: System, service: Service, around: Surroundings, leave_seconds: int, first: Ready
) -> Object:
    """Declare what runs a service's pods."""
    stateful = is_stateful(system, service)
    if stateful and service.replicas != 1:
        raise ValueError(f"{service.name} has data of its own and {service.replicas} replicas; one pod can use it")
    spec = stateful_set(stack, service, around, system.route) if stateful else deployment(
        stack, service, around, system.route, leave_seconds
    )  # fmt: skip
    return stack.declare(
        service.name,
        "apps/v1",
        "StatefulSet" if stateful else "Deployment",
        {"spec": spec},
        service=service.name,
        object_name=service.name,
        release=service.release,
        options=pulumi.ResourceOptions(ignore_changes=left_to_others(service)),
        first=first,
    )


def deployment(stack: Stack, service: Service, around: Surroundings, route: Route, leave_seconds: int) -> Manifest:
    """Return a Deployment's specification: no pod goes before its successor is ready, and none at once.

    A pod that stops goes on serving until the cluster has ceased to send to it.
    """
    container = {
        **ports(service),
        **probe.of(service, route),
        "lifecycle": {
            "preStop": {"sleep": {"seconds": leave_seconds}},
            # What hands a running service its files does so at each start, before anything is sent to the pod.
            **({"postStart": {"exec": {"command": list(service.update)}}} if service.update else {}),
        },
    }
    template = pod.template(
        service,
        stack.labels(service.name, service.release),
        around,
        container,
        {
            "terminationGracePeriodSeconds": leave_seconds + service.stop_seconds,
            "topologySpreadConstraints": [spread(service, key) for key in ZONES],
        },
    )
    return {
        "replicas": service.replicas,
        "revisionHistoryLimit": HISTORY,
        "progressDeadlineSeconds": max(600, route.ready_seconds + 1),
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": SURGE}},
        "selector": {"matchLabels": {NAME: service.name}},
        "template": template,
    }


def stateful_set(stack: Stack, service: Service, around: Surroundings, route: Route) -> Manifest:
    """Return a StatefulSet's specification; its claim is mounted by name, so that it is a resource of its own."""
    container = {**ports(service), **probe.of(service, route)}
    template = pod.template(
        service,
        stack.labels(service.name, service.release),
        around,
        container,
        {"terminationGracePeriodSeconds": service.stop_seconds},
    )
    return {
        "replicas": service.replicas,
        "serviceName": governing(service),
        # In order, a pod that never became ready would keep its own repair from being rolled out.
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": {NAME: service.name}},
        "template": template,
    }


def ports(service: Service) -> dict[str, Any]:
    """Return the port of a service's container, where it has one."""
    entry = {"containerPort": service.port, "name": service.name, "protocol": "TCP"}
    return {"ports": [entry]} if service.port else {}


def governing(service: Service) -> str:
    """Return the name of the Service that gives a StatefulSet's pods their names."""
    return f"{service.name}-pods"


def scales(service: Service) -> bool:
    """Whether the load decides how many pods run."""
    return service.max_replicas > service.replicas


def left_to_others(service: Service) -> list[str]:
    """Return the fields that only begin as declared: how many pods run is an autoscaler's to say, where one is."""
    return ["spec.replicas"] if scales(service) else []


def spread(service: Service, key: str) -> dict[str, Any]:
    """Return the wish that the pods of one version run apart, where there is room."""
    return {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {NAME: service.name}},
        "matchLabelKeys": ["pod-template-hash"],
    }


def keep_running(stack: Stack, service: Service, first: Ready) -> list[Object]:
    """Declare what keeps several pods running: one at a time may be evicted, and more come with the load."""
    made = []
    if service.replicas > 1:
        budget = {"maxUnavailable": 1, "selector": {"matchLabels": {NAME: service.name}}}
        # A pod that is not ready serves nobody, and must not keep a node from being drained.
        budget["unhealthyPodEvictionPolicy"] = "AlwaysAllow"
        made.append(
            stack.declare(
                f"budget-{service.name}",
                "policy/v1",
                "PodDisruptionBudget",
                {"spec": budget},
                service=service.name,
                object_name=service.name,
                first=first,
            )
        )
    if scales(service):
        made.append(
            stack.declare(
                f"autoscaler-{service.name}",
                "autoscaling/v2",
                "HorizontalPodAutoscaler",
                {"spec": autoscaler(service)},
                service=service.name,
                object_name=service.name,
                first=first,
            )
        )
    return made


def autoscaler(service: Service) -> Manifest:
    """Return an autoscaler's specification: by the processors in use, as a part of what a pod may use at most."""
    busy = pod.millicores(str(float(service.workload.limits.cpus) * OF_PROCESSORS))
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": service.name},
        "minReplicas": service.replicas,
        "maxReplicas": service.max_replicas,
        "metrics": [
            {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": busy}}}
        ],
    }
