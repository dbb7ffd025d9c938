"""Containers on a real daemon: created, read, updated and deleted as recorded of the official provider."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import LABEL, Docker
from tests.offline.docker_daemon import BASE, Stage, daemon_host, docker_command, inspect
from tests.offline.docker_plugin import Plugin, start, timed
from tests.offline.docker_recordings import Case, cases, deviates, differences, resolve

CONTAINER = "docker:index/container:Container"
URN = f"urn:pulumi:dev::conf::{CONTAINER}::web"
SLACK_SECONDS = 3.0
BY_HAND = ("by hand", "the name is taken", "the port is taken", "image not present", "nobody has", "API 1.41")

BY_CHANCE = (
    "Container Create, job: logs without attach",
    "Container Create, mustRun true, not attached, exits at once with 3: no error",
)


def creations() -> list[list[Case]]:
    """Return the recorded Creates, each with the answers recorded right after it on the same container."""
    found: list[list[Case]] = []
    for case in cases("container-life"):
        if case["rpc"] == "Create" and not any(words in case["name"] for words in BY_HAND):
            found.append([case])
        elif (found and found[-1] and case["rpc"] in ("Create", "Update", "Delete")) or "by hand" in case["name"]:
            found.append([])
        elif found and found[-1] and case["rpc"] in ("Read", "Diff"):
            found[-1].append(case)
    return [story for story in found if story]


STORIES = creations()


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugin]:
    """A configured plugin."""
    running = start(tmp_path_factory.mktemp("work"))
    answer = running.ask("Configure", args={"host": daemon_host()} if daemon_host() else {})
    assert answer.get("supportsPreview"), answer
    yield running
    running.stop()


@pytest.fixture(scope="module")
def stage(docker: Docker, run_id: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Networks, a volume and images as the recordings had them; everything of this run is removed at the end."""
    label = f"{LABEL}={run_id}"
    base = inspect("image", BASE)
    assert base is not None, f"{BASE} is not on the daemon"
    other = f"conf-{run_id}:other"
    holder = docker_command("create", "--label", label, BASE, "true")
    docker_command("commit", "--change", 'CMD ["sleep","600"]', "--change", "ENV FROM_IMAGE=1", holder, other)
    docker_command("rm", holder)
    second = inspect("image", other)
    assert second is not None
    made = Stage(run_id, base["Id"], second["Id"], str(tmp_path_factory.mktemp("host")))
    for network in ("net", "net2"):
        docker_command("network", "create", "--label", label, f"{made.prefix}{network}")
    docker_command("volume", "create", "--label", label, f"{made.prefix}v1")
    yield made
    remove(made)
    for network in ("net", "net2"):
        docker_command("network", "rm", f"{made.prefix}{network}", check=False)
    docker_command("volume", "rm", f"{made.prefix}v1", check=False)
    docker_command("rmi", other, check=False)


def remove(stage: Stage) -> None:
    """Remove the containers of this run."""
    found = docker_command("ps", "-aq", "--filter", f"label={LABEL}={stage.run_id}").split()
    if found:
        docker_command("rm", "-fv", *found, check=False)


def labelled(inputs: dict[str, Any], stage: Stage) -> dict[str, Any]:
    """Return inputs with the label by which what a killed test leaves is found."""
    own = {"label": LABEL, "value": stage.run_id, "__defaults": []}
    return {**inputs, "labels": [*(inputs.get("labels") or []), own]}


def unlabelled(answer: Any) -> Any:
    """Return an answer without that label, and without what differs from one machine to the next."""
    if isinstance(answer, dict):
        kept = {key: unlabelled(item) for key, item in answer.items()}
        if isinstance(kept.get("networkDatas"), list):
            kept["networkDatas"] = [{"networkName": data["networkName"]} for data in kept["networkDatas"]]
        if isinstance(kept.get("__meta"), str):
            del kept["__meta"]
        if isinstance(kept.get("containerLogs"), str):  # which of two streams arrives first is chance
            kept["containerLogs"] = "".join(sorted(kept["containerLogs"].splitlines(keepends=True)))
        if daemon_host() and isinstance(kept.get("message"), str):  # another daemon has other words
            kept["message"] = kept["message"].partition("Error response from daemon:")[0]
        if isinstance(kept.get("inputs"), dict) and kept["inputs"].get("labels") == []:
            del kept["inputs"]["labels"]
        return kept
    if isinstance(answer, list):
        return [unlabelled(item) for item in answer if not (isinstance(item, dict) and item.get("label") == LABEL)]
    return answer


