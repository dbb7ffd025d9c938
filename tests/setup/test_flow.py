"""The verbs on a real clone with a real `pulumi up`, of a program with one resource."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from setup import preflight
from tests.conftest import until
from tests.setup.conftest import Clone, write_tracked


def work_of_children() -> float:
    """Processor seconds of every child so far: a clock that other work on the machine does not move."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def labels(clone: Clone, run_id: str) -> list[str]:
    return [
        "--label", "scaffold.project=scaffold", "--label", f"scaffold.stack={clone.stack}",
        "--label", f"scaffold.test={run_id}",
    ]  # fmt: skip


def locks(clone: Clone) -> list[Path]:
    return list((clone.state / "backend" / ".pulumi" / "locks").rglob("*.json"))


def test_the_first_up_makes_everything_and_leaves_the_clone_as_it_was(clone: Clone) -> None:
    code, said = clone.make("up")
    assert code == 0, said
    for step in ("packages", "pulumi", "plugins", "docker", "base image"):
        assert re.search(rf"^✓ {step} .* \(\d+\.\d s\)$", said, re.MULTILINE), said
    assert "+ 2 created" in said
    assert f"The site is at http://localhost:{clone.port}" in said
    assert re.search(r"keyLength +\[secret\]", said)
    assert clone.changes() == ""
    passphrase = clone.state / "passphrase"
    assert stat.S_IMODE(passphrase.stat().st_mode) == 0o600
    assert stat.S_IMODE(clone.state.stat().st_mode) == 0o700
    assert stat.S_IMODE(clone.stack_file.stat().st_mode) == 0o600
    assert passphrase.read_text().strip() not in said
    assert "secure: v1:" in clone.stack_file.read_text()


def test_a_second_up_changes_nothing_and_is_quick(used_clone: Clone) -> None:
    before = {path: path.stat().st_mtime_ns for path in (used_clone.state / "passphrase", used_clone.stack_file)}
    began = work_of_children()
    code, said = used_clone.make("up")
    assert code == 0, said
    assert "2 unchanged" in said
    assert work_of_children() - began < 10
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_setting_up_again_costs_less_than_a_second(used_clone: Clone) -> None:
    began = work_of_children()
    code, said = used_clone.make("config", "get", "siteName")
    whole = work_of_children() - began
    assert (code, said) == (0, "First\n")
    began = work_of_children()
    subprocess.run([used_clone.environment["SCAFFOLD_PULUMI"], "version"], timeout=60, check=True, capture_output=True)
    assert whole - (work_of_children() - began) < 1


def test_the_tracked_file_is_followed_until_a_value_is_set_here(clone: Clone) -> None:
    clone.make("preview")
    write_tracked(clone, siteName="Second")
    code, said = clone.make("config", "get", "siteName")
    assert (code, said) == (0, f"{' ' * 19}taken from Pulumi.{clone.stack}.yaml: siteName\nSecond\n")
    assert clone.make("config", "set", "siteName", "Mine")[0] == 0
    write_tracked(clone, siteName="Third")
    _, said = clone.make("config", "get", "siteName")
    assert "kept as set on this machine: siteName" in said
    assert said.endswith("Mine\n")
    assert clone.make("config", "get", "siteName")[1] == "Mine\n"


def test_a_stack_without_a_tracked_file_is_seen_with_what_was_set_here(used_clone: Clone) -> None:
    other = f"{used_clone.stack}-other"
    code, said = used_clone.make("config", "set", "gatewayPort", "18123", STACK=other)
    assert code == 0, said
    text = (used_clone.state / "stacks" / f"Pulumi.{other}.yaml").read_text()
    assert preflight.port_of(text) == 18123, text


