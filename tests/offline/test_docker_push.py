"""Images pushed to a real registry: by whom, under which digest, and what a refusal says and leaves behind."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import LABEL, Docker, run_docker
from tests.offline.conftest import Project
from tests.offline.docker_daemon import daemon_host
from tests.offline.docker_plugin import Plugin, start
from tests.offline.docker_registry import Registry, find_program, remove_images

IMAGE = "urn:pulumi:dev::conf::docker:index/image:Image::im"
USER = "somebody"
PASSWORD = "the-right-password-of-these-tests"
WRONG = "a-wrong-password-of-these-tests"
ENTRY = {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
HELPER = """#!/bin/sh
read -r host
case "$1 $host" in
"get {host}") printf '{{"ServerURL": "%s", "Username": "%s", "Secret": "%s"}}' "$host" {user} {password} ;;
"list ") printf '{{"{host}": "{user}"}}' ;;
*) echo "credentials not found in native keychain"; exit 1 ;;
esac
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Debian's registry."""
    return find_program(tmp_path_factory.mktemp("registry-program"))


@pytest.fixture(scope="module")
def built(docker: Docker, run_id: str) -> Iterator[None]:
    """Every image that is built goes away."""
    remove_images(run_id)
    yield
    remove_images(run_id)


@pytest.fixture(scope="module")
def registry(built: None, program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that takes what anybody pushes."""
    running = Registry(program, tmp_path_factory.mktemp("registry"))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def guarded(built: None, program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that knows one user."""
    running = Registry(program, tmp_path_factory.mktemp("guarded"), {USER: PASSWORD})
    running.start()
    yield running
    running.stop()


@pytest.fixture
def folder(tmp_path: Path, run_id: str) -> Path:
    """The folder the plugin works in: a context, and settings of the Docker command line that know nobody."""
    write_context(tmp_path / "ctx", run_id)
    (tmp_path / "settings").mkdir()
    (tmp_path / "bin").mkdir()
    return tmp_path


def write_context(place: Path, run_id: str) -> None:
    """Write a context of a few bytes, so that a push takes no time."""
    place.mkdir(parents=True)
    (place / "Dockerfile").write_text(f"FROM scratch\nLABEL {LABEL}={run_id}\nCOPY file /file\n")
    (place / "file").write_text(f"one of {place}")


@pytest.fixture
def plugin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plugin]:
    """A configured plugin with no credentials but those a test gives it."""
    running = configured(folder, monkeypatch)
    yield running
    running.stop()


def configured(folder: Path, monkeypatch: pytest.MonkeyPatch, **args: Any) -> Plugin:
    """Start a plugin with a provider's settings."""
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")
    running = start(folder, {"DOCKER_CONFIG": str(folder / "settings")})
    answer = running.ask("Configure", args={**({"host": daemon_host()} if daemon_host() else {}), **args})
    assert answer.get("supportsPreview"), answer
    return running


def inputs(plugin: Plugin, name: str, **news: Any) -> dict[str, Any]:
    """Return checked inputs, as Create gets them."""
    build = {"context": "ctx", "platform": "linux/amd64"}
    checked = plugin.ask("Check", IMAGE, olds={}, news={"imageName": name, "build": build, **news})
    assert "error" not in checked, checked
    found: dict[str, Any] = checked["inputs"]
    return found


def create(plugin: Plugin, name: str, **news: Any) -> dict[str, Any]:
    """Create an image, and return the answer or the error."""
    return plugin.ask("Create", IMAGE, properties=inputs(plugin, name, **news))


def repository(folder: Path) -> str:
    """Return a repository of this test alone."""
    return f"trial/{folder.name.replace('_', '-').lower().strip('-')}"


def said(plugin: Plugin, answer: dict[str, Any]) -> str:
    """Return everything a person could read: the error, and what was logged."""
    return str(answer.get("error", "")) + "\n".join(message.message for message in plugin.log.messages)


def test_anybody_pushes_and_the_state_names_the_digest_the_registry_names(
    plugin: Plugin, registry: Registry, folder: Path
) -> None:
    """What is recorded can be pulled by that name."""
    place = repository(folder)
    made = create(plugin, f"{registry.host}/{place}:1")
    state = made["properties"]
    assert made["id"] == state["imageName"] == state["baseImageName"] == f"{registry.host}/{place}:1"
    assert state["registryServer"] == ""
    digest = registry.digest(place, "1")
    assert digest is not None
    assert state["repoDigest"] == f"{registry.host}/{place}@{digest}"
    run_docker("rmi", "-f", made["id"])
    run_docker("pull", "-q", state["repoDigest"])
    assert any("Pushed image with digest" in message.message for message in plugin.log.messages)


