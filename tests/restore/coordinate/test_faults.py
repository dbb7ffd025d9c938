# ruff: noqa: S608 - the tests' own words
"""What goes wrong around a restore: each time the live database and the app are as before, and the reason is told."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from backup import contents, manifest, reading, seal
from backup.manifest import Manifest, StoredFile
from tests.restore.coordinate.test_kill import versions


@pytest.fixture(autouse=True)
def nothing_wrong(stage: Any) -> Iterator[None]:
    """Whatever a test has gone wrong is mended after it."""
    yield
    stage.faults()


@contextmanager
def unharmed(stage: Any, **receipt: str) -> Iterator[None]:
    """See that what happens in the block changes nothing about live database and app, and what is told of it."""
    before, live = stage.content(), stage.databases()["scaffold"]
    count = len(stage.receipts())
    yield
    assert stage.content() == before
    assert stage.databases()["scaffold"] == live
    stage.alive()
    assert stage.leftovers() == []
    assert len(stage.receipts()) == count + (1 if receipt else 0)
    for name, value in receipt.items():
        assert value in str(stage.receipts()[0][name]), stage.receipts()[0]


def put(stage: Any, **options: str) -> str:
    """Put the other version into the queue and return its word."""
    wanted, _ = versions(stage)
    stage.put(stage.root / f"files/{wanted}.dump", **options)
    return wanted


def test_a_truncated_dump_is_rejected_and_the_app_never_stopped(stage: Any) -> None:
    path = stage.root / "files/cut.dump"
    whole = (stage.root / "files/new.dump").read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])
    asked = stage.asked()
    with unharmed(stage, outcome="rejected"):
        stage.put(path)
        stage.drain()
    assert stage.asked() == asked
    (reason,) = (stage.root / "restore/rejected").glob("*cut.dump.reason.txt")
    assert reason.read_text().strip() == stage.receipts()[0]["reason"]


def test_a_daemon_that_stops_nothing_fails_the_restore(stage: Any) -> None:
    stage.faults(stop="refuse")
    with unharmed(stage, outcome="failed", failed_at="stop", reason="the daemon does not stop"):
        put(stage)
        stage.drain()


def test_a_container_that_comes_back_by_itself_fails_the_restore(stage: Any) -> None:
    stage.faults(stop="comes back")
    with unharmed(stage, outcome="failed", failed_at="stop", reason="web-1 runs"):
        put(stage)
        stage.drain()


def test_a_missing_container_is_rejected_before_anything(stage: Any) -> None:
    with unharmed(stage, outcome="rejected", reason="RESTORE_STOP_CONTAINERS: there is no container wbe"):
        put(stage)
        stage.drain(RESTORE_STOP_CONTAINERS="web,wbe")
    with unharmed(stage, outcome="rejected", reason="RESTORE_START_CONTAINERS"):
        put(stage)
        stage.drain(RESTORE_START_CONTAINERS="worker")


def test_an_app_that_is_unhealthy_on_the_new_database_gets_the_old_one_back(stage: Any) -> None:
    stage.faults(unhealthy=True)
    with unharmed(stage, outcome="failed", failed_at="start", reason="RESTORE_UNHEALTHY=hold"):
        put(stage)
        stage.drain(RESTORE_HEALTH_TIMEOUT="1")


def test_an_unhealthy_app_stays_on_the_new_database_where_that_is_asked_for(stage: Any) -> None:
    stage.faults(unhealthy=True)
    wanted = put(stage)
    stage.drain(RESTORE_HEALTH_TIMEOUT="1", RESTORE_UNHEALTHY="hold")
    receipt = stage.receipts()[0]
    assert (receipt["outcome"], receipt["unhealthy"]) == ("done", ["web-1"])
    assert stage.content() == stage.contents[wanted]


def test_a_superusers_session_that_stays_fails_the_restore_and_is_named(stage: Any) -> None:
    told = {"outcome": "failed", "failed_at": "fence", "reason": "sessions stay in the database: tests"}
    with unharmed(stage, **told), stage.session("scaffold"):
        put(stage)
        stage.drain()


def test_a_storm_of_connections_is_kept_out_of_the_swap(stage: Any) -> None:
    ending = threading.Event()
    url = {"host": stage.address, "user": "app_a", "password": "app/a", "dbname": "scaffold", "connect_timeout": 2}

    def storm() -> None:
        while not ending.is_set():
            try:
                with psycopg.connect(**url) as session:
                    session.execute("SELECT pg_sleep(0.2)")
            except psycopg.Error:
                time.sleep(0.01)

    threads = [threading.Thread(target=storm) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        wanted = put(stage)
        done = stage.drain()
    finally:
        ending.set()
        for thread in threads:
            thread.join()
    assert stage.receipts()[0]["outcome"] == "done", done.text
    assert stage.content() == stage.contents[wanted]


def test_a_migration_that_holds_the_lock_is_waited_for_and_named_when_it_takes_too_long(stage: Any) -> None:
    key = "SELECT pg_advisory_lock(1935892838, hashtext('scaffold'))"
    with stage.session("postgres", "owner") as session:
        session.execute("SET application_name = 'scaffold migrate r9'")
        session.execute(key)
        with unharmed(stage, outcome="failed", failed_at="stop", reason="scaffold migrate r9"):
            put(stage)
            stage.drain(RESTORE_LOCK_WAIT="1")
        wanted = put(stage)
        with subprocess.Popen(stage.command("watch", "--once"), stdout=subprocess.PIPE, text=True) as waiting:
            assert waiting.stdout
            stage.until(lambda: "waiting for a migration" in (waiting.stdout.readline() or ""), "word of it", 60)
            session.execute("SELECT pg_advisory_unlock_all()")
            waiting.communicate(timeout=120)
    assert stage.content() == stage.contents[wanted]


def test_a_full_spool_fails_the_restore_and_is_left_clean(stage: Any) -> None:
    path = stage.root / "files/large.dump"
    path.write_bytes((stage.root / "files/new.dump").read_bytes() + os.urandom(2 << 20))
    stage.docker("exec", stage.name, "mkdir", "-p", "/small/spool")
    with unharmed(stage, outcome="failed", reason="No space left on device"):
        stage.put(path)
        stage.drain(RESTORE_SPOOL_DIR="/small/spool")
    assert stage.docker("exec", stage.name, "ls", "-A", "/small/spool") == ""
    assert [path.name.partition("-")[2] for path in (stage.root / "restore/failed").glob("*large.dump")] == [
        "large.dump"
    ]


def test_too_little_room_for_the_database_is_seen_before_and_during_the_load(stage: Any) -> None:
    stage.psql(
        "postgres",
        "CREATE TABLE IF NOT EXISTS public.told AS SELECT 0::bigint AS count; CREATE OR REPLACE FUNCTION "
        "public.free_bytes() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count FROM public.told'",
    )

    def room(count: int) -> None:
        stage.psql("postgres", f"UPDATE public.told SET count = {count}")

    settings = {"RESTORE_KEEP_FREE_BYTES": "1000000"}
    room(1_000_500)
    with unharmed(stage, outcome="rejected", reason="has 1.0 MB free"):
        put(stage)
        stage.drain(**settings)
    room(1 << 30)
    with unharmed(stage, outcome="failed", reason="the load was given up"):
        put(stage)
        with paused(stage, "load:asked", **settings) as running:
            room(10)
            running()
    # The loader may have ended before anybody looked again.
    assert stage.receipts()[0]["failed_at"] in ("load", "verify")
    wanted = put(stage)
    room(1 << 30)
    stage.drain(**settings)
    assert (stage.receipts()[0]["room"], stage.receipts()[0]["outcome"]) == (1 << 30, "done")
    assert stage.content() == stage.contents[wanted]
    stage.psql("postgres", "DROP FUNCTION public.free_bytes(); DROP TABLE public.told")


@contextmanager
def paused(stage: Any, point: str, **environ: str) -> Iterator[Any]:
    """Run the coordinator up to a point at which it stops, and lend what lets it go on to its end."""
    command = stage.command("watch", "--once", FAULT_PAUSE_AT=point, **environ)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        stage.until(lambda: stage.stopped() or process.poll() is not None, f"stop at {point}", 60)
        assert process.poll() is None, process.communicate()[0]

        def on() -> str:
            # A step that is done again comes by the point again.
            stage.until(lambda: stage.go_on() or process.poll() is not None, "end of it", 180)
            return str(process.communicate(timeout=120)[0])

        yield on


@pytest.mark.parametrize(
    "point",
    ["load:asked", "fence:shut", "swap:between", "swap:renamed", "swap:committed"],
)
def test_a_server_that_is_killed_meanwhile_is_waited_for(stage: Any, point: str) -> None:
    wanted = put(stage)
    with paused(stage, point) as running:
        stage.crash()
        text = running()
    receipt = stage.receipts()[0]
    assert (receipt["outcome"], receipt["reason"]) == ("done", ""), text
    assert stage.content() == stage.contents[wanted]
    assert stage.leftovers() == []
    stage.alive(wanted)


def test_a_gate_that_is_away_for_a_while_is_waited_for(stage: Any) -> None:
    wanted = put(stage)
    with paused(stage, "fence:shut") as running:
        (stage.root / "board/gate.sock").rename(stage.root / "board/away.sock")
        threading.Timer(2, (stage.root / "board/away.sock").rename, [stage.root / "board/gate.sock"]).start()
        text = running()
    assert stage.receipts()[0]["outcome"] == "done", text
    assert stage.content() == stage.contents[wanted]


def test_a_second_service_waits_and_a_first_one_goes_on(stage: Any) -> None:
    wanted = put(stage)
    with paused(stage, "load:asked") as running:
        second = stage.run("watch", "--once")
        assert second.status == 1
        assert "another restore service has it" in second.text
        running()
    assert stage.content() == stage.contents[wanted]


def test_a_journal_that_cannot_be_believed_holds_everything(stage: Any) -> None:
    path = stage.root / "restore/state.journal"
    good = path.read_bytes()
    with unharmed(stage):
        for bad in (b"", good[:-40] + b"x" + good[-39:], b"\0" * 100 + b"\n"):
            path.write_bytes(bad)
            held = stage.drain()
            assert held.status == 1
            assert "somebody has looked" in held.text
            assert path.read_bytes() == bad, "what is refused is left as it is"
        path.unlink()
        held = stage.drain()
        assert "there was one" in held.text
        put(stage)
        with subprocess.Popen(stage.command("watch"), stdout=subprocess.PIPE, text=True) as waiting:
            stage.until(lambda: stage.state()["status"] == "held", "word of it in the state file", 90)
            assert stage.run("status", "--check").status == 1
            stage.end()
            waiting.communicate(timeout=30)
        for left in stage.incoming.iterdir():
            left.unlink()
        path.write_bytes(good)
        os.chown(path, 10005, 10004)
        path.chmod(0o640)


def test_folders_that_cannot_be_written_are_told_with_the_command_that_mends_it(stage: Any) -> None:
    with unharmed(stage):
        shutil.chown(stage.root / "restore/processing", 0, 0)
        (stage.root / "restore/processing").chmod(0o700)
        done = stage.drain()
        shutil.chown(stage.root / "restore/processing", 10005, 10004)
    assert (done.status, "chown 10005:10004" in done.text) == (1, True)


def test_links_and_odd_names_in_the_queue_are_passed_over(stage: Any) -> None:
    with unharmed(stage):
        (stage.incoming / "shadow.sql").symlink_to("/etc/shadow")
        os.mkfifo(stage.incoming / "pipe.sql")
        (stage.incoming / "$(touch x).sql").write_text("x")
        done = stage.drain()
        assert sum("is passed over" in line["event"] for line in done.lines) == 3
        assert done.status == 0
        for path in stage.incoming.iterdir():
            path.unlink()


def test_a_file_that_is_still_being_uploaded_is_restored_once_and_whole(stage: Any) -> None:
    wanted, _ = versions(stage)
    content = (stage.root / f"files/{wanted}.dump").read_bytes()
    path = stage.incoming / "slow.dump"
    with path.open("wb") as file:
        os.chown(path, 10005, 10004)
        file.write(content[:1000])
        file.flush()
        count = len(stage.receipts())
        command = stage.command("watch", "--once", RESTORE_SETTLE_POLLS="20")
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
            for place in range(1000, len(content), 6000):
                file.write(content[place : place + 6000])
                file.flush()
                time.sleep(0.2)
            watching.communicate(timeout=120)
    assert len(stage.receipts()) == count + 1
    assert stage.receipts()[0]["outcome"] == "done"
    assert stage.content() == stage.contents[wanted]


def test_two_files_are_restored_in_their_order_and_the_last_one_stays(stage: Any) -> None:
    wanted, other = versions(stage)
    stage.put(stage.root / f"files/{wanted}.dump", "a.dump")
    stage.put(stage.root / f"files/{other}.dump", "b.dump")
    stage.drain()
    assert [receipt["file"] for receipt in stage.receipts()[:2]] == ["b.dump", "a.dump"]
    assert stage.content() == stage.contents[other]


class Signed:
    """A key that signs manifests, as the backup's does, and one to encrypt to."""

    def __init__(self, stage: Any) -> None:
        self.stage = stage
        self.key = Ed25519PrivateKey.generate()
        public = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (stage.root / "files/verify.pem").write_bytes(public)
        self.settings = {"BACKUP_VERIFY_KEYS_FILE": "/run/files/verify.pem"}

    def manifest(self, name: str, path: Any, plain: Any = None, key: Ed25519PrivateKey | None = None) -> bytes:
        """A manifest of a dump of the live database."""
        with self.stage.session("scaffold") as session:
            session.execute("SET search_path = ''")
            held = reading.read(session, lambda *_: None)
        plain = plain or path
        stored = StoredFile(
            name=name, role="dump", format="pg_dump custom", bytes=path.stat().st_size, sha256=seal.digest(path),
            plain_bytes=plain.stat().st_size, plain_sha256=seal.digest(plain),
        )  # fmt: skip
        made = Manifest(
            id="20261126T000000Z-abcdef", database="scaffold", kind="postgres", created="2026-11-26T00:00:00+00:00",
            finished="2026-11-26T00:00:01+00:00", tool_version="1", files=(stored,), server={}, snapshot={},
            contents=contents.Contents(**vars(held)).document(), verify={"level": "restored"},
        )  # fmt: skip
        return manifest.signed(made, key or self.key)

    def put(self, path: Any, name: str, content: bytes | None) -> None:
        """Put a file with its manifest into the queue."""
        if content is not None:
            beside = self.stage.incoming / f"{name}.manifest.json"
            beside.write_bytes(content)
            os.chown(beside, 10005, 10004)
        self.stage.put(path, name)