def test_plain_pulumi_works_on_the_same_stack_and_leaves_the_tracked_file_alone(used_clone: Clone) -> None:
    code, exports = used_clone.make("env")
    assert code == 0, exports
    script = (
        f"{exports}\npulumi preview --expect-no-changes >&2\npulumi stack output siteName\npulumi config get replicas"
    )
    done = subprocess.run(
        ["sh", "-ec", script], cwd=used_clone.folder, env=used_clone.environment, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "First\n1\n"
    assert used_clone.changes() == ""


def test_a_port_that_is_taken_stops_up_before_anything_is_changed(clone: Clone) -> None:
    with socket.create_server(("127.0.0.1", clone.port)):
        code, said = clone.make("up")
    assert code == 2
    assert f"Port {clone.port} on 127.0.0.1 is taken by process {os.getpid()}" in said
    assert said.endswith("Nothing was changed.\n") or "Nothing was changed." in said
    assert not (clone.state / "passphrase").exists()
    assert not clone.cache.joinpath("pulumi").exists()


def test_a_passphrase_that_does_not_fit_is_said_and_nothing_is_touched(used_clone: Clone, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("another")
    before = used_clone.stack_file.read_bytes()
    code, said = used_clone.make("up", PULUMI_CONFIG_PASSPHRASE_FILE=str(other))
    assert code == 2
    assert f"The passphrase from {other} does not fit" in said
    assert used_clone.stack_file.read_bytes() == before


def test_a_passphrase_that_is_lost_is_not_replaced(used_clone: Clone) -> None:
    passphrase = used_clone.state / "passphrase"
    aside = passphrase.rename(passphrase.with_name("aside"))
    try:
        code, said = used_clone.make("up")
        assert code == 2
        assert f"its file {passphrase} is gone" in said
        assert not passphrase.exists()
    finally:
        aside.rename(passphrase)


def test_a_state_that_is_lost_alone_is_made_again_with_the_stack_file_that_is_left(clone: Clone) -> None:
    assert clone.make("up")[0] == 0
    before = clone.stack_file.read_bytes()
    shutil.rmtree(clone.state / "backend")
    code, said = clone.make("up", PULUMI_CONFIG_PASSPHRASE="another")
    assert code == 2
    assert "The passphrase from PULUMI_CONFIG_PASSPHRASE does not fit" in said
    code, said = clone.make("up")
    assert code == 0, said
    assert clone.stack_file.read_bytes() == before
    assert clone.make("up", "--expect-no-changes")[0] == 0


def test_the_second_of_two_ups_says_who_is_at_work(used_clone: Clone, tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    first = used_clone.start("up", HOLD=str(hold))
    try:
        until(hold.exists, "the place where it holds")
        code, said = used_clone.make("up")
        assert code == 2
        assert re.search(rf"The stack {used_clone.stack} is being worked on by process \d+ \(make up STACK=", said), (
            said
        )
        assert "working  process" in used_clone.make("status")[1]
    finally:
        hold.unlink(missing_ok=True)
        said, _ = first.communicate(timeout=60)
    assert first.returncode == 0, said


def test_an_interrupted_up_ends_in_order_and_the_next_one_goes_on(used_clone: Clone, tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    process = used_clone.start("up", HOLD=str(hold))
    until(hold.exists, "the place where it holds")
    os.killpg(process.pid, signal.SIGINT)
    hold.unlink()
    said, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert locks(used_clone) == [], said
    assert used_clone.make("up")[0] == 0


def test_the_lock_of_a_killed_run_is_taken_off_and_said(used_clone: Clone, tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    process = used_clone.start("up", HOLD=str(hold))
    until(hold.exists, "the place where it holds")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    hold.unlink()
    assert len(locks(used_clone)) == 1
    code, said = used_clone.make("up")
    assert code == 0, said
    assert "removed the lock of a run that is gone" in said
    assert locks(used_clone) == []


def test_a_kill_can_leave_nothing_beside_the_state_that_keeps_pulumi_from_reading_it(used_clone: Clone) -> None:
    backend = used_clone.state / "backend"
    assert not list(backend.rglob("*.attrs"))
    # As plain Pulumi leaves it that was killed, with a backend that has such files.
    empty = backend / ".pulumi" / "stacks" / "scaffold" / f"{used_clone.stack}.json.attrs"
    empty.touch()
    plain = [used_clone.environment["SCAFFOLD_PULUMI"], "stack", "ls", "--all"]
    environment = used_clone.environment | {"PULUMI_BACKEND_URL": f"file://{backend}"}
    done = subprocess.run(plain, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert "EOF" in done.stderr, "Pulumi reads it by now: what is done about it may go"
    code, said = used_clone.make("up")
    assert code == 0, said
    assert "2 unchanged" in said
    assert not empty.exists()


def test_a_lock_from_elsewhere_stops_up_until_it_is_cancelled(used_clone: Clone) -> None:
    folder = used_clone.state / "backend" / ".pulumi" / "locks" / "organization" / "scaffold" / used_clone.stack
    folder.mkdir(parents=True, exist_ok=True)
    content = {"pid": 7, "username": "ann", "hostname": "far", "timestamp": "2026-01-02T03:04:05Z"}
    (folder / "11111111-1111-1111-1111-111111111111.json").write_text(json.dumps(content))
    code, said = used_clone.make("up")
    assert code == 2
    assert "ann@far, process 7" in said
    assert f"make cancel STACK={used_clone.stack}" in said
    code, said = used_clone.make("cancel")
    assert code == 0, said
    assert "Removed the lock of ann@far" in said
    assert locks(used_clone) == []


def test_what_a_killed_run_left_is_swept_away_by_its_labels_and_volumes_are_kept(
    used_clone: Clone, docker: Any, run_id: str
) -> None:
    own = labels(used_clone, run_id)
    network = docker("network", "create", *own, f"stray-{used_clone.stack}")
    volume = docker("volume", "create", *own, f"stray-{used_clone.stack}")
    docker("run", "-d", *own, "--name", f"stray-{used_clone.stack}", "--network", network, "--init",
           "debian:trixie-slim", "sleep", "600")  # fmt: skip
    other = docker("create", "--label", f"scaffold.test={run_id}", "--label", "scaffold.stack=another",
                   "debian:trixie-slim", "true")  # fmt: skip
    code, said = used_clone.make("up")
    assert code == 0, said
    assert f"removed the container stray-{used_clone.stack}" in said
    assert f"removed the network stray-{used_clone.stack}" in said
    assert f"kept: the volume {volume}" in said
    assert docker("ps", "-aq", "--filter", f"label=scaffold.stack={used_clone.stack}") == ""
    assert docker("ps", "-aq", "--no-trunc", "--filter", f"id={other}") == other
    assert docker("volume", "ls", "-q", "--filter", f"label=scaffold.stack={used_clone.stack}") == volume
    docker("volume", "rm", volume)


def test_a_running_stack_of_another_state_is_left_alone_until_it_is_said(
    clone: Clone, docker: Any, run_id: str
) -> None:
    own = labels(clone, run_id)
    docker("run", "-d", *own, "--name", f"live-{clone.stack}", "--init", "debian:trixie-slim", "sleep", "600")
    code, said = clone.make("up")
    assert code == 2
    assert f"this state has never known it: live-{clone.stack}" in said
    assert docker("ps", "-q", "--filter", f"name=live-{clone.stack}") != ""
    code, said = clone.make("up", SWEEP="yes")
    assert code == 0, said
    assert docker("ps", "-aq", "--filter", f"name=live-{clone.stack}") == ""


def test_down_stops_the_containers_and_logs_and_status_tell_of_them(
    used_clone: Clone, docker: Any, run_id: str
) -> None:
    own = [*labels(used_clone, run_id), "--label", "scaffold.service=web"]
    name = f"web-{used_clone.stack}"
    docker("run", "-d", *own, "--name", name, "--init", "debian:trixie-slim", "sh", "-c", "echo hello; exec sleep 600")
    try:
        assert used_clone.make("logs") == (0, "web | hello\n")
        code, said = used_clone.make("logs", SERVICE="nothing")
        assert code == 2
        assert "one of: web" in said
        code, said = used_clone.make("status")
        assert re.search(rf"web +{name} +Up", said), said
        code, said = used_clone.make("down")
        assert code == 0, said
        assert f"stopped          {name}" in said
        assert docker("inspect", "-f", "{{.State.Running}}", name) == "false"
    finally:
        docker("rm", "-f", name)


def test_what_was_cut_off_while_it_was_being_created_is_forgotten(used_clone: Clone) -> None:
    checkpoint = used_clone.state / "backend" / ".pulumi" / "stacks" / "scaffold" / f"{used_clone.stack}.json"
    content = json.loads(checkpoint.read_text())
    latest = content["checkpoint"]["latest"]
    thing = next(row for row in latest["resources"] if "RandomId" in row["type"])
    cut_off = {**thing, "urn": f"{thing['urn']}-two"}
    del cut_off["id"]
    latest["pending_operations"] = [{"resource": cut_off, "type": "creating"}]
    checkpoint.write_text(json.dumps(content))
    code, said = used_clone.make("up")
    assert code == 0, said
    assert "forgot what was cut off while it was being created (1)" in said
    assert not json.loads(checkpoint.read_text())["checkpoint"]["latest"].get("pending_operations")


def test_destroy_asks_refuses_protected_data_and_deletes_it_only_when_told(clone: Clone) -> None:
    write_tracked(clone, protectData="true")
    assert clone.make("up")[0] == 0
    code, said = clone.make("destroy", YES="yes")
    assert code == 2
    assert "holds protected data: randomid " in said
    assert "DELETE_DATA=yes" in said
    code, said = clone.make("destroy", DELETE_DATA="yes")
    assert code == 2
    assert "nobody is at a terminal to confirm it" in said
    code, said = clone.make("destroy", DELETE_DATA="yes", YES="yes")
    assert code == 0, said
    assert "2 deleted" in said
    code, said = clone.make("up")
    assert code == 0, said


def test_two_clones_of_one_user_do_not_use_each_others_plugins(used_clone: Clone, tmp_path: Path) -> None:
    second = Clone(tmp_path / "second", used_clone.user, used_clone.stack, used_clone.port, used_clone.environment)
    shutil.copytree(used_clone.folder, second.folder, symlinks=True)
    code, said = second.make("preview")
    assert code == 0, said
    homes = list((used_clone.cache / "pulumi").iterdir())
    assert len(homes) == 2
    shutil.rmtree(second.folder)
    code, said = used_clone.make("up")
    assert code == 0, said


@pytest.mark.parametrize("words", [["fly"], []])
def test_an_unknown_verb_is_answered_with_the_known_ones(clone: Clone, words: list[str]) -> None:
    done = subprocess.run(
        [clone.environment["PYTHON"], "-m", "operate", *words], cwd=clone.folder, env=clone.environment,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "up, preview, down, destroy" in done.stderr


@pytest.mark.parametrize("name", ["a b", "../x", ".", "-x", "o/dev", "é"])
def test_what_is_no_name_of_a_stack_is_refused_before_anything_is_written(clone: Clone, name: str) -> None:
    code, said = clone.make("down", STACK=name)
    assert code == 2
    assert f"STACK is {name!r}" in said
    assert not clone.state.exists()
