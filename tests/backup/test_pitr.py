"""The database's archive: what is told of it, when, and how often; and that it is told at all."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup import notice, pitr, watch
from backup.error import StopError
from backup.pitr import AGAIN_SECONDS, GRACE_SECONDS, Gap, Memory, Seen
from tests.backup.conftest import PASSWORD, USER, Desk, Stage
from tests.backup.test_notice import Receiver
from tests.conftest import until
from tests.database.archived import PATIENCE, Archived
from tests.database.conftest import Database, roles_document

NOON = 1_800_000_000.0
MINUTE = 60.0
WELL = Seen("", ())
ILL = Seen("archiving fails: 3 segments wait", ())


def gap(number: int) -> Gap:
    return Gap(f"0000000100000000{number:08X}", f"0000000100000000{number + 1:08X}")


def told(looks: list[tuple[float, Seen]], memory: Memory | None = None) -> list[tuple[float, str]]:
    """What is told, and when, of what is seen at some moments; each look is by a service that has just started."""
    found, known = [], memory or Memory()
    for at, seen in looks:
        known, events = pitr.decide(known, seen, at)
        known = pitr.remembered(pitr.render(known))
        found += [(at, event.name) for event in events]
    return found


def every_minute(seen: Seen, begin: float, minutes: int) -> list[tuple[float, Seen]]:
    return [(begin + MINUTE * each, seen) for each in range(minutes)]


def test_trouble_is_told_after_some_minutes_once_and_again_once_a_day() -> None:
    found = told(every_minute(ILL, NOON, 60 * 49))
    assert [name for _, name in found] == ["archive-failing"] * 3
    assert [at - NOON for at, _ in found] == [GRACE_SECONDS, GRACE_SECONDS + AGAIN_SECONDS, GRACE_SECONDS + 172_800]


def test_the_end_of_trouble_is_told_when_it_lasts_and_only_to_who_was_told_of_it() -> None:
    assert told([*every_minute(ILL, NOON, 4), *every_minute(WELL, NOON + 240, 60)]) == []
    looks = [*every_minute(ILL, NOON, 6), *every_minute(WELL, NOON + 360, 60)]
    assert told(looks) == [(NOON + 300, "archive-failing"), (NOON + 360 + GRACE_SECONDS, "archive-recovered")]


def test_trouble_that_comes_and_goes_is_one_trouble() -> None:
    looks = [(NOON + MINUTE * each, WELL if each % 4 == 3 and each > 6 else ILL) for each in range(600)]
    assert [name for _, name in told(looks)] == ["archive-failing"]


def test_a_gap_is_told_at_once_by_its_ends_and_never_again() -> None:
    holes = Seen("", (gap(3),))
    after, (event,) = pitr.decide(Memory(), holes, NOON)
    assert (event.name, event.fields) == (
        "archive-gap", {"first": "000000010000000000000003", "last": "000000010000000000000004"},
    )  # fmt: skip
    assert told(every_minute(holes, NOON, 60 * 50), after) == []
    nobody_knows = every_minute(Seen("the database does not say", None), NOON, 4)
    assert told([*nobody_knows, (NOON + 240, holes)], after) == [], "it is not forgotten meanwhile"


def test_what_nobody_took_is_told_again_and_what_somebody_took_is_not() -> None:
    before = Memory(since=NOON, gaps=(gap(9),))
    seen = Seen("it fails", (gap(3), gap(5), gap(9)))
    after, events = pitr.decide(before, seen, NOON + 600)
    assert [event.name for event in events] == ["archive-gap", "archive-gap", "archive-failing"]
    for untaken in events:
        known = pitr.untold(after, before, untaken)
        assert [event.fields for event in pitr.decide(known, seen, NOON + 1200)[1]] == [untaken.fields]
    before = Memory(since=NOON, told=NOON + 300, better=NOON + 400)
    after, (recovered,) = pitr.decide(before, WELL, NOON + 900)
    assert pitr.decide(after, WELL, NOON + 960) == (Memory(), [])
    assert pitr.decide(pitr.untold(after, before, recovered), WELL, NOON + 960)[1] == [recovered]


def test_a_clock_that_was_wrong_holds_nothing_back() -> None:
    year = 365 * 86_400
    memory = Memory(since=NOON + year, told=NOON + year, gaps=())
    found = told(every_minute(ILL, NOON, 60 * 25), memory)
    assert [name for _, name in found] == ["archive-failing"]


GAPS = st.sets(st.integers(0, 12), max_size=5).map(lambda found: tuple(gap(2 * each) for each in sorted(found)))
SEEN = st.builds(Seen, st.sampled_from(["", "", "it fails"]), st.none() | GAPS)
LOOKS = st.lists(st.tuples(st.integers(1, 4 * 3600), SEEN), max_size=60).map(
    lambda steps: [(NOON + sum(each for each, _ in steps[: index + 1]), seen) for index, (_, seen) in enumerate(steps)]
)


@given(LOOKS)
def test_whatever_is_seen_failing_and_recovered_take_turns_and_are_never_told_too_early(looks: Any) -> None:
    found = [(at, name) for at, name in told(looks) if name != "archive-gap"]
    before: tuple[float, str] | None = None
    for at, name in found:
        if before is None or before[1] == "archive-recovered":
            assert name == "archive-failing"
        elif name == "archive-failing":
            assert at - before[0] >= AGAIN_SECONDS
        lately = [seen.trouble for moment, seen in looks if at - GRACE_SECONDS <= moment <= at]
        if name == "archive-recovered":
            assert not any(lately), "it has been well for as long as that"
        elif before is None or before[1] == "archive-recovered":
            assert all(lately), "it has been in trouble for as long as that"
        else:
            assert lately[-1]
        before = (at, name)


@given(LOOKS)
def test_whatever_is_seen_a_gap_that_stays_is_told_exactly_once(looks: Any) -> None:
    always = gap(100)
    with_it = [(at, Seen(seen.trouble, None if seen.gaps is None else (always, *seen.gaps))) for at, seen in looks]
    known, names = Memory(), []
    for at, seen in with_it:
        known, events = pitr.decide(known, seen, at)
        assert len(events) <= pitr.MOST_AT_ONCE + 1
        names += [event.fields["first"] for event in events if event.name == "archive-gap"]
    assert names.count(always.first) == any(seen.gaps is not None for _, seen in with_it)


@given(st.lists(GAPS.filter(bool), min_size=1, max_size=3))
def test_many_gaps_are_all_told_some_with_each_look(found: list[tuple[Gap, ...]]) -> None:
    those = tuple(sorted({each for gaps in found for each in gaps}))
    looks = every_minute(Seen("", those), NOON, len(those))
    assert len(told(looks)) == len(those)


@given(st.text() | st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_whatever_the_database_says_it_is_read_or_counts_as_unknown(text: str) -> None:
    assert pitr.read(text).trouble


def test_what_the_server_writes_is_what_is_read() -> None:
    from server import bulletin

    assert pitr.read(bulletin.render("", [(1, 3, 4)])) == Seen("", (gap(3),))
    assert pitr.read(bulletin.render("it fails", None)) == Seen("it fails", None)
    assert pitr.read("unknown").trouble == "nothing has been noted of it for five minutes"


def test_the_archive_of_an_sqlite_database_is_refused_and_without_the_setting_nothing_is_asked(tmp_path: Any) -> None:
    channels = notice.find({})
    sqlite = {"DATABASE_URL": "sqlite:////data/app.db"}
    assert watch.find(sqlite, tmp_path, channels, lambda: None) is None
    with pytest.raises(StopError, match="BACKUP_PITR: got true, wanted false"):
        watch.find({**sqlite, "BACKUP_PITR": "true"}, tmp_path, channels, lambda: None)
    with pytest.raises(StopError, match="BACKUP_PITR: got 'yes', wanted true or false"):
        watch.find({**sqlite, "BACKUP_PITR": "yes"}, tmp_path, channels, lambda: None)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"gaps": [["a", "b"]]}', '{"since": "soon"}', "\x00"])
def test_a_memory_that_cannot_be_read_is_begun_anew(text: str, tmp_path: Any) -> None:
    path = tmp_path / watch.NAME
    path.write_text(text)
    assert watch.read(path) == Memory()


class Service:
    """The schedule with nothing to do but watch, and what it posts to a web hook."""

    def __init__(self, desk: Desk, receiver: Receiver) -> None:
        self.desk = desk
        self.receiver = receiver
        now = time.time()
        self.give(".state.json", {"last_run": now, "last_result": "success", "last_success": now, "last_drill": now})
        place = {
            "BACKUP_METRICS_FILE": f"/backups/{desk.folder.name}/backup.prom",
            "BACKUP_PITR": "true",
            "BACKUP_SCHEDULE": "0 5 1 1 *",
            "BACKUP_WEBHOOK_URL": f"{receiver.url}/hook",
        }
        self.command = desk.command("schedule", **place)

    def give(self, name: str, document: Any) -> None:
        """Put a file where the service reads it."""
        file = self.desk.folder / name
        file.write_text(json.dumps(document))
        os.chown(file, USER, USER)

    def run(self, count: int) -> tuple[str, list[dict[str, Any]]]:
        """Run it until it has looked and told so much; return what it said, and what it told."""
        metrics = self.desk.folder / "backup.prom"
        metrics.unlink(missing_ok=True)
        begin = len(self.receiver.got)
        with subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                until(lambda: metrics.exists() and len(self.receiver.got) >= begin + count, "notice", 90)
            finally:
                self.desk.stage.kill("TERM")
                output, _ = process.communicate(timeout=30)
        return output, [json.loads(body) for _, body in self.receiver.got[begin:]]


@pytest.fixture
def listening(docker: Any) -> Iterator[Any]:
    """Makes receivers of web hooks that a container on a network can reach."""
    made: list[tuple[Receiver, threading.Thread]] = []

    def make(network: str) -> Receiver:
        template = "{{range .IPAM.Config}}{{.Gateway}}{{end}}"
        receiver = Receiver(docker("network", "inspect", "-f", template, network))
        thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        made.append((receiver, thread))
        return receiver

    yield make
    for receiver, thread in made:
        receiver.shutdown()
        receiver.server_close()
        thread.join()


def test_the_service_asks_the_database_and_tells_trouble_and_gaps_once(desk: Desk, listening: Any) -> None:
    service = Service(desk, listening(desk.stage.network))

    def noted(text: str) -> None:
        said = f"cd /var/lib/postgresql/data && echo '{text}' > archive.json"
        desk.stage.docker("exec", desk.stage.database.name, "sh", "-c", said)

    try:
        noted(json.dumps({"trouble": "archiving fails: 3 segments wait", "gaps": [gap(3)]}))
        service.give(".archive.json", {"since": time.time() - 600})
        service.receiver.answer = 500
        assert len(service.run(2)[1]) == 2
        service.receiver.answer = 200
        output, hooks = service.run(2)
        assert [hook["event"] for hook in hooks] == ["archive-gap", "archive-failing"], output
        assert (hooks[0]["first"], hooks[0]["last"], hooks[0]["database"]) == (*gap(3), "small")
        assert hooks[1]["error"] == "archiving fails: 3 segments wait"
        assert output.count("the database's archive has a gap") == output.count("archive is in trouble") == 1
        metrics = (desk.folder / "backup.prom").read_text()
        assert "scaffold_backup_archive_failing 1.000\n" in metrics
        assert "scaffold_backup_archive_gaps 1.000\n" in metrics
        assert service.run(0)[1] == [], "another service knows what was told"

        noted(json.dumps({"trouble": "", "gaps": [gap(3)]}))
        service.give(
            ".archive.json", {"since": 1.0, "told": time.time(), "better": time.time() - 600, "gaps": [gap(3)]}
        )
        output, hooks = service.run(1)
        assert [hook["event"] for hook in hooks] == ["archive-recovered"], output
        assert "scaffold_backup_archive_failing 0.000\n" in (desk.folder / "backup.prom").read_text()
        assert PASSWORD not in output
    finally:
        desk.stage.docker("exec", desk.stage.database.name, "rm", "-f", "/var/lib/postgresql/data/archive.json")


def test_a_database_that_says_nothing_is_told_as_trouble(desk: Desk, listening: Any) -> None:
    service = Service(desk, listening(desk.stage.network))
    service.give(".archive.json", {"since": time.time() - 600})
    _, (hook,) = service.run(1)
    assert (hook["event"], hook["error"]) == ("archive-failing", "nothing has been noted of it for five minutes")
    assert "scaffold_backup_archive_gaps -1.000\n" in (desk.folder / "backup.prom").read_text()

    service.give(".archive.json", {"since": time.time() - 600})
    desk.stage.file(f"url-{desk.folder.name}", desk.stage.url("small", password="wrong").encode())
    _, (hook,) = service.run(1)
    assert "the database does not say how it is: psql ended" in hook["error"]
    assert "password authentication failed" in hook["error"]


@pytest.mark.slow
def test_a_segment_that_is_lost_ends_in_a_web_hook(
    docker: Any, database_image: str, backup_image: str, run_id: str, tmp_path: Any, listening: Any
) -> None:
    database = Database(docker, database_image, run_id, tmp_path)
    network = f"{database.name}-network"
    docker("network", "create", "--internal", "--label", database.label, network)
    archived = Archived(database)
    stage = Stage(docker, backup_image, database, network, tmp_path)
    try:
        archived.start("--network", network, "--network-alias", "database")
        database.roles(roles_document(backup_ro=PASSWORD))
        stage.start()
        archived.database.sql("CREATE TABLE entry (name text PRIMARY KEY)")
        database.wait_for("backup made", seconds=PATIENCE)
        service = Service(Desk(stage, "scaffold", uuid.uuid4().hex[:8]), listening(network))
        output, hooks = service.run(0)
        assert hooks == [], output
        assert "scaffold_backup_archive_failing 0.000" in (service.desk.folder / "backup.prom").read_text()

        for name in ("one", "two", "three"):
            archived.add(name)
            archived.window("seal")
        folder = "/there/repository/archive/main/17-1/0000000100000000"
        lost = archived.inside(archived.archive, f"ls {folder} | grep zst | tail -n 2 | head -n 1")
        archived.inside(archived.archive, f"rm {folder}/{lost}")
        database.wait_for("the archive has a gap", seconds=PATIENCE)
        output, (hook,) = service.run(1)
        assert (hook["event"], hook["first"], hook["last"]) == ("archive-gap", lost[:24], lost[:24]), output

        archived.inside(archived.archive, "mv /there/repository /there/gone && mkdir /there/repository")
        database.wait_for("cannot look after the archive", seconds=PATIENCE)
        service.give(".archive.json", {"since": time.time() - 600, "gaps": [[lost[:24], lost[:24]]]})
        output, (hook,) = service.run(1)
        assert (hook["event"], "archive" in hook["error"]) == ("archive-failing", True), output
    finally:
        stage.stop()
        database.remove()
        docker("network", "rm", network, check=False)
