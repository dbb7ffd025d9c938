"""The Docker plugin answers Check, Diff and configuration calls as the official one was recorded to answer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.offline.docker_plugin import SEED, Plugin, start
from tests.offline.docker_recordings import Case, cases, deviates, differences, resolve

BASE = "debian:trixie-slim"
DOCKERFILE = (
    'FROM debian:trixie-slim\nARG MSG=one\nLABEL conf=1\nENV FROM_IMAGE=1\nRUN echo $MSG > /msg\nCMD ["sleep","600"]\n'
)

CHECKS = cases("container-check", "network", "volume", "remote-image", "image", rpc="Check")
DIFFS = cases("container-diff", "container-identity", "container-life", "container-update", rpc="Diff") + cases(
    "network", "volume", "remote-image", "image", rpc="Diff"
)
CONFIGURATION = [c for c in cases("provider") if c["rpc"] in ("CheckConfig", "DiffConfig")]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugin]:
    """A plugin in a folder that holds the build contexts of the recordings."""
    folder = tmp_path_factory.mktemp("contexts")
    write_contexts(folder)
    running = start(folder)
    yield running
    running.stop()


def write_contexts(folder: Path) -> None:
    """Write the contexts `ctx` and `ctx2` that the recordings refer to."""
    for name, extra in (("ctx", ""), ("ctx2", "COPY file /file\n")):
        (folder / name).mkdir()
        (folder / name / "Dockerfile").write_text(DOCKERFILE + extra)
    (folder / "ctx2" / "file").write_text("one")
    (folder / "ctx2" / "Bad").write_text(f"FROM {BASE}\nRUN echo before; exit 7\n")


def placed(leaf: Any) -> Any:
    """Put numbers where the recordings have placeholders for them."""
    return 32768 if leaf == "<port>" else leaf


def judge(case: Case, wanted: Any, got: Any) -> None:
    """Fail the test when an answer differs, or when one that is meant to differ does not."""
    found = differences(wanted, got)
    reason = deviates(case)
    if reason is None:
        assert not found, "\n".join(found)
    else:
        assert found, f"no longer deviates; take it out of deviations.json: {reason}"


def wanted_of(case: Case) -> Any:
    """Return the recorded answer or error of a case."""
    suffix = hashlib.sha256(SEED).hexdigest()[:7]
    return resolve(
        {"error": case["error"]} if "error" in case else case["response"],
        lambda leaf: leaf.replace("<suffix>", suffix) if isinstance(leaf, str) else placed(leaf),
    )


def request_of(case: Case) -> dict[str, Any]:
    """Return the recorded request of a case."""
    request: dict[str, Any] = resolve(case["request"], placed)
    return request


@pytest.mark.parametrize("case", CHECKS, ids=lambda case: case["name"])
def test_check_answers_as_recorded(plugin: Plugin, case: Case) -> None:
    """Inputs, defaults, names and complaints are the official provider's."""
    judge(case, wanted_of(case), plugin.ask("Check", case["urn"], **request_of(case)))


@pytest.mark.parametrize("case", DIFFS, ids=lambda case: case["name"])
def test_diff_answers_as_recorded(plugin: Plugin, case: Case) -> None:
    """What replaces, what updates in place, and what goes unnoticed is the official provider's."""
    judge(case, wanted_of(case), plugin.ask("Diff", case["urn"], **request_of(case)))


@pytest.mark.parametrize("case", CONFIGURATION, ids=lambda case: case["name"])
def test_configuration_is_checked_as_recorded(plugin: Plugin, case: Case) -> None:
    """The provider's own settings are checked and compared as the official provider does."""
    urn = "urn:pulumi:dev::conf::pulumi:providers:docker::prov"
    judge(case, wanted_of(case), plugin.ask(case["rpc"], urn, **request_of(case)))
