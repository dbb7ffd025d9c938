"""What is decided about an image before anything is built: its name, what differs, and whose credentials are shown."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from offline.docker import image_name, native
from offline.docker.credentials import Credentials, find, kept
from offline.plugin.errors import PluginError
from offline.plugin.log import EngineLog
from offline.plugin.values import Properties, Secret

HUB = f"https://{image_name.HUB_ALIAS}/v1/"
PAIR = base64.b64encode(b"somebody:pass:word").decode()


@pytest.fixture(autouse=True)
def nobody_logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the settings of Docker's command line, and no helper on PATH."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DOCKER_AUTH_CONFIG", raising=False)
    return tmp_path


def write(place: Path, **settings: Any) -> None:
    """Write the settings of Docker's command line."""
    (place / "config.json").write_text(json.dumps(settings))


def check(monkeypatch: pytest.MonkeyPatch, place: Path, **news: Any) -> Properties:
    """Check the inputs of an image whose context is there."""
    (place / "Dockerfile").write_text("FROM scratch\n")
    monkeypatch.chdir(place)
    build = {"context": ".", "platform": "linux/amd64", **news.pop("build", {})}
    return native.check({"build": build, **news}, EngineLog(None), "urn")


@pytest.mark.parametrize(
    ("text", "repository", "canonical"),
    [
        ("app", "docker.io/library/app", False),
        ("me/app:1", "docker.io/me/app", False),
        ("docker.io/me/app:1", "docker.io/me/app", True),
        ("docker.io/app", "docker.io/library/app", False),
        (f"{image_name.HUB_ALIAS}/me/app", "docker.io/me/app", False),
        ("localhost/app", "localhost/app", True),
        ("127.0.0.1:5000/a/b/c:1", "127.0.0.1:5000/a/b/c", True),
        ("registry.example/app@sha256:" + "0" * 64, "registry.example/app", True),
        ("[::1]:5000/app", "[::1]:5000/app", True),
        ("a/b/c", "docker.io/a/b/c", False),
    ],
)
def test_a_name_is_taken_apart_as_docker_does(text: str, repository: str, canonical: bool) -> None:
    """Docker's hub and its official folder are what is left out."""
    found = image_name.parse(text)
    assert (found.repository, found.canonical) == (repository, canonical)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("registry.example/App", "repository name (App) must be lowercase"),
        ("registry.example/app:", "invalid reference format"),
        ("registry.example/a//b", "invalid reference format"),
        ("-registry.example/app", "invalid reference format"),
        ("registry.example/app:two words", "invalid reference format"),
    ],
)
def test_what_is_no_name_is_refused_by_check(
    text: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is built; the error repeats the name."""
    with pytest.raises(PluginError) as raised:
        check(monkeypatch, tmp_path, imageName=text)
    assert f'"{text}": ' in raised.value.message
    assert reason in raised.value.message


def test_a_name_without_a_registry_needs_a_server_where_one_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A push asks one, and so does a cache; neither being wanted, any name will do."""
    cache = {"cacheFrom": {"images": ["me/app:0"]}}
    with pytest.raises(PluginError, match="repository name must be canonical"):
        check(monkeypatch, tmp_path, imageName="me/app:1")
    with pytest.raises(PluginError, match="repository name must be canonical"):
        check(monkeypatch, tmp_path, imageName="me/app:1", skipPush=True, build=cache)
    check(monkeypatch, tmp_path, imageName="me/app:1", skipPush=True)
    check(monkeypatch, tmp_path, imageName="me/app:1", registry={"server": "docker.io"}, build=cache)


@pytest.mark.parametrize(
    ("cache", "reason"),
    [({}, "cacheFrom requires an `images` field"), ({"images": "me/app"}, "the `images` field must be a list")],
)
def test_a_cache_that_names_no_images_is_refused(
    cache: dict[str, Any], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the official provider words it."""
    with pytest.raises(PluginError, match=reason):
        check(monkeypatch, tmp_path, imageName="registry.example/app", build={"cacheFrom": cache})


def test_a_dockerfile_named_relative_to_the_context_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says how to write it."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Other").write_text("FROM scratch\n")
    with pytest.raises(PluginError, match='Try setting `dockerfile` to "app/Other"'):
        check(monkeypatch, tmp_path, imageName="registry.example/app", build={"context": "app", "dockerfile": "Other"})


def test_a_password_is_a_secret_even_where_the_program_does_not_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine keeps what Check marks."""
    login = {"server": "registry.example", "username": "somebody", "password": "secret"}
    checked = check(monkeypatch, tmp_path, imageName="registry.example/app", registry=login)
    assert checked["registry"] == {**login, "password": Secret("secret")}


@pytest.mark.parametrize(
    ("new", "kinds"),
    [
        ({"server": "a", "username": "u", "password": "another"}, {}),
        ({"server": "a", "username": "another", "password": "p"}, {}),
        ({"server": "a"}, {}),
        ({"username": "u", "password": "p"}, {}),
        ({"server": "b", "username": "u", "password": "p"}, {"registry": "UPDATE"}),
        (None, {"registry": "DELETE"}),
    ],
)
def test_only_another_server_pushes_again(new: dict[str, str] | None, kinds: dict[str, str]) -> None:
    """Credentials change often, and make no other image."""
    old = {"imageName": "a/b", "registry": {"server": "a", "username": "u", "password": "p"}}
    news: Properties = {"imageName": "a/b", **({"registry": dict(new)} if new else {})}
    found = native.diff({native.INPUTS: Secret(old)}, news)  # type: ignore[arg-type]
    assert (found.kinds, found.changed) == (kinds, bool(kinds))


@pytest.mark.parametrize("kept_as", [HUB, "docker.io", f"https://registry-1.{image_name.HUB}", image_name.HUB_ALIAS])
@pytest.mark.parametrize(
    ("server", "image"),
    [("", "docker.io/me/app"), ("docker.io", "me/app"), (HUB, "me/app")],
)
def test_the_hub_goes_by_many_names(server: str, image: str, kept_as: str, tmp_path: Path) -> None:
    """They all mean the one entry, and the daemon is told the oldest."""
    write(tmp_path, auths={kept_as: {"auth": PAIR}, "registry.example": {"auth": PAIR}})
    found = find({"server": server}, image, {})
    assert found.host == HUB
    assert found.shown_host == "docker.io"
    assert found.values == {"username": "somebody", "password": "pass:word"}
    sent = json.loads(base64.urlsafe_b64decode(found.header["X-Registry-Auth"]))
    assert sent == {"username": "somebody", "password": "pass:word", "serveraddress": HUB}


def test_credentials_are_looked_for_from_the_nearest_to_the_farthest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image's own; the environment's; the file's; the provider's; nobody's."""
    own = {"server": "https://r.example/v2/", "username": "own", "password": "p"}
    auths = {"r.example": {"username": "provider", "password": "p", "serveraddress": "r.example"}}
    write(tmp_path, auths={"r.example": {"username": "file", "password": "p"}})
    given = {"auths": {"r.example": {"auth": base64.b64encode(b"environment:p").decode()}}}
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps(given))
    image = "r.example/app"
    assert find(own, image, auths).values["username"] == "own"
    assert find({**own, "password": ""}, image, auths).values["username"] == "environment"
    monkeypatch.delenv("DOCKER_AUTH_CONFIG")
    assert find({}, image, auths).values["username"] == "file"
    write(tmp_path, auths={"other.example": {"auth": PAIR}})
    assert find({}, image, auths).values["username"] == "provider"
    (tmp_path / "config.json").unlink()
    assert find({}, image, {}) == Credentials("r.example")


def test_a_registry_with_a_helper_of_its_own_asks_no_other(tmp_path: Path) -> None:
    """Naming none for it leads back to the file; a helper may keep a token instead of a password."""
    helper = tmp_path / "docker-credential-one"
    helper.write_text('#!/bin/sh\necho \'{"Username": "<token>", "Secret": "t"}\'\n')
    helper.chmod(0o755)
    write(
        tmp_path,
        credsStore="two",
        credHelpers={"r.example": "one", "f.example": ""},
        auths={"f.example": {"auth": PAIR}},
    )
    assert kept("r.example", tmp_path).values == {"identitytoken": "t"}
    assert kept("f.example", tmp_path).values["username"] == "somebody"
    with pytest.raises(PluginError, match="docker-credential-two"):
        kept("other.example", tmp_path)


@pytest.mark.parametrize("auth", ["!", base64.b64encode(b"no colon").decode(), base64.b64encode(b"\xff:").decode()])
def test_an_entry_that_cannot_be_read_is_named_and_not_repeated(auth: str, tmp_path: Path) -> None:
    """The next command is to log in again."""
    write(tmp_path, auths={"r.example": {"auth": auth}})
    with pytest.raises(PluginError, match=r"docker login r\.example") as raised:
        kept("r.example", tmp_path)
    assert f"`{auth}`" not in raised.value.message


def test_credentials_show_no_secret_when_they_are_written_out() -> None:
    """Neither their own text, nor what a registry repeats of them."""
    found = Credentials("r.example", "a test", {"username": "u", "password": "hunter2"})
    assert "hunter2" not in f"{found} {found!r}"
    assert found.hidden("you said hunter2") == "you said [secret]"