def judge(case: Case, got: Any, stage: Stage) -> None:
    """Fail the test when an answer differs from the recorded one, or no longer does where it is meant to."""
    recorded = resolve({"error": case["error"]} if "error" in case else case["response"], stage.real())
    if case["name"] in BY_CHANCE:  # it ends while it is asked about
        got = json.loads(json.dumps(got))
        for answer in (recorded["properties"], got["properties"]):
            answer.update(exitCode=None, mustRun=None)
            answer["networkDatas"] = []
    found = differences(unlabelled(recorded), unlabelled(got))
    reason = deviates(case)
    if reason is None:
        assert not found, "\n".join([case["name"], *found])
    else:
        assert found, f"{case['name']} no longer deviates: {reason}"


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story[0]["name"])
def test_a_container_is_created_and_told_of_as_recorded(plugin: Plugin, stage: Stage, story: list[Case]) -> None:
    """State, errors and what exists afterwards are the official provider's; it takes no longer."""
    first, *later = story
    request = resolve(first["request"], stage.real())
    preview = request.get("preview", False)
    inputs = request["properties"] if preview else labelled(request["properties"], stage)
    try:
        got, seconds = timed(plugin, "Create", first["urn"], properties=inputs, preview=preview)
        judge(first, got, stage)
        assert seconds <= first.get("seconds", 2.0) + SLACK_SECONDS
        failed = got.get("error", {}).get("initFailed")
        identity = failed["id"] if failed else got.get("id")
        judge_daemon(first, identity)
        state = failed["properties"] if failed else got.get("properties")
        for case in later:
            given = resolve(case["request"], stage.real())
            if "After Read" in case["name"] or "after Read" in case["name"]:
                refreshed = plugin.ask("Read", URN, id=identity, properties=state, inputs=inputs)
                state = refreshed["properties"]
            if state and identity and state.get("rm"):
                wait_until_gone(identity)
            if case["rpc"] == "Read":
                answer = plugin.ask("Read", URN, id=identity, properties=state, inputs=inputs)
            else:
                new = labelled(given["news"], stage)
                answer = plugin.ask(
                    "Diff", URN, id=identity, olds=with_one_port(state, inputs), news=new, oldInputs=inputs
                )
            judge(case, answer, stage)
    finally:
        remove(stage)


def with_one_port(state: Any, inputs: Any) -> Any:
    """Return a state in which the ports that Docker chose are one number, as they were when it was recorded.

    Docker counts TCP and UDP apart, so whether two chosen ports agree, and with it the official answer, is chance.
    """
    named = {port.get("external") for port in inputs.get("ports") or []}
    chosen = [port for port in state.get("ports") or [] if port["external"] not in named]
    if len(chosen) < 2:
        return state
    same = [{**port, "external": chosen[0]["external"]} if port in chosen else port for port in state["ports"]]
    return {**state, "ports": same}


def wait_until_gone(identity: str) -> None:
    """Wait for the daemon to remove a container by itself."""
    deadline = time.monotonic() + 20
    while inspect("container", identity) is not None:
        assert time.monotonic() < deadline


