"""Images, built on this machine, pushed to the stack's registry, and named by what lies there."""

from __future__ import annotations

import base64
import json

import pulumi

from infra.model import Image, System
from infra.platforms.contract import Former
from infra.platforms.docker import daemon
from infra.platforms.kubernetes import cluster
from infra.platforms.kubernetes.ready import Ready
from infra.platforms.kubernetes.resource import Object
from infra.platforms.kubernetes.stack import Stack
from infra.settings import Registry, Settings

VERSION = "5.1.0"
"""The Docker provider's version, named with each resource since its SDK is not loaded (docs/adr/0070)."""


class Pushed(pulumi.CustomResource):
    """An image in a registry; `repoDigest` names it by what lies there."""

    repoDigest: pulumi.Output[str]  # noqa: N815 - the provider's own name for it


def create(
    stack: Stack, system: System, settings: Settings, former: Former, processors: str
) -> dict[tuple[str, str], pulumi.Output[str]]:
    """Declare every image that the system uses; the result names each by its digest in the registry.

    One of a former release is not built: the registry has it, or its pods say that it has not.
    """
    given = {"host": settings.docker_host} if settings.docker_host else {}
    builder = pulumi.ProviderResource("docker", "docker", given, pulumi.ResourceOptions(version=VERSION))
    return {
        key: pulumi.Output.from_input(former[key])
        if key in former
        else build(stack, builder, image, settings.kubernetes.registry, processors).repoDigest
        for key, image in system.images.items()
    }


def built_for(stack: Stack, settings: Settings) -> str:
    """Return for which processors images are built, such as linux/amd64: all nodes', else those of who builds.

    Where nodes differ, or may not be seen, the pods then ask for nodes that can run them, and do not start and fail.
    """
    return cluster.processors(stack.client) or daemon.platform(settings.docker_host)


def build(stack: Stack, builder: pulumi.ProviderResource, image: Image, registry: Registry, processors: str) -> Pushed:
    """Declare one image; it is built and pushed again when its tag, which names its content, is another.

    Built for the nodes' processors: the machine that builds may have others.
    """
    server: dict[str, pulumi.Input[str]] = {"server": registry.address.partition("/")[0]}
    if registry.user:
        server |= {"username": registry.user, "password": pulumi.Output.secret(registry.password)}
    properties = {
        "imageName": f"{registry.address}/{stack.project}-{image.name}:{image.tag}",
        "build": {
            "context": image.name,
            "dockerfile": f"{image.name}/Dockerfile",
            "args": dict(image.arguments),
            "platform": processors,
        },
        "buildOnPreview": False,
        "registry": server,
        "skipPush": False,
        "repoDigest": None,
    }
    options = pulumi.ResourceOptions(provider=builder, version=VERSION)
    return Pushed("docker:index/image:Image", f"image-{image.name}", properties, options)


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
