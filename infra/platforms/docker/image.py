"""Images, built on the machine and kept after their release, for the way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from infra.model import Image, System
from infra.platforms.contract import Former
from infra.platforms.docker import daemon
from infra.platforms.docker.stack import Stack


@dataclass(frozen=True)
class Built:
    """An image on the machine: the name by which containers take it, and its id, which is a digest of all of it."""

    name: pulumi.Input[str]
    digest: pulumi.Input[str]


Images = Mapping[tuple[str, str], Built]


def create(stack: Stack, system: System, former: Former) -> Images:
    """Declare every image that the system uses; one of a former release is there and is not built."""
    return {
        key: Built(name_of(stack.project, stack.name, image), former[key]) if key in former else build(stack, image)
        for key, image in system.images.items()
    }


def name_of(project: str, stack: str, image: Image) -> str:
    """Return an image's name; its tag names its content, so a changed file is another name, and whose it is.

    What two stacks build from the same content is one image with two names, and either may let go of its own.
    """
    return f"{project}-{image.name}:{image.tag}-{stack}"


def build(stack: Stack, image: Image) -> Built:
    """Declare one image."""
    built = docker.RemoteImage(
        f"image-{image.name}",
        name=name_of(stack.project, stack.name, image),
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
    return Built(built.name, built.image_id)


def find(host: str, project: str, stack: str, image: Image) -> str:
    """Return the id of an image that was built for a former release; raise RunError where it has gone.

    One that was built anew from the same content is said to be, and taken: the tag names the content.
    """
    name = name_of(project, stack, image)
    found = daemon.image_id(host, name)
    if found is None:
        raise pulumi.RunError(
            f"release: the image {name} of the release that `release` names is not on the machine any more; wanted "
            f"{image.digest}. Nothing was changed. Name another (`make releases` shows what is kept), or go on with "
            "what is here: pulumi config rm release"
        )
    if found != image.digest:
        pulumi.log.warn(f"release: {name} was built anew since, from the same content: {found}, was {image.digest}")
    return found