def settled(identity: str, code: int | None) -> dict[str, Any] | None:
    """Return a container's state; one that Docker starts again and again has an exit code only between two starts."""
    deadline = time.monotonic() + 20
    while True:
        found = inspect("container", identity)
        if found is None or found["HostConfig"]["RestartPolicy"]["Name"] != "always":
            return found
        if found["State"]["ExitCode"] == code or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def judge_daemon(case: Case, identity: str | None) -> None:
    """Compare the container's state on the daemon with the recorded one."""
    wanted = case.get("daemonObject", {})
    found = settled(identity, wanted.get("exitCode")) if identity else None
    if "exists" in wanted and "rm" not in case["request"]["properties"].get("$set", {}):
        assert (found is not None) == wanted["exists"]
    if found is not None and "running" in wanted:
        assert found["State"]["Running"] == wanted["running"]
        assert found["State"]["ExitCode"] == wanted["exitCode"]


def make(plugin: Plugin, stage: Stage, **properties: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Create a container from checked inputs; return its id, state and inputs."""
    news = {
        "image": stage.image, "command": ["sleep", "600"], "networkMode": "bridge",
        "labels": [{"label": LABEL, "value": stage.run_id}], "name": f"{stage.prefix}c", **properties,
    }  # fmt: skip
    checked = plugin.ask("Check", URN, olds={}, news=news)
    assert "failures" not in checked, checked
    made = plugin.ask("Create", URN, properties=checked["inputs"])
    assert "error" not in made, made
    return made["id"], made["properties"], checked["inputs"]


@pytest.fixture
def clean(stage: Stage) -> Iterator[None]:
    """Nothing of this run is left before or after a test."""
    remove(stage)
    yield
    remove(stage)


@pytest.mark.usefixtures("clean")
def test_a_stopped_container_is_noticed_by_a_read_and_started_again(plugin: Plugin, stage: Stage) -> None:
    """Read turns mustRun off, Diff asks for an update, Update starts it."""
    identity, state, inputs = make(plugin, stage)
    docker_command("stop", "-t", "0", identity)
    read = plugin.ask("Read", URN, id=identity, properties=state, inputs=inputs)
    assert read["properties"]["mustRun"] is False
    assert read["properties"]["exitCode"] == 137
    asked = plugin.ask("Diff", URN, id=identity, olds=read["properties"], news=inputs, oldInputs=inputs)
    assert asked["detailedDiff"] == {"mustRun": "UPDATE"}
    updated = plugin.ask("Update", URN, id=identity, olds=read["properties"], news=inputs, oldInputs=inputs)
    assert updated["properties"]["mustRun"] is True
    found = inspect("container", identity)
    assert found is not None
    assert found["State"]["Running"]


@pytest.mark.usefixtures("clean")
def test_a_removed_container_is_noticed_by_a_read_and_deleting_it_is_no_error(plugin: Plugin, stage: Stage) -> None:
    """Read answers with an empty id; Delete of what is gone succeeds."""
    identity, state, inputs = make(plugin, stage)
    docker_command("rm", "-f", identity)
    read = plugin.ask("Read", URN, id=identity, properties=state, inputs=inputs)
    assert read == {"id": "", "properties": {}, "inputs": {}}
    assert plugin.ask("Delete", URN, id=identity, properties=state) == {}


@pytest.mark.usefixtures("clean")
def test_a_container_is_imported_by_its_full_id_alone(plugin: Plugin, stage: Stage) -> None:
    """A short id or a name is not one to import by."""
    identity, _, _ = make(plugin, stage, cpuShares=77)
    imported = plugin.ask("Read", URN, id=identity)
    assert imported["id"] == identity
    assert imported["inputs"]["cpuShares"] == 77
    assert imported["inputs"]["attach"] is None
    assert plugin.ask("Read", URN, id=identity[:12])["id"] == ""


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(("old", "new", "field", "bytes_"), [(64, 128, "Memory", 128 << 20)])
def test_memory_is_changed_in_place(plugin: Plugin, stage: Stage, old: int, new: int, field: str, bytes_: int) -> None:
    """The container stays the same one."""
    identity, state, inputs = make(plugin, stage, memory=old, memorySwap=512)
    news = {**inputs, "memory": new}
    asked = plugin.ask("Diff", URN, id=identity, olds=state, news=news, oldInputs=inputs)
    assert asked["detailedDiff"] == {"memory": "UPDATE"}
    updated = plugin.ask("Update", URN, id=identity, olds=state, news=news, oldInputs=inputs)
    assert updated["properties"]["memory"] == new
    found = inspect("container", identity)
    assert found is not None
    assert found["HostConfig"][field] == bytes_


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(
    ("settings", "least", "most"),
    [
        ({"destroyGraceSeconds": 8}, 2.9, 7.9),
        ({"destroyGraceSeconds": 8, "stopSignal": "SIGINT"}, 0.0, 2.8),
        ({"stopTimeout": 8}, 0.0, 2.8),
    ],
    ids=["waits for TERM's handler", "sends the stop signal", "no grace without destroyGraceSeconds"],
)
def test_delete_gives_the_grace_of_the_state(
    plugin: Plugin, stage: Stage, settings: dict[str, Any], least: float, most: float
) -> None:
    """A handler that takes three seconds is waited for only where destroyGraceSeconds says so."""
    script = 'trap "sleep 3; exit 0" TERM; trap "exit 9" INT; echo ready; while :; do sleep 0.1; done'
    identity, state, _ = make(plugin, stage, command=["sh", "-c", script], **settings)
    deadline = time.monotonic() + 10
    while "ready" not in docker_command("logs", identity):
        assert time.monotonic() < deadline
    got, seconds = timed(plugin, "Delete", URN, id=identity, properties=state)
    assert got == {}
    assert least <= seconds <= most
    assert inspect("container", identity) is None


@pytest.mark.usefixtures("clean")
def test_a_taken_name_leaves_nothing_behind(plugin: Plugin, stage: Stage) -> None:
    """The error is the daemon's, and no state is recorded."""
    _, _, inputs = make(plugin, stage)
    got = plugin.ask("Create", URN, properties=inputs)
    assert "Unable to create container: Error response from daemon: Conflict." in got["error"]["message"]
    assert "initFailed" not in got["error"]


@pytest.mark.usefixtures("clean")
def test_an_image_that_cannot_be_had_leaves_nothing_behind(plugin: Plugin, stage: Stage) -> None:
    """The error says what was tried."""
    _, _, inputs = make(plugin, stage)
    image = "registry.invalid/none:1"
    got = plugin.ask("Create", URN, properties={**inputs, "name": f"{stage.prefix}d", "image": image})
    wanted = f"Unable to create container with image {image}: unable to pull image {image}: error pulling image {image}"
    assert wanted in got["error"]["message"]
    assert "initFailed" not in got["error"]


def test_files_are_uploaded_with_their_contents_modes_and_folders(plugin: Plugin, stage: Stage) -> None:
    """All of them at once, as the official provider does it one after the other."""
    uploads = [
        {"file": "/run/a/one", "content": "first"},
        {"file": "/run/a/two", "contentBase64": "c2Vjb25k", "executable": True},
        {"file": "/three", "content": "third", "permissions": "0400"},
        {"file": "/three", "content": "last", "permissions": "0600"},
    ]
    look = "stat -c '%a %u %n' /run/a/one /run/a/two /three && cat /run/a/one /run/a/two /three"
    command = ["sh", "-c", look]
    identity, _, _ = make(plugin, stage, command=command, attach=True, mustRun=False, uploads=uploads)
    try:
        assert docker_command("logs", identity).split() == [
            "644", "0", "/run/a/one", "744", "0", "/run/a/two", "600", "0", "/three", "firstsecondlast",
        ]  # fmt: skip
    finally:
        remove(stage)


def test_a_secret_is_not_in_the_process_list_or_the_log_of_the_plugin(plugin: Plugin, stage: Stage) -> None:
    """A secret upload reaches the container and nothing else."""
    secret = "a-secret-of-this-test"
    upload = [{"file": "/s", "content": secret}]
    identity, _, _ = make(plugin, stage, command=["cat", "/s"], attach=True, mustRun=False, uploads=upload)
    try:
        assert docker_command("logs", identity) == secret
        assert secret not in Path(f"/proc/{plugin.process.pid}/cmdline").read_text()
        assert not any(secret in message.message for message in plugin.log.messages)
    finally:
        remove(stage)