def test_a_name_without_a_tag_is_pushed_as_latest_and_to_the_server_that_is_named(
    plugin: Plugin, registry: Registry, folder: Path
) -> None:
    """The server is recorded as it was written."""
    place = repository(folder)
    made = create(plugin, f"{registry.host}/{place}", registry={"server": f"http://{registry.host}"})
    assert made["properties"]["registryServer"] == f"http://{registry.host}"
    assert registry.digest(place, "latest") == made["properties"]["repoDigest"].partition("@")[2]


def test_the_images_own_credentials_open_a_guarded_registry(plugin: Plugin, guarded: Registry, folder: Path) -> None:
    """And the password is in no message."""
    place = repository(folder)
    login = {"server": guarded.host, "username": USER, "password": PASSWORD}
    made = create(plugin, f"{guarded.host}/{place}:1", registry=login)
    assert "error" not in made, made
    assert guarded.digest(place, "1") == made["properties"]["repoDigest"].partition("@")[2]
    assert PASSWORD not in said(plugin, made)


def test_a_wrong_password_is_refused_by_name_and_nothing_is_recorded(
    plugin: Plugin, guarded: Registry, folder: Path
) -> None:
    """The error names the registry and where the credentials came from; no object is said to exist."""
    place = repository(folder)
    login = {"server": guarded.host, "username": USER, "password": WRONG}
    refused = create(plugin, f"{guarded.host}/{place}:1", registry=login)
    assert "initFailed" not in refused["error"]
    assert refused["error"]["message"].startswith("error reading push output: ")
    assert f"The registry {guarded.host} does not let {guarded.host}/{place}:1 be pushed" in refused["error"]["message"]
    assert "credentials of the image's `registry` were shown" in refused["error"]["message"]
    assert WRONG not in said(plugin, refused)
    assert guarded.digest(place, "1") is None


def test_nobody_gets_into_a_guarded_registry_without_credentials(
    plugin: Plugin, guarded: Registry, folder: Path
) -> None:
    """The error says that none were found, and the next command."""
    place = repository(folder)
    refused = create(plugin, f"{guarded.host}/{place}:1")
    assert "no credentials were found for it" in refused["error"]["message"]
    assert f"docker login {guarded.host}" in refused["error"]["message"]
    assert guarded.digest(place, "1") is None


