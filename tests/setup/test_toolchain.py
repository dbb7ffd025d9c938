"""The official installer is used where it answers in time, and given up on where it does not."""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from setup import toolchain
from setup.facts import (
    KUBERNETES_REQUIREMENTS,
    REQUIREMENTS,
    parse_version,
    pinned_versions,
    requirements_for,
    toolchain_facts,
    version_of_cli,
)
from setup.places import Places
from setup.processes import Failed

ROOT = Path(__file__).resolve().parents[2]

# What the official script does with its arguments, and nothing else of it.
SCRIPT = b"""#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in --version) version=$2 ;; --install-root) root=$2 ;; esac
    shift
done
[ "$version" = broken ] && { echo 'no such version' >&2; exit 1; }
mkdir -p "$root/bin"
printf '#!/bin/sh\\necho v%s\\n' "$version" >"$root/bin/pulumi"
printf '#!/bin/sh\\n' >"$root/bin/pulumi-language-python"
chmod +x "$root"/bin/*
"""


@pytest.fixture
def silent_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A proxy that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        for name in ("https_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, address)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        yield


@pytest.mark.usefixtures("silent_proxy")
def test_an_installer_that_does_not_answer_is_given_up_on_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "REACH_SECONDS", 0.5)
    began = time.monotonic()
    assert toolchain.installer_reachable(offline=False) is None
    assert time.monotonic() - began < 5


def test_a_machine_that_is_set_to_be_offline_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "INSTALLER", "no address at all")
    assert toolchain.installer_reachable(offline=True) is None


def test_a_page_that_is_no_script_is_no_installer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "page").write_text("<html>Log in to the hotel's network")
    monkeypatch.setattr(toolchain, "INSTALLER", (tmp_path / "page").as_uri())
    assert toolchain.installer_reachable(offline=False) is None
    (tmp_path / "page").write_bytes(SCRIPT)
    assert toolchain.installer_reachable(offline=False) == SCRIPT


def test_the_installers_command_line_lands_in_place_with_its_language_host(tmp_path: Path) -> None:
    target = tmp_path / "toolchain" / "cli-3.256.0" / "bin"
    cli = toolchain.install_official(SCRIPT, "3.256.0", target, os.environ, lambda _words: None)
    assert cli == target / "pulumi"
    assert (target / "pulumi-language-python").exists()
    assert [path.name for path in target.parent.parent.iterdir()] == ["cli-3.256.0"]


def test_an_installer_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "toolchain" / "cli-broken" / "bin"
    with pytest.raises(Failed, match="no such version"):
        toolchain.install_official(SCRIPT, "broken", target, os.environ, lambda _words: None)
    assert list((tmp_path / "toolchain").iterdir()) == []


def test_the_version_of_a_command_line_is_asked_once(tmp_path: Path) -> None:
    cli, asked = tmp_path / "pulumi", tmp_path / "asked"
    cli.write_text(f"#!/bin/sh\necho asked >>{asked}\necho v3.256.0\n")
    cli.chmod(0o755)
    memory = tmp_path / "memory.json"
    assert [version_of_cli(str(cli), memory) for _ in range(3)] == [(3, 256, 0)] * 3
    assert asked.read_text() == "asked\n"
    cli.write_text("#!/bin/sh\necho v3.300.1-dev.0\n")
    assert version_of_cli(str(cli), memory) == (3, 300, 1)
    memory.write_text("{half")
    assert version_of_cli(str(cli), memory) == (3, 300, 1)
    assert version_of_cli(str(tmp_path / "absent"), memory) is None
    cli.write_text("#!/bin/sh\nexit 1\n")
    assert version_of_cli(str(cli), memory) is None


def test_versions_are_read_from_what_programs_and_pins_say() -> None:
    assert parse_version("v3.256.0-alpha") == (3, 256, 0)
    assert parse_version("none") is None
    pins = pinned_versions(
        "# a\npulumi==3.256.0 \\\n    --hash=sha256:1\npulumi-docker==5.1.0 ; python_version > '3'\n"
    )
    assert pins == {"pulumi": "3.256.0", "pulumi-docker": "5.1.0"}


def place_with_sdk(folder: Path, *, sdk: bool) -> Places:
    """A clone that pins what this one does, with or without Pulumi's SDK for Kubernetes in its environment."""
    repository = folder / "clone"
    repository.mkdir()
    for name in (REQUIREMENTS, KUBERNETES_REQUIREMENTS):
        shutil.copy(ROOT / name, repository)
    if sdk:
        (repository / ".venv" / "lib" / "python3.13" / "site-packages" / "pulumi_kubernetes").mkdir(parents=True)
    return Places(repository, folder / "cache", folder / "state", repository / ".venv")


def test_the_requirements_of_kubernetes_have_all_that_docker_needs() -> None:
    plain, more = (pinned_versions((ROOT / name).read_text()) for name in (REQUIREMENTS, KUBERNETES_REQUIREMENTS))
    assert plain.items() <= more.items()
    assert set(more) - set(plain) >= {"pulumi-kubernetes"}


def test_every_requirement_of_the_program_is_one_that_something_imports() -> None:
    text = (ROOT / "requirements.in").read_text()
    named = re.findall(r"^([a-z][a-z-]*)", text, re.MULTILINE)
    assert len(named) > 4
    modules = {"grpcio": "grpc", "protobuf": "google.protobuf", "pyyaml": "yaml"}
    sources = [path.read_text() for folder in ("infra", "kubeapi", "offline") for path in (ROOT / folder).rglob("*.py")]
    for name in named:
        module = modules.get(name, name.replace("-", "_"))
        imported = re.compile(rf"^\s*(import|from) {re.escape(module)}\b", re.MULTILINE)
        assert any(imported.search(source) for source in sources), f"{name} is installed, and nothing imports it"


@pytest.mark.parametrize(
    ("platform", "sdk", "wanted"),
    [
        ("docker", False, REQUIREMENTS),
        ("kubernetes", False, KUBERNETES_REQUIREMENTS),
        ("kubernetes", True, KUBERNETES_REQUIREMENTS),
        ("docker", True, KUBERNETES_REQUIREMENTS),
    ],
)
def test_one_environment_serves_stacks_on_both_platforms(tmp_path: Path, platform: str, sdk: bool, wanted: str) -> None:
    assert requirements_for(platform, place_with_sdk(tmp_path, sdk=sdk)) == wanted


def test_the_plugin_of_kubernetes_is_wanted_with_its_sdk_and_not_without(tmp_path: Path) -> None:
    places = place_with_sdk(tmp_path, sdk=False)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("pulumi-language-python", "pulumi-resource-docker", "pulumi-resource-random", "pulumi-resource-tls"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    environment = {"PATH": str(programs), "HOME": str(tmp_path)}
    plain = toolchain_facts(places, environment, REQUIREMENTS)
    assert (set(plain.plugins), plain.plugins_on_path) == ({"docker", "random", "tls"}, True)
    more = toolchain_facts(places, environment, KUBERNETES_REQUIREMENTS)
    assert (set(more.plugins), more.plugins_on_path) == ({"docker", "kubernetes", "random", "tls"}, False)
    assert plain.wanted_plugins == more.wanted_plugins, "the plugins of offline/ are installed together"
    for name, version in more.plugins.items():
        assert more.plugins_in_user_home is None
        (tmp_path / ".pulumi" / "plugins" / f"resource-{name}-v{version}").mkdir(parents=True)
        more = toolchain_facts(places, environment, KUBERNETES_REQUIREMENTS)
    assert more.plugins_in_user_home == tmp_path / ".pulumi"