@pytest.fixture(scope="module")
def signed(stage: Any) -> Signed:
    """A key that signs."""
    return Signed(stage)


def test_a_backup_with_its_manifest_is_restored_where_only_signed_ones_are(stage: Any, signed: Signed) -> None:
    path = stage.dump("scaffold", "signed.dump")
    before = stage.content()
    signed.put(path, "signed.dump", signed.manifest("database.dump", path))
    done = stage.drain(RESTORE_TRUST="signed", **signed.settings)
    receipt = stage.receipts()[0]
    assert (receipt["outcome"], receipt["backup"]) == ("done", "20261126T000000Z-abcdef"), done.text
    assert stage.content() == before


def test_an_encrypted_backup_is_restored_with_its_key_and_rejected_with_another(stage: Any, signed: Signed) -> None:
    path = stage.dump("scaffold", "clear.dump")
    before = stage.content()
    for name in ("right", "wrong"):
        stage.docker(
            "exec", "-u", "0", stage.name, "sh", "-c", f"age-keygen -o /board/{name}.key && chmod 644 /board/*.key"
        )
    recipient = stage.docker("exec", stage.name, "age-keygen", "-y", "/board/right.key")
    shutil.copyfile(path, stage.root / "board/clear.dump")
    stage.docker("exec", stage.name, "age", "-r", recipient, "-o", "/board/sealed.age", "/board/clear.dump")
    sealed = stage.root / "board/sealed.age"
    content = signed.manifest("database.dump.age", sealed, path)
    with unharmed(stage, outcome="rejected", reason="cannot be decrypted"):
        signed.put(sealed, "b.dump.age", content)
        stage.drain(**signed.settings, BACKUP_AGE_IDENTITY_FILE="/board/wrong.key")
    with unharmed(stage, outcome="rejected", reason="BACKUP_AGE_IDENTITY_FILE"):
        signed.put(sealed, "b.dump.age", content)
        stage.drain(**signed.settings)
    signed.put(sealed, "b.dump.age", content)
    done = stage.drain(RESTORE_TRUST="signed", **signed.settings, BACKUP_AGE_IDENTITY_FILE="/board/right.key")
    assert stage.receipts()[0]["outcome"] == "done", done.text
    assert stage.content() == before


