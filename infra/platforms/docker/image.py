"""Images, built on the machine and kept after their release, for the way back."""

from __future__ import annotations

import pulumi
import pulumi_docker as docker

from infra.model import Image, System
from infra.platforms.docker.stack import Stack


def create(stack: Stack, system: System) -> dict[str, docker.RemoteImage]:
    """Declare every image that the system uses."""
    used = [s.workload.image for s in system.services] + [j.workload.image for j in system.jobs]
    return {name: build(stack, image) for name, image in {image.name: image for image in used}.items()}


def build(stack: Stack, image: Image) -> docker.RemoteImage:
    """Declare one image; its tag names its content, so a changed file is another name."""
    return docker.RemoteImage(
        f"image-{image.name}",
        name=f"{stack.project}-{image.name}:{image.tag}",
        build=docker.RemoteImageBuildArgs(
            context=image.name,
            dockerfile="Dockerfile",
            build_args=dict(image.arguments),
            labels={"scaffold.project": stack.project, "scaffold.image": image.name},
        ),
        keep_locally=True,
        # Created before the old one goes: deleted first, it would take the containers with it that serve from it.
        opts=pulumi.ResourceOptions(provider=stack.provider),
    )
