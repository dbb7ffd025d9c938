"""Networks, volumes and images on a real daemon, and look-ups, as recorded of the official provider."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import LABEL, Docker
from tests.offline.docker_daemon import BASE, daemon_host, docker_command, inspect
from tests.offline.docker_plugin import Plugin, start

NETWORK = "urn:pulumi:dev::conf::docker:index/network:Network::net"
VOLUME = "urn:pulumi:dev::conf::docker:index/volume:Volume::vol"
REMOTE_IMAGE = "urn:pulumi:dev::conf::docker:index/remoteImage:RemoteImage::img"
IMAGE = "urn:pulumi:dev::conf::docker:index/image:Image::im"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder the plugin works in, with a build context."""
    made = tmp_path_factory.mktemp("work")
    context = made / "ctx"
    (context / "deep").mkdir(parents=True)
    (context / "Dockerfile").write_text(f"FROM {BASE}\nARG MSG=one\nRUN echo built $MSG\nCOPY . /in\n")
    (context / "Bad").write_text(f"FROM {BASE}\nRUN echo before; exit 7\n")
    (context / "file").write_text("one")
    (context / "deep" / "kept").write_text("kept")
    (context / "deep" / "left.out").write_text("left out")
    (context / ".dockerignore").write_text("**/*.out\nBad\n")
    (context / "link").symlink_to("file")
    (context / "run").write_text("#!/bin/sh\n")
    (context / "run").chmod(0o755)
    return made


@pytest.fixture(scope="module")
def plugin(docker: Docker, folder: Path) -> Iterator[Plugin]:
    """A configured plugin."""
    running = start(folder)
    answer = running.ask("Configure", args={"host": daemon_host()} if daemon_host() else {})
    assert answer.get("supportsPreview"), answer
    yield running
    running.stop()