def test_a_manifest_that_is_forged_or_anothers_is_rejected(stage: Any, signed: Signed) -> None:
    path = stage.dump("scaffold", "signed.dump")
    good = signed.manifest("database.dump", path)
    cases = {
        "its signature does not fit": good.replace(b'"rows": 1', b'"rows": 2', 1).replace(b"Z-abcdef", b"Z-abcdee"),
        "which is not known": signed.manifest("database.dump", path, key=Ed25519PrivateKey.generate()),
        "that of another file": signed.manifest("database.dump", stage.root / "files/old.dump"),
        "no signed.dump.manifest.json lies beside it": None,
    }
    for reason, content in cases.items():
        with unharmed(stage, outcome="rejected", reason=reason):
            signed.put(path, "signed.dump", content)
            stage.drain(RESTORE_TRUST="signed", **signed.settings)


def test_a_dump_that_is_not_what_was_backed_up_is_found_out(stage: Any, signed: Signed) -> None:
    wanted, _ = versions(stage)
    path = stage.root / f"files/{wanted}.dump"
    with unharmed(stage, outcome="failed", failed_at="verify", reason="is not what was backed up: table"):
        signed.put(path, "other.dump", signed.manifest("database.dump", path))
        stage.drain(**signed.settings)


def test_a_dump_of_a_later_schema_is_rejected_with_what_to_deploy(stage: Any) -> None:
    stage.psql("postgres", "CREATE DATABASE scaffold_later OWNER owner TEMPLATE scaffold_today")
    stage.psql("scaffold_later", "UPDATE alembic_version SET version_num = '0099'")
    path = stage.dump("scaffold_later", "later.dump")
    stage.psql("postgres", "DROP DATABASE scaffold_later")
    with unharmed(stage, outcome="rejected", reason="its schema is at 0099"):
        stage.put(path)
        stage.drain()


