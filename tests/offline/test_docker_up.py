"""Real `pulumi up` on the Docker plugin: one-shots that fail, drift, secrets, and a second `up` that does nothing."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.conftest import LABEL, Docker
from tests.offline.conftest import Project
from tests.offline.docker_daemon import BASE, docker_command, inspect

REFRESHED = "options: {refresh: always}\n"

PROGRAM = """
import json, subprocess
from pathlib import Path
import pulumi, pulumi_docker as docker

wanted = json.loads(Path("wanted.json").read_text())
labels = lambda kind: [kind(label=wanted["label"], value=wanted["run"])]
opts = pulumi.ResourceOptions(provider=docker.Provider("here"))
image = docker.RemoteImage("base", name=wanted["image"], keep_locally=True, opts=opts)
net = docker.Network("net", labels=labels(docker.NetworkLabelArgs), opts=opts)
volume = docker.Volume("data", labels=labels(docker.VolumeLabelArgs), opts=opts)
on_net = [docker.ContainerNetworksAdvancedArgs(name=net.name)]

job = docker.Container("job",
    image=image.image_id, command=["sh", "-c", wanted["job"]], attach=True, logs=True, must_run=False,
    labels=labels(docker.ContainerLabelArgs), networks_advanced=on_net, opts=opts,
    uploads=[docker.ContainerUploadArgs(file="/secret", content=pulumi.Output.secret(wanted["secret"]))],
    volumes=[docker.ContainerVolumeArgs(volume_name=volume.name, container_path="/data")])

def checked(found):
    code, logs, container = found
    if not pulumi.runtime.is_dry_run() and code != 0:
        subprocess.run(["docker", "rm", "-f", container], check=True, capture_output=True)
        raise RuntimeError(f"the job ended with {code}: {logs}")
    return code

done = pulumi.Output.all(job.exit_code, job.container_logs, job.id).apply(checked)
pulumi.export("code", done)
pulumi.export("job", job.id)

web = docker.Container("web",
    image=image.image_id, command=["sleep", "600"], labels=labels(docker.ContainerLabelArgs), opts=opts,
    networks_advanced=on_net, wait=True, wait_timeout=30, destroy_grace_seconds=1,
    healthcheck=docker.ContainerHealthcheckArgs(tests=["CMD", "true"], interval="1s"),
    volumes=[docker.ContainerVolumeArgs(volume_name=volume.name, container_path="/data")])
pulumi.export("web", web.id)
pulumi.export("volume", volume.name)
pulumi.export("net", net.id)
"""
SECRET = "a-secret-of-this-test"


@pytest.fixture
def stack(project: Project, docker: Docker, run_id: str) -> Any:
    """The program in a project that refreshes with every `up`; destroyed at the end."""
    project.program(PROGRAM)
    settings = project.folder / "Pulumi.yaml"
    settings.write_text(settings.read_text() + REFRESHED)
    write(project, run_id, "exit 0")
    yield project
    project.run("destroy", "--yes", "--skip-preview", "--stack", project.stack)


def write(project: Project, run_id: str, job: str) -> None:
    """Write what the program reads: the job's command above all."""
    wanted = {"label": LABEL, "run": run_id, "image": BASE, "job": job, "secret": SECRET}
    (project.folder / "wanted.json").write_text(json.dumps(wanted))


def test_a_failed_one_shot_fails_the_update_and_is_run_again_by_the_next(stack: Project, run_id: str) -> None:
    """It fails, is removed, fails again, passes when mended, and then nothing changes any more."""
    job = "echo trying; exit $(cat /data/code 2>/dev/null || echo 3)"
    write(stack, run_id, job)
    first = stack.fail("up", "--yes", "--skip-preview", "--stack", stack.stack)
    assert "the job ended with 3: trying" in first
    assert SECRET not in first
    second = stack.fail("up", "--yes", "--skip-preview", "--stack", stack.stack)
    assert "the job ended with 3: trying" in second
    volume = docker_command("volume", "ls", "-q", "--filter", f"label={LABEL}={run_id}").split()[0]
    label = f"{LABEL}={run_id}"
    docker_command("run", "--rm", "--label", label, "-v", f"{volume}:/data", BASE, "sh", "-c", "echo 0 > /data/code")
    assert "1 created" in stack.up()
    assert stack.outputs()["code"] == 0
    unchanged = stack.up()
    assert "created" not in unchanged
    assert "updated" not in unchanged
    assert "replaced" not in unchanged
    assert "exited prematurely" not in first + second + unchanged
    assert SECRET not in json.dumps(stack.deployment())


