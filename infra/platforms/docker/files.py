"""Files for services: Docker refuses uploads into a read-only root, so a one-shot container lays them into a volume."""

from __future__ import annotations

import hashlib

import pulumi
import pulumi_docker as docker

from infra.model import FILES, Service
from infra.platforms.docker import job, workload
from infra.platforms.docker.image import Built
from infra.platforms.docker.ready import Ready
from infra.platforms.docker.stack import Stack

UPLOADED = "/run/uploaded"
MEMORY = 64


def version(service: Service) -> str:
    """Return what tells one set of a service's files from another: the release, or their fingerprints."""
    if service.release:
        return service.release
    return hashlib.sha256("\0".join(f"{f.name}={f.fingerprint}" for f in service.workload.files).encode()).hexdigest()[
        :10
    ]


def script(user: int) -> str:
    """Return the commands that give the files to the service's user and leave no second copy."""
    return f"install -o {user} -g {user} -m 0400 {UPLOADED}/* {FILES}/ && rm -f {UPLOADED}/*"


def create(stack: Stack, service: Service, image: Built) -> tuple[docker.Volume, pulumi.Output[docker.Container]]:
    """Declare the volume with a service's files and the one-shot that fills it, from any image that has a shell."""
    name = f"{service.name}-files-{version(service)}"
    volume = docker.Volume(
        f"volume-{name}",
        name=stack.object_name(name),
        labels=[
            docker.VolumeLabelArgs(label=label, value=value)
            for label, value in stack.labels(f"{service.name}-files", service.release).items()
        ],
        opts=stack.options(),
    )
    container = docker.Container(
        name,
        name=stack.object_name(name),
        image=image.name,
        # No entrypoint is given: with one, a creation that failed half-way would count as done in the next update.
        command=["/bin/sh", "-c", script(service.workload.user)],
        user="0:0",
        uploads=[
            docker.ContainerUploadArgs(file=f"{UPLOADED}/{file.name}", content=file.content)
            for file in service.workload.files
        ],
        capabilities=workload.no_capabilities("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER"),
        security_opts=["no-new-privileges:true"],
        memory=MEMORY,
        memory_swap=MEMORY,
        volumes=[docker.ContainerVolumeArgs(volume_name=volume.name, container_path=str(FILES), read_only=False)],
        network_mode="none",
        restart="no",
        must_run=False,
        attach=True,
        logs=True,
        labels=workload.labels(stack.labels(f"{service.name}-files", service.release)),
        opts=pulumi.ResourceOptions.merge(
            stack.container_options(Ready()),
            # Of another image the same files come out, and they are in use.
            pulumi.ResourceOptions(ignore_changes=["image"] if service.release else []),
        ),
    )
    return volume, job.finished(stack, name, container)