def made(plugin: Plugin, urn: str, run_id: str, **news: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Create an object from checked inputs; return its id, state and inputs."""
    if urn in (NETWORK, VOLUME):
        news["labels"] = [{"label": LABEL, "value": run_id}]
    checked = plugin.ask("Check", urn, olds={}, news=news)
    assert "error" not in checked, checked
    assert "failures" not in checked, checked
    created = plugin.ask("Create", urn, properties=checked["inputs"])
    assert "error" not in created, created
    return created["id"], created["properties"], checked["inputs"]


@pytest.mark.parametrize(("urn", "kind"), [(NETWORK, "network"), (VOLUME, "volume")], ids=["network", "volume"])
def test_a_network_or_volume_lives_as_recorded(plugin: Plugin, run_id: str, urn: str, kind: str) -> None:
    """Created, unchanged after a read, imported, noticed when gone, and its deletion no error then."""
    identity, state, inputs = made(plugin, urn, run_id)
    assert plugin.ask("Diff", urn, id=identity, olds=state, news=inputs, oldInputs=inputs)["changes"] == "DIFF_NONE"
    read = plugin.ask("Read", urn, id=identity, properties=state, inputs=inputs)
    assert read["id"] == identity
    after = plugin.ask("Diff", urn, id=identity, olds=read["properties"], news=inputs, oldInputs=inputs)
    assert after["changes"] == "DIFF_NONE"
    assert plugin.ask("Read", urn, id=identity)["inputs"]["name"] == state["name"]
    assert plugin.ask("Delete", urn, id=identity, properties=state) == {}
    assert inspect(kind, identity) is None
    assert plugin.ask("Read", urn, id=identity, properties=state, inputs=inputs)["id"] == ""
    assert plugin.ask("Delete", urn, id=identity, properties=state) == {}


def test_a_network_with_a_taken_name_is_refused_and_a_volume_is_adopted(plugin: Plugin, run_id: str) -> None:
    """As recorded: the two differ."""
    network, network_state, network_inputs = made(plugin, NETWORK, run_id)
    again = plugin.ask("Create", NETWORK, properties=network_inputs)
    assert f"network with name {network_state['name']} already exists" in again["error"]["message"]
    assert plugin.ask("Delete", NETWORK, id=network, properties=network_state) == {}
    volume, volume_state, volume_inputs = made(plugin, VOLUME, run_id)
    assert plugin.ask("Create", VOLUME, properties=volume_inputs)["id"] == volume
    assert plugin.ask("Delete", VOLUME, id=volume, properties=volume_state) == {}


def test_a_volume_in_use_is_not_deleted_and_the_error_says_so(plugin: Plugin, run_id: str) -> None:
    """It is tried for thirty seconds."""
    volume, state, _ = made(plugin, VOLUME, run_id)
    user = docker_command("create", "--label", f"{LABEL}={run_id}", "-v", f"{volume}:/v", BASE, "true")
    got = plugin.ask("Delete", VOLUME, id=volume, properties=state)
    docker_command("rm", user)
    reason = "timeout while waiting for state to become 'removed' (last state: 'in_use', timeout: 30s)"
    assert reason in got["error"]["message"]
    assert plugin.ask("Delete", VOLUME, id=volume, properties=state) == {}


def test_an_image_on_the_daemon_is_found_by_name_and_kept(plugin: Plugin, run_id: str) -> None:
    """Nothing is pulled, and with keepLocally nothing removed."""
    base = inspect("image", BASE)
    assert base is not None
    identity, state, inputs = made(plugin, REMOTE_IMAGE, run_id, name=BASE, keepLocally=True)
    assert (identity, state["imageId"]) == (f"{base['Id']}{BASE}", base["Id"])
    read = plugin.ask("Read", REMOTE_IMAGE, id=identity, properties=state, inputs=inputs)
    assert read["id"] == identity
    assert plugin.ask("Delete", REMOTE_IMAGE, id=identity, properties=state) == {}
    assert inspect("image", BASE) is not None


def test_an_image_is_built_from_a_folder_and_its_tag_removed(plugin: Plugin, run_id: str) -> None:
    """Files, links and modes arrive, ignored files do not; labels are set; progress goes to the engine's log."""
    name = f"conf-{run_id}:built"
    build = {"context": "ctx", "buildArgs": {"MSG": "two"}, "label": {LABEL: run_id}}
    identity, state, inputs = made(plugin, REMOTE_IMAGE, run_id, name=name, build=build)
    try:
        found = inspect("image", name)
        assert found is not None
        assert state["imageId"] == found["Id"]
        assert found["Config"]["Labels"] == {LABEL: run_id}
        listing = docker_command(
            "run", "--rm", name, "sh", "-c", "cd /in; find . | sort; readlink link; stat -c %a run"
        )
        names = [".", "./.dockerignore", "./Dockerfile", "./deep", "./deep/kept", "./file", "./link", "./run"]
        assert listing.split() == [*names, "file", "755"]
        assert any("built two" in message.message for message in plugin.log.messages)
        read = plugin.ask("Read", REMOTE_IMAGE, id=identity, properties=state, inputs=inputs)
        again = plugin.ask("Diff", REMOTE_IMAGE, id=identity, olds=read["properties"], news=inputs, oldInputs=inputs)
        assert again["changes"] == "DIFF_NONE"
    finally:
        gone = plugin.ask("Delete", REMOTE_IMAGE, id=identity, properties=state)
    assert gone == {}
    assert inspect("image", name) is None
    assert plugin.ask("Read", REMOTE_IMAGE, id=identity, properties=state, inputs=inputs)["id"] == ""


def test_a_build_that_fails_shows_its_output_and_leaves_nothing_behind(plugin: Plugin, run_id: str) -> None:
    """The error holds the step's words and its exit code."""
    news = {"name": f"conf-{run_id}:bad", "build": {"context": "ctx", "dockerfile": "Bad", "remove": True}}
    got = plugin.ask("Create", REMOTE_IMAGE, properties=news)
    assert "before" in got["error"]["message"]
    assert "returned a non-zero code: 7" in got["error"]["message"]
    assert "initFailed" not in got["error"]


def test_a_missing_dockerfile_is_named(plugin: Plugin, folder: Path, run_id: str) -> None:
    """The path that was looked for is in the error."""
    news = {"name": f"conf-{run_id}:none", "build": {"context": "ctx", "dockerfile": "None"}}
    got = plugin.ask("Create", REMOTE_IMAGE, properties=news)
    assert f"dockerfile not found at path: {folder.resolve()}/ctx/None" in got["error"]["message"]


def test_a_changed_file_changes_the_digest_of_an_image_and_only_that(plugin: Plugin, folder: Path, run_id: str) -> None:
    """The digest is of names, modes and contents; times do not count."""
    news = {"imageName": f"conf-{run_id}:im", "skipPush": True, "build": {"context": "ctx", "platform": "linux/amd64"}}
    first = plugin.ask("Check", IMAGE, olds={}, news=news)["inputs"]
    os.utime(folder / "ctx" / "file")
    assert plugin.ask("Check", IMAGE, olds={}, news=news)["inputs"] == first
    (folder / "ctx" / "file").write_text("two")
    second = plugin.ask("Check", IMAGE, olds={}, news=news)["inputs"]
    (folder / "ctx" / "file").write_text("one")
    assert second["build"]["contextDigest"] != first["build"]["contextDigest"]
    built = plugin.ask("Create", IMAGE, properties=first)
    try:
        assert built["id"] == news["imageName"]
        changed = plugin.ask("Diff", IMAGE, id=built["id"], olds=built["properties"], news=second, oldInputs=first)
        assert changed["detailedDiff"] == {"build": "UPDATE"}
    finally:
        docker_command("rmi", f"conf-{run_id}:im", check=False)


def test_lookups_answer_as_recorded(plugin: Plugin) -> None:
    """What is there is told, what is not is an error, what is misspelt is a complaint."""
    network = plugin.ask("Invoke", tok="docker:index/getNetwork:getNetwork", args={"name": "bridge"})["return"]
    assert (network["name"], network["driver"], network["scope"]) == ("bridge", "bridge", "local")
    image = plugin.ask("Invoke", tok="docker:index/getRemoteImage:getRemoteImage", args={"name": BASE})["return"]
    base = inspect("image", BASE)
    assert base is not None
    assert image["id"] == base["Id"]
    missing = plugin.ask("Invoke", tok="docker:index/getNetwork:getNetwork", args={"name": "conf-nowhere"})
    assert "Could not find docker network: Error response from daemon: network conf-nowhere not found" in str(missing)
    logs = plugin.ask("Invoke", tok="docker:index/getLogs:getLogs", args={"name": "conf-nowhere"})
    assert "No such container: conf-nowhere" in logs["error"]["message"]
    wrong = plugin.ask("Invoke", tok="docker:index/getNetwork:getNetwork", args={"name": "bridge", "nonsense": 1})
    assert wrong["failures"][0]["reason"] == "[nonsense] Invalid or unknown key"


@pytest.mark.parametrize("host", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:9"])
def test_a_daemon_that_cannot_be_reached_is_an_error_of_configure(host: str, tmp_path: Path) -> None:
    """The text is the official one."""
    running = start(tmp_path)
    got = running.ask("Configure", args={"host": host})
    running.stop()
    assert got["error"]["message"].endswith("Configure: failed to connect to any docker daemon")