def test_what_was_stopped_or_removed_by_hand_is_back_after_the_next_update(stack: Project) -> None:
    """A stopped container is started, a removed one made anew, a removed volume and its users as well."""
    stack.up()
    web = stack.outputs()["web"]
    docker_command("stop", "-t", "0", web)
    assert "1 updated" in stack.up()
    found = inspect("container", web)
    assert found is not None
    assert found["State"]["Running"]
    docker_command("rm", "-f", web)
    assert "1 created" in stack.up()
    outputs = stack.outputs()
    assert outputs["web"] != web
    docker_command("rm", "-f", outputs["web"], outputs["job"])
    docker_command("volume", "rm", outputs["volume"])
    docker_command("network", "rm", outputs["net"])
    assert "4 created" in stack.up()
    unchanged = stack.up()
    assert "unchanged" in unchanged
    assert "created" not in unchanged


def test_a_refresh_over_what_has_not_changed_leaves_the_inputs_as_they_were(stack: Project) -> None:
    """Else the engine writes the state again for each resource in every update."""

    def inputs() -> dict[str, Any]:
        exported = json.loads(stack.succeed("stack", "export", "--show-secrets", "--stack", stack.stack))
        return {each["urn"]: each.get("inputs") for each in exported["deployment"]["resources"]}

    stack.up()
    before = inputs()
    stack.succeed("refresh", "--yes", "--skip-preview", "--stack", stack.stack)
    assert inputs() == before


def test_a_preview_makes_nothing(stack: Project, run_id: str) -> None:
    """What is not known yet stays unknown, and the daemon is left as it was."""
    shown = stack.succeed("preview", "--stack", stack.stack)
    assert "7 to create" in shown
    assert docker_command("ps", "-aq", "--filter", f"label={LABEL}={run_id}") == ""


def test_a_network_is_imported_by_its_name(stack: Project, run_id: str) -> None:
    """An import reads the object and writes its inputs into the state."""
    name = f"conf-{run_id}-imported"
    docker_command("network", "create", "--label", f"{LABEL}={run_id}", name)
    done = stack.run(
        "import", "docker:index/volume:Volume", "none", f"conf-{run_id}-nowhere", "--yes", "--stack", stack.stack,
        "--generate-code=false",
    )  # fmt: skip
    assert done.returncode != 0
    stack.succeed(
        "import", "docker:index/network:Network", "imported", name, "--yes", "--protect=false", "--skip-preview",
        "--generate-code=false", "--stack", stack.stack,
    )  # fmt: skip
    found = [r for r in stack.deployment()["resources"] if r["type"] == "docker:index/network:Network"]
    assert [r["inputs"]["name"] for r in found] == [name]


def test_cancelling_an_update_ends_a_one_shot_and_records_its_container(stack: Project, run_id: str) -> None:
    """The engine's Cancel ends the wait; the container is in the state, so that the next update can remove it."""
    write(stack, run_id, "echo waiting; sleep 300")
    process: subprocess.Popen[str] = stack.start("up", "--yes", "--skip-preview", "--stack", stack.stack)
    from tests.offline.conftest import wait_for

    label = f"label={LABEL}={run_id}"
    wait_for(lambda: "sh -c" in docker_command("ps", "--no-trunc", "--filter", label), 60)
    process.send_signal(2)
    process.communicate(timeout=60)
    assert process.returncode != 0
    types = [r["type"] for r in stack.deployment()["resources"] if r.get("id")]
    assert "docker:index/container:Container" in types
