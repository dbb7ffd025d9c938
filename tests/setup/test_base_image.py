"""The base image is made with the mirrors, settings and authorities of this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from setup import base_image
from setup.daemon import Daemon, Endpoint
from setup.problem import Problem

MIRROR = "http://mirror.example/debian"


def test_sources_in_both_forms_are_read(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(f"# deb {MIRROR} sid main\ndeb [arch=amd64] {MIRROR} trixie main\n")
    (tmp_path / "sources.list.d" / "debian.sources").write_text(
        f"Types: deb deb-src\n# a comment\nURIs: {MIRROR}\nSuites: trixie trixie-updates\nComponents: main\n\n"
        f"Types: deb-src\nURIs: {MIRROR}\nSuites: sid\nComponents: main\n\n"
        f"Types: deb\nEnabled: no\nURIs: {MIRROR}\nSuites: sid\nComponents: main\n"
    )
    assert list(base_image.source_lines(tmp_path)) == [
        f"deb [arch=amd64] {MIRROR} trixie main",
        f"deb {MIRROR} trixie main",
        f"deb {MIRROR} trixie-updates main",
    ]


def test_the_command_brings_authorities_and_settings_into_the_image(tmp_path: Path) -> None:
    certificate = tmp_path / "with space" / "host-1.crt"
    command = base_image.mmdebstrap("trixie", tmp_path / "base.tar", [certificate], tmp_path / "apt.conf")
    assert "--include=ca-certificates" in command
    assert f"--aptopt={tmp_path / 'apt.conf'}" in command
    assert f"--customize-hook=upload '{certificate}' /usr/local/share/ca-certificates/host-1.crt" in command
    assert '--customize-hook=chroot "$1" update-ca-certificates' in command
    assert command.index("trixie") < command.index(str(tmp_path / "base.tar"))
    bare = base_image.mmdebstrap("trixie", tmp_path / "base.tar", [], None)
    assert not [word for word in bare if "aptopt" in word or "customize" in word]


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        ('Acquire::http::Proxy "http://proxy.example:3128";', True),
        ('Acquire::https::Proxy::mirror.example "DIRECT";', True),
        ('Acquire::Check-Valid-Until "false";', True),
        ('Acquire::http::User-Agent "me";', False),
        ('Acquire::Languages "none";', False),
        ('DPkg::Post-Invoke:: "rm -rf /";', False),
    ],
)
def test_only_what_apt_needs_to_reach_mirrors_goes_into_the_image(line: str, taken: bool) -> None:
    assert bool(base_image.APT_SETTINGS.match(line)) == taken


def test_an_image_that_is_present_is_left_alone(docker: Any) -> None:
    here = Daemon(Endpoint(socket="/var/run/docker.sock"))
    said = base_image.ensure("debian:trixie-slim", here, _nowhere(), {}, offline=True, progress=_unexpected)
    assert said == "debian:trixie-slim is present"


def test_an_image_that_is_neither_present_nor_debians_is_refused_with_the_remedy(docker: Any) -> None:
    here = Daemon(Endpoint(socket="/var/run/docker.sock"))
    with pytest.raises(Problem) as refused:
        base_image.ensure("example.invalid/none:1", here, _nowhere(), {}, offline=True, progress=_unexpected)
    assert "example.invalid/none:1 is not present and cannot be pulled" in refused.value.cause
    assert "docker load" in refused.value.fix


def test_an_image_on_which_no_container_runs_loses_its_name_again(docker: Any, run_id: str) -> None:
    image = f"scaffold-setup-test:{run_id}"
    here = Daemon(Endpoint(socket="/var/run/docker.sock"))
    empty = docker("create", "--label", f"scaffold.test={run_id}", "debian:trixie-slim", "true")
    docker("commit", "--change", f"LABEL scaffold.test={run_id}", "--change", 'ENTRYPOINT ["false"]', empty, image)
    with pytest.raises(Problem, match="no container runs on it: exit code 1"):
        base_image.check(image, here)
    assert not here.exists(f"/images/{image}/json")


def test_an_image_that_works_passes_and_leaves_no_container(docker: Any) -> None:
    here = Daemon(Endpoint(socket="/var/run/docker.sock"))
    base_image.check("debian:trixie-slim", here)
    filters = json.dumps({"label": [f"{base_image.CHECK_LABEL}=1"]})
    assert here.get("/containers/json", all="1", filters=filters) == []


def test_a_long_reason_is_one_readable_line() -> None:
    assert base_image.first_line("one\ntwo") == "one"
    assert len(base_image.first_line("x" * 500)) == 120
    assert base_image.first_line(" ") == "no reason given"


def _nowhere() -> Any:
    return None


def _unexpected(words: str) -> None:
    raise AssertionError(words)
