"""What touches the machine, in a small folder or on a process of the test's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cluster import access, authority, groups, journal, kernel, process, traces
from cluster.layout import Layout
from cluster.process import Process
from cluster.shape import shape_of_tests
from kubeapi import kubeconfig
from tests.conftest import until

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here', flush=True); time.sleep(600)"
)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Path]:
    """A folder of records; what they name is ended at the end."""
    folder = tmp_path / "records"
    yield folder
    for file in folder.glob("*.json"):
        record = process.record_of(folder, file.stem)
        if record:
            process.end(record, 0)


def begun(records: Path, *command: str) -> process.Record:
    wanted = Process("one", command, {"NAMED": "by the test"}, inside=False)
    process.start(wanted, records, records.parent / "one.log", "digest", Path("/none"), [])
    record = process.record_of(records, "one")
    assert record is not None
    return record


def test_a_process_is_known_again_and_ended_even_if_it_will_not(records: Path) -> None:
    record = begun(records, sys.executable, "-c", STUBBORN)
    log = records.parent / "one.log"
    until(lambda: "here" in log.read_text(), "its first word", 10)
    assert record.alive
    assert record.made_from == "digest"
    process.end(record, 0.2)
    assert not record.alive


def test_a_later_process_of_the_same_number_is_nobody_we_know(records: Path) -> None:
    record = begun(records, "sleep", "600")
    stranger = replace(record, started=str(int(record.started) + 1))
    assert not stranger.alive
    process.end(stranger, 0.1)
    assert record.alive, "only the very process that was recorded may be ended"


def test_a_process_has_the_environment_that_it_was_given_and_no_other(
    records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET_OF_THE_SHELL", "not for them")
    begun(records, "env")
    log = records.parent / "one.log"
    until(lambda: "NAMED=by the test" in log.read_text(), "the environment", 10)
    assert "A_SECRET_OF_THE_SHELL" not in log.read_text()


@pytest.mark.skipif(
    os.geteuid() != 0 or not groups.hierarchies(), reason="control groups take root, and a kernel's leave"
)
def test_whoever_is_in_the_groups_is_ended_and_the_groups_go(records: Path) -> None:
    name = f"group-{uuid.uuid4().hex[:8]}"
    try:
        joined = groups.provide(name)
        wanted = Process("one", ["sh", "-c", "sleep 600 & sleep 600"], inside=False)
        process.start(wanted, records, records.parent / "one.log", "", Path("/none"), joined)
        until(lambda: len(groups.members(name)) == 3, "the process and its children", 10)
        assert groups.programs(name) == groups.members(name)
        assert groups.end(name, 10)
        assert not groups.members(name)
    finally:
        groups.end(name, 10)
        groups.remove(name)
    assert not any((hierarchy / name).exists() for hierarchy in groups.hierarchies())


def test_a_log_keeps_its_end_and_whoever_writes_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "any.log"
    with log.open("ab", buffering=0) as writer:
        for number in range(1000):
            writer.write(f"line {number}\n".encode())
        journal.shorten_all(tmp_path, most=4000, kept=1000)
        writer.write(b"after\n")
    kept = (tmp_path / "any.log.1").read_text().splitlines()
    assert kept[-1] == "line 999"
    assert kept[0].startswith("line ")
    assert log.read_text() == "after\n"
    journal.shorten_all(tmp_path, most=4000, kept=1000)
    assert log.read_text() == "after\n", "a short log stays as it is"
    assert journal.last_lines(log) == "after"
    assert journal.last_lines(tmp_path / "none.log") == ""


def test_kernel_settings_are_put_back_as_they_were_at_first(tmp_path: Path) -> None:
    root, kept = tmp_path / "sys", tmp_path / "kept.json"
    for name in kernel.CHANGED:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("0\n")
    kernel.remember(kept, root)
    (root / "vm/overcommit_memory").write_text("1\n")
    kernel.remember(kept, root)
    kernel.restore(kept, root)
    assert (root / "vm/overcommit_memory").read_text().strip() == "0"
    assert not kept.exists()
    kernel.restore(kept, root)


def test_a_folder_goes_only_if_it_was_not_there_and_nobody_else_uses_it(tmp_path: Path) -> None:
    made = {str(tmp_path / name): ("own",) for name in ("before", "ours", "shared")}
    (tmp_path / "before").mkdir()
    file = tmp_path / "absent.json"
    traces.remember(file, made)
    for name in ("before", "ours", "shared"):
        (tmp_path / name / "own").mkdir(parents=True)
    (tmp_path / "shared" / "theirs").touch()
    traces.remove(file, made)
    assert not (tmp_path / "ours").exists()
    assert (tmp_path / "before" / "own").exists()
    assert (tmp_path / "shared" / "own").exists()
    assert (tmp_path / "shared" / "theirs").exists()


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """A layout with certificates and kubeconfigs."""
    folder = tmp_path_factory.mktemp("certified")
    layout = Layout(shape_of_tests(), folder, folder, folder, folder)
    assert authority.provide(layout.shape, layout.certificates)
    access.provide(layout)
    return layout


def test_certificates_are_made_once_and_speak_for_whom_they_should(certified: Layout) -> None:
    assert not authority.provide(certified.shape, certified.certificates)
    openssl = shutil.which("openssl")
    assert openssl
    for each in authority.identities(certified.shape):
        chain = ["verify", "-CAfile", str(authority.certificate(certified.certificates, each.authority))]
        found = str(authority.certificate(certified.certificates, each.name))
        subprocess.run([openssl, *chain, found], check=True, timeout=30, capture_output=True)
        told = subprocess.run(
            [openssl, "x509", "-noout", "-subject", "-nameopt", "RFC2253", "-in", found],
            check=True, timeout=30, capture_output=True, text=True,
        ).stdout  # fmt: skip
        assert f"CN={each.user}" in told
        assert f"O={each.group}" in told or not each.group


def test_keys_are_their_owners_alone(certified: Layout) -> None:
    secret = [
        *certified.certificates.glob("*.key"),
        certified.kubeconfig,
        *certified.configuration.glob("*.kubeconfig"),
    ]
    assert secret
    assert {path.stat().st_mode & 0o777 for path in secret} == {0o600}


def test_a_kubeconfig_is_one_for_others_too(certified: Layout) -> None:
    found = kubeconfig.load(str(certified.kubeconfig))
    assert found.server == "https://127.0.0.1:16443"
    assert "BEGIN CERTIFICATE" in found.authority
    inside = json.loads((certified.configuration / "kubelet.kubeconfig").read_text())
    assert inside["clusters"][0]["cluster"]["server"] == "https://10.88.0.2:16443"
