"""Images, built on this machine, pushed to the stack's registry, and named by what lies there."""

from __future__ import annotations

import base64
import json

import pulumi
import pulumi_docker as docker

from infra.model import Image, System
from infra.platforms.kubernetes import cluster
from infra.platforms.kubernetes.ready import Ready
from infra.platforms.kubernetes.resource import Object
from infra.platforms.kubernetes.stack import Stack
from infra.settings import Registry, Settings


def create(stack: Stack, system: System, settings: Settings) -> dict[str, pulumi.Output[str]]:
    """Declare every image that the system uses; the result names each by its digest in the registry."""
    builder = docker.Provider("docker", host=settings.docker_host or None)
    processors = cluster.processors(stack.client)
    used = [s.workload.image for s in system.services] + [j.workload.image for j in system.jobs]
    return {
        name: build(stack, builder, image, settings.kubernetes.registry, processors).repo_digest
        for name, image in {image.name: image for image in used}.items()
    }


def build(stack: Stack, builder: docker.Provider, image: Image, registry: Registry, processors: str) -> docker.Image:
    """Declare one image; it is built and pushed again when its tag, which names its content, is another.

    Built for the nodes' processors: the machine that builds may have others.
    """
    return docker.Image(
        f"image-{image.name}",
        image_name=f"{registry.address}/{stack.project}-{image.name}:{image.tag}",
        build=docker.DockerBuildArgs(
            context=image.name,
            dockerfile=f"{image.name}/Dockerfile",
            args=dict(image.arguments),
            platform=processors or None,
        ),
        registry=docker.RegistryArgs(
            server=registry.address.partition("/")[0],
            username=registry.user or None,
            password=pulumi.Output.secret(registry.password) if registry.password else None,
        ),
        skip_push=False,
        opts=pulumi.ResourceOptions(provider=builder),
    )


def pull_secret(stack: Stack, registry: Registry, first: Ready) -> Object | None:
    """Declare the secret with which the cluster pulls, where the registry asks who does."""
    if not registry.user:
        return None
    return stack.declare(
        "registry",
        "v1",
        "Secret",
        {
            "type": "kubernetes.io/dockerconfigjson",
            "immutable": True,
            "stringData": {".dockerconfigjson": pulumi.Output.secret(docker_config(registry))},
        },
        service="registry",
        first=first,
    )


def docker_config(registry: Registry) -> str:
    """Return the credentials as a node reads them."""
    pair = base64.b64encode(f"{registry.user}:{registry.password}".encode()).decode()
    return json.dumps({"auths": {registry.address.partition("/")[0]: {"auth": pair}}})
