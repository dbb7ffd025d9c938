"""Jobs as one-shot containers: a failed one fails the update, is removed, and so runs again with the next one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pulumi
import pulumi_docker as docker

from infra.model import FILES, File, Job
from infra.platforms import logline
from infra.platforms.docker import daemon, workload
from infra.platforms.docker.image import Built
from infra.platforms.docker.ready import Ready
from infra.platforms.docker.stack import Stack

A_DAY = "24h"


def container_name(job: Job) -> str:
    """Return the name of a job's container, without project and stack."""
    return f"{job.name}-{job.release}" if job.release else job.name


def create(
    stack: Stack,
    job: Job,
    image: Built,
    networks: Sequence[docker.Network],
    volumes: Mapping[str, workload.Source],
    first: Ready,
    otherwise: Callable[[], str] | None = None,
) -> pulumi.Output[docker.Container]:
    """Declare a job; the result is there only once it has succeeded. `otherwise` tidies up after a failed one."""
    described = job.workload
    container = docker.Container(
        container_name(job),
        name=stack.object_name(container_name(job)),
        image=image.name,
        command=list(described.command),
        user=f"{described.user}:{described.group}",
        envs=[*workload.environment(described), *noted(job, image)],
        uploads=uploads(described.files),
        tmpfs=workload.scratch(described),
        capabilities=workload.no_capabilities(),
        security_opts=["no-new-privileges:true"],
        memory=described.limits.memory,
        memory_swap=described.limits.memory,
        cpus=stack.cpus(described.limits.cpus),
        cpu_shares=workload.SHARES,
        ulimits=workload.ulimits(described),
        volumes=workload.mounted(described.mounts, volumes),
        networks_advanced=workload.joined(networks, job.name),
        network_mode=None if networks else "none",
        restart="no",
        must_run=False,
        attach=True,
        logs=True,
        log_driver="json-file",
        log_opts=workload.LOG_OPTIONS,
        labels=workload.labels(stack.labels(job.name, job.release)),
        # A job speaks for what it came after: made anew, that has to be prepared, moved or probed again.
        opts=pulumi.ResourceOptions.merge(
            stack.container_options(first, networks, first.ids),
            # Whoever runs the same update again is somebody else, from somewhere else: that makes nothing run again.
            # What the job is told beside its notes is in the release's id, and so in its name.
            pulumi.ResourceOptions(
                ignore_changes=["envs"] if job.release and (job.notes or job.digest_as) else [],
                custom_timeouts=pulumi.CustomTimeouts(create=A_DAY) if job.passing else None,
            ),
        ),
    )
    return finished(stack, job.name, container, otherwise)


def noted(job: Job, image: Built) -> list[pulumi.Input[str]]:
    """Return what a job is told about the update that it is part of."""
    told: list[pulumi.Input[str]] = [f"{name}={value}" for name, value in sorted(job.notes.items())]
    return [*told, pulumi.Output.concat(job.digest_as, "=", image.digest)] if job.digest_as else told


def uploads(files: Sequence[File]) -> list[docker.ContainerUploadArgs]:
    """Return files as uploads: Docker takes them only into a writable root, so a job has one."""
    return [docker.ContainerUploadArgs(file=str(FILES / file.name), content=file.content) for file in files]


def finished(
    stack: Stack, name: str, container: docker.Container, otherwise: Callable[[], str] | None = None
) -> pulumi.Output[docker.Container]:
    """Return the container once it has succeeded; otherwise remove it and raise RunError with its last lines.

    Removed, because the refresh before the next update then finds it gone and runs it again. A hook cannot do this: one
    that raises leaves the container in the state and the next update green.
    """

    def look(found: list[object]) -> docker.Container:
        identity, exit_code, logs = found
        if exit_code != 0 and not pulumi.runtime.is_dry_run():
            daemon.remove(stack.host, str(identity))
            tidied = otherwise() if otherwise else ""
            raise pulumi.RunError(failure(name, exit_code, str(logs or "")) + tidied)
        return container

    return pulumi.Output.all(container.id, container.exit_code, container.container_logs).apply(look)


def failure(name: str, exit_code: object, logs: str) -> str:
    """Say that a job failed, with its last lines and what happens next."""
    return (
        f"job {name} failed with exit code {exit_code}; what serves now goes on serving. Its last lines:\n"
        f"{logline.last_lines(logs)}\n"
        f"It has been removed and runs again with the next update: mend the cause, then `make up` or `pulumi up`"
    )