def test_the_providers_credentials_open_a_guarded_registry(
    guarded: Registry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With or without a scheme in the address."""
    auths = [{"address": f"http://{guarded.host}", "username": USER, "password": PASSWORD}]
    running = configured(folder, monkeypatch, registryAuth=json.dumps(auths))
    try:
        made = create(running, f"{guarded.host}/{repository(folder)}:1")
        assert "error" not in made, made
        assert PASSWORD not in said(running, made)
    finally:
        running.stop()
    assert guarded.digest(repository(folder), "1") is not None


@pytest.mark.parametrize("where", ["image", "file", "provider"])
def test_what_an_image_is_built_from_is_pulled_with_the_same_credentials(
    guarded: Registry, folder: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The base lies in a guarded registry and not on the daemon."""
    base = f"{guarded.host}/{repository(folder)}-base:1"
    login = {"server": guarded.host, "username": USER, "password": PASSWORD}
    auths = [{"address": guarded.host, "username": USER, "password": PASSWORD}]
    settings = {"registryAuth": json.dumps(auths)} if where == "provider" else {}
    running = configured(folder, monkeypatch, **settings)
    try:
        assert "error" not in create(running, base, registry=login)
        run_docker("rmi", "-f", base)
        with (folder / "ctx" / "Dockerfile").open("a") as dockerfile:
            dockerfile.write("COPY file /another\n")
        written = (folder / "ctx" / "Dockerfile").read_text().replace("FROM scratch", f"FROM {base}")
        (folder / "ctx" / "Dockerfile").write_text(written)
        if where == "file":
            (folder / "settings" / "config.json").write_text(json.dumps({"auths": {guarded.host: ENTRY}}))
        name = f"{guarded.host}/{repository(folder)}:1"
        made = create(running, name, **({"registry": login} if where == "image" else {"skipPush": True}))
        assert "error" not in made, made
        assert PASSWORD not in said(running, made)
    finally:
        running.stop()


@pytest.mark.parametrize("scheme", ["", "https://"])
def test_what_docker_login_keeps_in_its_file_opens_a_guarded_registry(
    plugin: Plugin, guarded: Registry, folder: Path, scheme: str
) -> None:
    """Older programs wrote the address with a scheme. Half a pair in the image counts for nothing, with a warning."""
    place = repository(folder)
    (folder / "settings" / "config.json").write_text(json.dumps({"auths": {f"{scheme}{guarded.host}": ENTRY}}))
    made = create(plugin, f"{guarded.host}/{place}:1", registry={"username": USER})
    assert "error" not in made, made
    assert guarded.digest(place, "1") is not None
    assert "password was not set, although username was; using host credentials file" in said(plugin, made)


@pytest.mark.parametrize("key", ["credHelpers", "credsStore"])
def test_a_helper_of_docker_login_opens_a_guarded_registry(
    plugin: Plugin, guarded: Registry, folder: Path, key: str
) -> None:
    """The one for this registry, or the one for all."""
    place = repository(folder)
    helper = folder / "bin" / "docker-credential-trial"
    helper.write_text(HELPER.format(host=guarded.host, user=USER, password=PASSWORD))
    helper.chmod(0o755)
    settings = {key: {guarded.host: "trial"} if key == "credHelpers" else "trial"}
    (folder / "settings" / "config.json").write_text(json.dumps(settings))
    made = create(plugin, f"{guarded.host}/{place}:1")
    assert "error" not in made, made
    assert PASSWORD not in said(plugin, made)
    assert guarded.digest(place, "1") is not None


def test_a_helper_that_is_missing_or_fails_is_named(plugin: Plugin, guarded: Registry, folder: Path) -> None:
    """Before anything is built."""
    settings = folder / "settings" / "config.json"
    settings.write_text(json.dumps({"credsStore": "trial"}))
    name = f"{guarded.host}/{repository(folder)}:1"
    assert '"docker-credential-trial": executable file not found' in create(plugin, name)["error"]["message"]
    helper = folder / "bin" / "docker-credential-trial"
    helper.write_text("#!/bin/sh\necho the keyring is locked\nexit 1\n")
    helper.chmod(0o755)
    reason = "err: exit status 1, out: `the keyring is locked`"
    assert f"error getting credentials - {reason}" in create(plugin, name)["error"]["message"]
    settings.write_text(f'{{"auths": {{"{guarded.host}": {{"auth": "{ENTRY["auth"]}"')
    broken = create(plugin, name)["error"]["message"]
    assert f"error loading {settings}" in broken
    assert ENTRY["auth"] not in broken
    assert run_docker("image", "ls", "-q", name) == ""
    unpushed = create(plugin, name, skipPush=True)
    assert "error" not in unpushed, unpushed
    assert f"base images are pulled without credentials: error loading {settings}" in said(plugin, unpushed)


def test_a_registry_that_is_away_is_named_and_takes_the_next_push(
    plugin: Plugin, program: Path, folder: Path, built: None
) -> None:
    """An Update that cannot push is an error that records nothing; made again, it pushes."""
    away = Registry(program, folder)
    away.start()
    place = repository(folder)
    try:
        first = inputs(plugin, f"{away.host}/{place}:1")
        made = plugin.ask("Create", IMAGE, properties=first)
        (folder / "ctx" / "file").write_text("two")
        second = inputs(plugin, f"{away.host}/{place}:1")
        request = {"id": made["id"], "olds": made["properties"], "news": second, "oldInputs": first}
        away.stop()
        failed = plugin.ask("Update", IMAGE, **request)
        assert "initFailed" not in failed["error"]
        assert away.host in failed["error"]["message"]
        away.start()
        assert away.digest(place, "1") == made["properties"]["repoDigest"].partition("@")[2]
        after = plugin.ask("Update", IMAGE, **request)["properties"]
        assert after["repoDigest"] == f"{away.host}/{place}@{away.digest(place, '1')}"
        assert after["repoDigest"] != made["properties"]["repoDigest"]
    finally:
        away.stop()


def test_another_name_pushes_there_and_deletes_nothing(plugin: Plugin, registry: Registry, folder: Path) -> None:
    """The old name stays in the registry and on the daemon, and so does the new one after a Delete."""
    place = repository(folder)
    first, second = inputs(plugin, f"{registry.host}/{place}:1"), inputs(plugin, f"{registry.host}/{place}-two:2")
    made = plugin.ask("Create", IMAGE, properties=first)
    request = {"id": made["id"], "olds": made["properties"], "news": second, "oldInputs": first}
    assert plugin.ask("Diff", IMAGE, **request)["detailedDiff"] == {"imageName": "UPDATE"}
    after = plugin.ask("Update", IMAGE, **request)["properties"]
    digest = registry.digest(f"{place}-two", "2")
    assert after["repoDigest"] == f"{registry.host}/{place}-two@{digest}"
    assert plugin.ask("Delete", IMAGE, id=made["id"], properties=after) == {}
    assert registry.digest(place, "1") == registry.digest(f"{place}-two", "2") == digest
    assert run_docker("image", "ls", "-q", f"{registry.host}/{place}-two:2")


def test_a_preview_and_skip_push_push_nothing(plugin: Plugin, registry: Registry, folder: Path) -> None:
    """What is recorded then is the image's id, as the daemon knows it."""
    place = repository(folder)
    kept = create(plugin, f"{registry.host}/{place}:kept", skipPush=True)
    shown = inputs(plugin, f"{registry.host}/{place}:shown", buildOnPreview=True)
    foretold = plugin.ask("Create", IMAGE, properties=shown, preview=True)
    for answer in (kept, foretold):
        assert answer["properties"]["repoDigest"] == run_docker("image", "inspect", "-f", "{{.Id}}", answer["id"])
    plain = plugin.ask("Create", IMAGE, properties=inputs(plugin, f"{registry.host}/{place}:none"), preview=True)
    assert plain["id"] == ""
    assert [registry.digest(place, tag) for tag in ("kept", "shown", "none")] == [None, None, None]
    assert run_docker("image", "ls", "-q", f"{registry.host}/{place}:none") == ""


PROGRAM = """
import json
from pathlib import Path
import pulumi, pulumi_docker as docker

wanted = json.loads(Path("wanted.json").read_text())
image = docker.Image("image",
    image_name=wanted["name"], build=docker.DockerBuildArgs(context="ctx", platform="linux/amd64"),
    registry=docker.RegistryArgs(server=wanted["server"], username=wanted["user"], password=wanted["password"]))
pulumi.export("digest", image.repo_digest)
"""


def write_wanted(stack: Project, registry: Registry, password: str) -> None:
    """Write what the program reads."""
    wanted = {"name": f"{registry.host}/trial/stack:1", "server": registry.host, "user": USER, "password": password}
    (stack.folder / "wanted.json").write_text(json.dumps(wanted))


def test_an_update_pushes_once_and_again_when_a_file_changes(
    project: Project, program: Path, built: None, run_id: str, tmp_path: Path
) -> None:
    """A story: refused, pushed, unchanged, changed while the registry is away, and pushed by the next update.

    The password is nowhere to be read, though the program does not mark it as a secret; changed alone, it pushes
    nothing.
    """
    folder = tmp_path / "registry"
    folder.mkdir()
    registry = Registry(program, folder, {USER: PASSWORD})
    registry.start()
    try:
        project.program(PROGRAM)
        project.environment["DOCKER_CONFIG"] = str(folder)
        write_context(project.folder / "ctx", run_id)
        write_wanted(project, registry, WRONG)
        refused = project.fail("up", "--yes", "--skip-preview", "--stack", project.stack)
        assert f"The registry {registry.host} does not let" in refused
        assert WRONG not in refused
        assert not any(r["type"] == "docker:index/image:Image" for r in project.deployment()["resources"])

        write_wanted(project, registry, PASSWORD)
        shown = project.up("--diff")
        first = project.outputs()["digest"]
        assert first == f"{registry.host}/trial/stack@{registry.digest('trial/stack', '1')}"
        unchanged = project.succeed("up", "--yes", "--expect-no-changes", "--stack", project.stack)
        assert PASSWORD not in shown + unchanged + json.dumps(project.deployment())

        write_wanted(project, registry, WRONG)
        project.succeed("up", "--yes", "--expect-no-changes", "--skip-preview", "--stack", project.stack)
        write_wanted(project, registry, PASSWORD)

        (project.folder / "ctx" / "file").write_text("two")
        registry.stop()
        failed = project.fail("up", "--yes", "--skip-preview", "--stack", project.stack)
        assert registry.host in failed
        assert PASSWORD not in failed
        registry.start()
        assert "1 updated" in project.up()
        second = project.outputs()["digest"]
        assert second == f"{registry.host}/trial/stack@{registry.digest('trial/stack', '1')}"
        assert second != first
        project.succeed("destroy", "--yes", "--skip-preview", "--stack", project.stack)
        assert registry.digest("trial/stack", "1") == second.partition("@")[2]
    finally:
        registry.stop()