def test_a_dump_of_an_earlier_schema_is_upgraded_by_the_newest_release_or_the_old_one_put_back(stage: Any) -> None:
    stage.make("scaffold_early", "early", "0003")
    path = stage.dump("scaffold_early", "early.dump")
    stage.psql("postgres", "DROP DATABASE scaffold_early")
    stage.psql("scaffold", "INSERT INTO consumed_messages VALUES ('i', 'm', now() + interval '1 hour')")
    stage.psql("scaffold", "UPDATE releases SET outcome = 'serving' WHERE id = (SELECT max(id) FROM releases)")
    # One in the middle of an update: it has migrated and goes on to serve, with what its migrations made.
    stage.psql("scaffold", "INSERT INTO releases (release, started_at, outcome) VALUES ('underway', now(), 'migrated')")
    stage.faults(migrate=["sh", "-c", "echo it broke; exit 3"])
    with unharmed(stage, outcome="failed", failed_at="upgrade", reason="it broke"):
        stage.put(path)
        stage.drain()
    stage.faults(migrate=["python", "/tests/upgrade.py", stage.url("owner").replace("+psycopg", "")])
    stage.put(path)
    done = stage.drain()
    receipt = stage.receipts()[0]
    assert (receipt["outcome"], receipt["upgraded"], receipt["schema"]) == ("done", True, "0003"), done.text
    assert any("/migrations/underway/run" in line for line in stage.asked())
    assert stage.sql("SELECT version_num FROM alembic_version", "scaffold") == "0004"
    assert stage.sql("SELECT count(*) FROM consumed_messages", "scaffold") == 1, "carried after the upgrade"
    assert not stage.sql("SELECT has_database_privilege('restore_loader', 'scaffold', 'CONNECT')", "scaffold")
    assert stage.sql("SELECT word FROM marker", "scaffold") == "early"
    stage.put(stage.root / "files/old.dump")
    stage.drain()


def test_stop_first_restores_with_nobody_writing_meanwhile(stage: Any) -> None:
    wanted = put(stage)
    with paused(stage, "load:asked", RESTORE_ORDER="stop-first") as running:
        assert stage.databases()["scaffold"][1] is False, "nobody can write from the stop on"
        text = running()
    receipt = stage.receipts()[0]
    assert (receipt["outcome"], receipt["order"]) == ("done", "stop-first"), text
    assert stage.content() == stage.contents[wanted]


def test_no_password_is_in_a_log_a_receipt_the_journal_or_the_state(stage: Any) -> None:
    from urllib.parse import quote

    from tests.restore.coordinate.conftest import PASSWORDS

    put(stage)
    text = stage.drain().text
    text += "".join(path.read_text(errors="replace") for path in (stage.root / "restore").rglob("*") if path.is_file())
    for password in (PASSWORDS["restore_admin"], PASSWORDS["restore_loader"]):
        assert password not in text
        assert quote(password, safe="") not in text
