"""What is done on a machine follows from what it has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setup import plan
from setup.daemon import Endpoint
from setup.facts import Docker, Facts, Machine, Packages, Space, Toolchain
from setup.plan import GIB, Step, decide
from setup.problem import Problem

OFFICIAL = "official docker-5.1.0 random-4.21.1"
MACHINE = Machine(
    system="Linux", distribution="debian", description="Debian GNU/Linux 13", root=True, sudo=False, apt=True,
    service_manager="", python=(3, 13), ensurepip=True, route=True, offline=False,
)  # fmt: skip
PACKAGES = Packages(wanted="a", installed="a")
TOOLCHAIN = Toolchain(
    version="3.256.0", plugins={"docker": "5.1.0", "random": "4.21.1"}, named_cli=None, cli_on_path=None,
    cli_on_path_version=None, cached_cli=Path("/cache/pulumi"), cached_cli_official=False, plugins_on_path=False,
    language_beside_cli=False, plugins_in_user_home=None, installed_plugins="sources", wanted_plugins="sources",
    go="/usr/bin/go",
)  # fmt: skip
DOCKER = Docker(
    Endpoint(socket="/var/run/docker.sock"), "running", local=True, program="/usr/sbin/dockerd", version="26.1",
    base_image=True, built_images=True,
)  # fmt: skip
SPACE = [Space("Docker", Path("/var/lib/docker"), 50 * GIB, 1), Space("the cache", Path("/c"), 50 * GIB, 1)]
READY = Facts(MACHINE, PACKAGES, TOOLCHAIN, DOCKER, SPACE, "debian:trixie-slim")


def with_(facts: Facts = READY, **changes: Any) -> Facts:
    """Return the facts with fields of their parts changed, named `part__field`."""
    for name, value in changes.items():
        part, _, field = name.partition("__")
        facts = replace(facts, **{part: replace(getattr(facts, part), **{field: value})})
    return facts


def step(facts: Facts, name: str) -> Step:
    return next(step for step in decide(facts).steps if step.name == name)


def the_problem(facts: Facts) -> Problem:
    [problem] = decide(facts).problems
    return problem


def test_a_prepared_machine_needs_nothing() -> None:
    assert decide(READY).ready


@pytest.mark.parametrize(
    ("changes", "name", "action"),
    [
        ({"packages__installed": None}, "packages", "install"),
        ({"packages__wanted": "b"}, "packages", "install"),
        ({"packages__broken": True}, "packages", "install"),
        ({"packages__installed": None, "machine__ensurepip": False}, "packages", "install-venv-first"),
        ({"machine__ensurepip": False}, "packages", "keep"),
        ({"toolchain__cli_on_path": "/bin/pulumi", "toolchain__cli_on_path_version": (3, 256, 0)}, "pulumi", "path"),
        ({"toolchain__cli_on_path": "/bin/pulumi", "toolchain__cli_on_path_version": (3, 255, 9)}, "pulumi", "cached"),
        ({"toolchain__cached_cli": None}, "pulumi", "fetch"),
        ({"toolchain__installed_plugins": None}, "plugins", "fetch"),
        ({"toolchain__wanted_plugins": "changed"}, "plugins", "fetch"),
        ({"toolchain__plugins_on_path": True, "toolchain__installed_plugins": None}, "plugins", "path"),
        (
            {"toolchain__cached_cli_official": True, "toolchain__installed_plugins": OFFICIAL},
            "plugins",
            "cached",
        ),
        (
            {"toolchain__cached_cli_official": True, "toolchain__installed_plugins": f"{OFFICIAL} kubernetes-4.32.0"},
            "plugins",
            "cached",
        ),
        (
            {"toolchain__cached_cli_official": True, "toolchain__installed_plugins": "official docker-5.1.0"},
            "plugins",
            "fetch",
        ),
        ({"toolchain__installed_plugins": OFFICIAL}, "plugins", "fetch"),
        ({"toolchain__cached_cli_official": True, "toolchain__plugins_in_user_home": Path("/h")}, "plugins", "home"),
        ({"toolchain__plugins_in_user_home": Path("/h")}, "plugins", "cached"),
        ({"docker__state": "away"}, "docker", "start-by-hand"),
        ({"docker__state": "away", "machine__service_manager": "systemd"}, "docker", "start-systemd"),
        ({"docker__state": "away", "machine__service_manager": "service"}, "docker", "start-service"),
        ({"docker__state": "away", "docker__program": None}, "docker", "install"),
        ({"docker__base_image": False}, "base image", "ensure"),
        ({"docker__state": "away", "docker__base_image": None}, "base image", "ensure"),
    ],
)  # fmt: skip
def test_each_thing_that_is_missing_has_its_step(changes: dict[str, Any], name: str, action: str) -> None:
    facts = with_(**changes)
    assert decide(facts).problems == []
    assert step(facts, name).action == action


@pytest.mark.parametrize(
    ("changes", "cause", "fix"),
    [
        ({"docker__state": "forbidden"}, "may not open the Docker daemon's socket", "usermod -aG docker"),
        ({"docker__state": "away", "machine__system": "Darwin"}, "cannot be prepared from here", "by hand"),
        (
            {"docker__state": "away", "docker__program": None, "machine__apt": False, "machine__description": "Arch"},
            "Arch has no apt-get",
            "Docker Engine 20.10 or newer",
        ),
        (
            {"docker__state": "away", "machine__root": False},
            "neither root nor has sudo to start it",
            "ask an administrator",
        ),
        (
            {"docker__state": "away", "docker__program": None, "machine__root": False},
            "nor has sudo to install it",
            "ask an administrator",
        ),
        ({"docker__state": "away", "docker__local": False}, "which DOCKER_HOST names", "unset DOCKER_HOST"),
        ({"machine__python": (3, 10)}, "Python 3.10 runs this", "PYTHON="),
        (
            {"packages__installed": None, "machine__ensurepip": False, "machine__root": False},
            "cannot make virtual environments",
            "apt-get install python3-venv",
        ),
        (
            {"machine__route": False, "packages__installed": None, "docker__base_image": False},
            "no network route, and packages and base image still need one",
            "HTTPS_PROXY",
        ),
        (
            {"toolchain__named_cli": "/nowhere", "toolchain__cli_on_path": "/nowhere"},
            "SCAFFOLD_PULUMI is '/nowhere'",
            "unset it",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_prepared_is_said_with_its_remedy(changes: dict[str, Any], cause: str, fix: str) -> None:
    problem = the_problem(with_(**changes))
    assert cause in problem.cause
    assert fix in problem.fix


def test_no_network_is_no_problem_when_everything_is_there() -> None:
    assert decide(with_(machine__route=False)).ready


def test_sudo_is_as_good_as_root() -> None:
    facts = with_(machine__root=False, machine__sudo=True, docker__state="away")
    assert step(facts, "docker").action == "start-by-hand"


@pytest.mark.parametrize(
    ("purpose", "free", "changes", "refused"),
    [
        ("Docker", 2.9, {"docker__built_images": False}, True),
        ("Docker", 2.9, {}, False),
        ("Docker", 0.9, {}, True),
        ("Docker", 0.1, {"docker__local": False}, False),
        ("the cache", 2.9, {"toolchain__cached_cli": None}, True),
        ("the cache", 0.5, {}, False),
        ("the state", 0.2, {}, True),
    ],
)
def test_a_disk_that_is_nearly_full_is_said_before_anything_begins(
    purpose: str, free: float, changes: dict[str, Any], refused: bool
) -> None:
    facts = replace(with_(**changes), space=[Space(purpose, Path("/x"), int(free * GIB), 1)])
    problems = decide(facts).problems
    assert bool(problems) == refused
    assert all(f"{free:.1f} GiB free" in problem.cause and "free some space" in problem.fix for problem in problems)


@given(
    installed=st.sampled_from(["a", None, "b"]),
    ensurepip=st.booleans(),
    root=st.booleans(),
    sudo=st.booleans(),
    apt=st.booleans(),
    state=st.sampled_from(["running", "away", "forbidden"]),
    program=st.sampled_from([None, "/usr/sbin/dockerd"]),
    manager=st.sampled_from(["", "systemd", "service"]),
    system=st.sampled_from(["Linux", "Darwin"]),
    route=st.booleans(),
    cli=st.sampled_from([None, Path("/cache/pulumi")]),
    image=st.sampled_from([True, False, None]),
)
def test_on_any_machine_every_thing_is_either_a_step_or_a_problem(
    installed: str | None, ensurepip: bool, root: bool, sudo: bool, apt: bool, state: str, program: str | None,
    manager: str, system: str, route: bool, cli: Path | None, image: bool | None,
) -> None:  # fmt: skip
    facts = with_(
        packages__installed=installed, machine__ensurepip=ensurepip, machine__root=root, machine__sudo=sudo,
        machine__apt=apt, machine__service_manager=manager, machine__system=system, machine__route=route,
        docker__state=state, docker__program=program, docker__base_image=image, toolchain__cached_cli=cli,
    )  # fmt: skip
    decided = decide(facts)
    assert len(decided.steps) == 5 or decided.problems
    assert all(problem.cause.endswith((".", ")")) and problem.fix for problem in decided.problems)
    if not (root or sudo):
        assert all(step.action not in ("install-venv-first",) for step in decided.steps)
        assert all(step.ready for step in decided.steps if step.name == "docker")
    if not route and any(step.network for step in decided.steps):
        assert any("no network route" in problem.cause for problem in decided.problems)


def test_things_are_listed_as_a_person_lists_them() -> None:
    assert plan.listing(["a"]) == "a"
    assert plan.listing(["a", "b"]) == "a and b"
    assert plan.listing(["a", "b", "c"]) == "a, b and c"
