"""What the local state says decides what may be mended."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setup import state
from setup.state import Known, PulumiLock


def lock(**changes: object) -> PulumiLock:
    fields = {"path": Path("/x"), "pid": 42, "user": "ann", "host": "here", "since": 1000.0, **changes}
    return PulumiLock(**fields)  # type: ignore[arg-type]


def write_lock(backend: Path, content: dict[str, object]) -> Path:
    path = backend / ".pulumi" / "locks" / "organization" / "scaffold" / "dev" / "a.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    path.with_name("a.json.attrs").write_text("{}")
    return path


def test_a_lock_is_read_as_pulumi_writes_it(tmp_path: Path) -> None:
    content = {"pid": 7, "username": "ann", "hostname": "here", "timestamp": "2026-01-02T03:04:05.123456789Z"}
    path = write_lock(tmp_path, content)
    [found] = state.locks_on(tmp_path, "dev")
    assert (found.path, found.pid, found.user, found.host) == (path, 7, "ann", "here")
    assert found.since == pytest.approx(1767323045.123456)
    assert state.locks_on(tmp_path, "prod") == []


@pytest.mark.parametrize(
    ("held", "started", "dead"),
    [
        (lock(), None, True),
        (lock(), 2000.0, True),
        (lock(), 900.0, False),
        (lock(host="there"), None, False),
        (lock(since=0.0), 2000.0, False),
        (lock(pid=0), None, False),
    ],
)
def test_only_a_run_of_this_machine_whose_process_is_gone_is_dead(
    held: PulumiLock, started: float | None, dead: bool
) -> None:
    assert state.provably_dead(held, "here", started) == dead


def test_a_living_process_holds_its_lock_and_a_dead_one_does_not(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        content = {"pid": process.pid, "username": "ann", "hostname": socket.gethostname()}
        now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        path = write_lock(tmp_path, {**content, "timestamp": f"{now}.5Z"})
        assert state.dead(state.locks_on(tmp_path, "dev")) == []
        process.communicate(b"\n")
    [gone] = state.dead(state.locks_on(tmp_path, "dev"))
    state.remove(gone)
    assert list(path.parent.iterdir()) == []


def test_this_process_began_before_now_and_no_process_has_an_impossible_number() -> None:
    started = state.process_started(os.getpid())
    assert started is not None
    assert time.time() - 3600 < started <= time.time() + 2
    assert state.process_started(2**22 + 1) is None


def test_the_state_tells_ids_and_what_was_cut_off(tmp_path: Path) -> None:
    path = state.checkpoint_of(tmp_path, "dev")
    path.parent.mkdir(parents=True)
    latest = {
        "resources": [
            {"urn": "stack"},
            {"type": "pulumi:providers:kubernetes", "inputs": {"clusterIdentifier": "one"}},
            {"type": "kubernetes:apps/v1:Deployment", "id": "scaffold-dev/web"},
        ],
        "pending_operations": [{"type": "creating"}, {"type": "updating"}],
    }
    path.write_text(json.dumps({"version": 3, "checkpoint": {"latest": latest}}))
    web = ("Deployment", "scaffold-dev/web")
    assert state.read(tmp_path, "dev") == Known(True, 3, frozenset({"scaffold-dev/web"}), 2, 1, frozenset({web}))
    assert state.provider_inputs(tmp_path, "dev", "kubernetes") == {"clusterIdentifier": "one"}
    assert state.provider_inputs(tmp_path, "dev", "docker") == state.provider_inputs(tmp_path, "no", "docker") == {}
    path.write_text(json.dumps({"version": 3, "checkpoint": {}}))
    assert state.read(tmp_path, "dev") == Known(exists=True)
    path.write_text("{")
    assert state.read(tmp_path, "dev") == Known(exists=True)
    assert state.read(tmp_path, "prod") == Known(exists=False)


@given(
    known=st.frozensets(st.sampled_from("abcdef")),
    containers=st.lists(st.sampled_from("abcdef"), unique=True),
    networks=st.lists(st.sampled_from("abcdef"), unique=True),
    volumes=st.lists(st.sampled_from("abcdef"), unique=True),
)
def test_a_stray_is_exactly_what_the_state_does_not_know(
    known: frozenset[str], containers: list[str], networks: list[str], volumes: list[str]
) -> None:
    found = state.strays(
        Known(True, ids=known),
        [{"Id": name} for name in containers],
        [{"Id": name} for name in networks],
        [{"Name": name} for name in volumes],
    )
    assert [row["Id"] for row in found.containers] == [name for name in containers if name not in known]
    assert [row["Id"] for row in found.networks] == [name for name in networks if name not in known]
    assert [row["Name"] for row in found.volumes] == [name for name in volumes if name not in known]


def test_attributes_that_a_killed_run_left_empty_are_removed_and_nothing_else(tmp_path: Path) -> None:
    stacks = tmp_path / ".pulumi" / "stacks" / "scaffold"
    stacks.mkdir(parents=True)
    files = {"dev.json": "", "dev.json.attrs": "", "prod.json": "{}", "prod.json.attrs": "{}", "x.json.attrs": '{"a'}
    for name, text in files.items():
        (stacks / name).write_text(text)
    (stacks / "unreadable.json.attrs").mkdir()
    assert {path.name for path in state.drop_broken_attributes(tmp_path)} == {"dev.json.attrs", "x.json.attrs"}
    kept = {"dev.json", "prod.json", "prod.json.attrs", "unreadable.json.attrs"}
    assert {path.name for path in stacks.iterdir()} == kept
