"""When a Service is ready: a pod behind it answers, where it has any, and a load balancer has an address."""

from __future__ import annotations

from collections.abc import Sequence

from offline.kubernetes.readiness.verdict import Object, Verdict, conditions_of, pod_reasons


def judge(service: Object, pods: Sequence[Object], slices: Sequence[Object]) -> Verdict:
    """Return what a Service, the pods it selects and its EndpointSlices tell."""
    spec = service.get("spec") or {}
    if spec.get("type") == "ExternalName":
        return Verdict(ready=True)
    selects = bool(spec.get("selector")) and spec.get("clusterIP") != "None"
    if selects and any(_is_live(pod) for pod in pods) and not _any_ready(slices):
        return Verdict(
            progress="[1/3] Finding Pods to direct traffic to",
            reasons=(
                "Service does not target any Pods. Selected Pods may not be ready, or field '.spec.selector' "
                "may not match labels on any Pods",
            ),
        )
    if spec.get("type") == "LoadBalancer" and not ((service.get("status") or {}).get("loadBalancer") or {}).get(
        "ingress"
    ):
        return Verdict(
            progress="[2/3] Attempting to allocate IP address to Service",
            reasons=("Service was not allocated an IP address; does your cloud provider support this?",),
        )
    return Verdict(ready=True, progress="Service initialization complete")


def _is_live(pod: Object) -> bool:
    ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return not ended and not pod["metadata"].get("deletionTimestamp")


def _any_ready(slices: Sequence[Object]) -> bool:
    return any(
        (endpoint.get("conditions") or {}).get("ready", True)
        for piece in slices
        for endpoint in piece.get("endpoints") or []
    )


def ingress(thing: Object) -> Verdict:
    """Return what an Ingress tells: somebody gave it an address."""
    if ((thing.get("status") or {}).get("loadBalancer") or {}).get("ingress"):
        return Verdict(ready=True, progress="Ingress initialization complete")
    return Verdict(
        progress="[2/3] Waiting for update of .status.loadBalancer with hostname/IP",
        reasons=(
            "Ingress .status.loadBalancer field was not updated with a hostname/IP address. \n"
            "    for more information about this error, see https://pulumi.io/xdv72s",
        ),
    )


def pod(thing: Object) -> Verdict:
    """Return what a Pod tells: ready, or done."""
    ready = (conditions_of(thing).get("Ready") or {}).get("status") == "True"
    done = (thing.get("status") or {}).get("phase") == "Succeeded"
    return Verdict(ready=ready or done, reasons=pod_reasons([thing]))
