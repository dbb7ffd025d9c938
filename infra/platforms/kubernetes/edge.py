"""How a service is reached: by its Service inside the cluster, and from outside by what the settings name."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pulumi

from infra.model import Route, Service, System
from infra.platforms.kubernetes import workload
from infra.platforms.kubernetes.ready import Ready
from infra.platforms.kubernetes.resource import Manifest, Object
from infra.platforms.kubernetes.stack import NAME, Stack
from infra.settings import KubernetesSettings

PORT = 80
"""The port of a published service's Service."""


def create(stack: Stack, system: System, service: Service, settings: KubernetesSettings, first: Ready) -> list[Object]:
    """Declare the ways to a service."""
    annotations = settings.service_annotations if service.published else {}
    made = [
        stack.declare(
            f"service-{name}",
            "v1",
            "Service",
            {"spec": spec},
            service=service.name,
            object_name=name,
            annotations=annotations,
            first=first,
        )
        for name, spec in services(system, service, settings).items()
    ]
    if service.published and settings.ingress_class:
        made.append(ingress(stack, service, system.route, settings, first))
    if service.published and settings.gateway_parent:
        made.append(http_route(stack, service, system.route, settings, first))
    return made


def services(system: System, service: Service, settings: KubernetesSettings) -> dict[str, Manifest]:
    """Return the Services of a service: name and specification."""
    if service.published:
        return {service.name: outward(service, settings)}
    if not service.port:
        # Nobody calls it: there is what a StatefulSet wants, and no address.
        nameless = {"type": "ClusterIP", "clusterIP": "None", "selector": {NAME: service.name}}
        return {workload.governing(service): nameless} if workload.is_stateful(system, service) else {}
    if workload.is_stateful(system, service):
        # By name one address, which stays and refuses at once while the pod is away; and what the StatefulSet wants.
        return {service.name: inward(service), workload.governing(service): inward(service) | {"clusterIP": "None"}}
    # Without an address of its own the name means every pod that is ready, so that a caller can ask another one.
    return {service.name: inward(service) | {"clusterIP": "None"}}


def inward(service: Service) -> Manifest:
    """Return a Service for callers inside the namespace."""
    return {"type": "ClusterIP", "selector": {NAME: service.name}, "ports": [port(service, service.port)]}


def outward(service: Service, settings: KubernetesSettings) -> Manifest:
    """Return the Service of what is reached from outside."""
    entry = port(service, PORT) | ({"nodePort": settings.node_port} if settings.node_port else {})
    # So that the visitor's address arrives. At a port of the nodes any node answers, and passes on with its own.
    local = {"externalTrafficPolicy": "Local"} if settings.service_type == "LoadBalancer" else {}
    return {"type": settings.service_type, "selector": {NAME: service.name}, "ports": [entry], **local}


def port(service: Service, number: int) -> dict[str, Any]:
    """Return the port of a Service."""
    return {"name": service.name, "port": number, "targetPort": service.port, "protocol": "TCP"}


def ingress(stack: Stack, service: Service, route: Route, settings: KubernetesSettings, first: Ready) -> Object:
    """Declare the Ingress that sends the site's host to a service, with TLS where a certificate is set or made."""
    host = urlsplit(route.site_url).hostname
    backend = {"service": {"name": service.name, "port": {"number": PORT}}}
    spec: Manifest = {
        "ingressClassName": settings.ingress_class,
        "rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
    }
    annotations = dict(settings.ingress_annotations)
    if settings.tls.certificate:
        spec["tls"] = [{"hosts": [host], "secretName": certificate(stack, service, settings, first).object_name}]
    elif settings.tls.issuer:
        annotations["cert-manager.io/cluster-issuer"] = settings.tls.issuer
        spec["tls"] = [{"hosts": [host], "secretName": f"{service.name}-tls"}]
    return stack.declare(
        f"ingress-{service.name}",
        "networking.k8s.io/v1",
        "Ingress",
        {"spec": spec},
        service=service.name,
        object_name=service.name,
        annotations=annotations,
        first=first,
    )


def certificate(stack: Stack, service: Service, settings: KubernetesSettings, first: Ready) -> Object:
    """Declare the certificate that was set, with its key."""
    manifest = {
        "type": "kubernetes.io/tls",
        "immutable": True,
        "stringData": {"tls.crt": settings.tls.certificate, "tls.key": pulumi.Output.secret(settings.tls.key)},
    }
    return stack.declare(f"{service.name}-tls", "v1", "Secret", manifest, service=service.name, first=first)


def http_route(stack: Stack, service: Service, route: Route, settings: KubernetesSettings, first: Ready) -> Object:
    """Declare the route by which a Gateway of the cluster sends the site's host to a service."""
    namespace, name, *listener = settings.gateway_parent
    parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": namespace, "name": name}
    spec: Manifest = {
        "parentRefs": [parent | ({"sectionName": listener[0]} if listener else {})],
        "hostnames": [urlsplit(route.site_url).hostname],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [{"group": "", "kind": "Service", "name": service.name, "port": PORT, "weight": 1}],
            }
        ],
    }
    return stack.declare(
        f"route-{service.name}",
        "gateway.networking.k8s.io/v1",
        "HTTPRoute",
        {"spec": spec},
        service=service.name,
        object_name=service.name,
        first=first,
    )
