"""Going back to a moment: how it is typed, what is refused before anything changes, and which volumes there are."""

from __future__ import annotations

import datetime
import json
import time
from pathlib import Path
from typing import Any

import pytest

from operate import forget_volume, generations, moment, pit, restore_pit
from operate.generations import Generations
from operate.pit import Reach, Window
from operate.request import Request
from setup.places import places_from
from setup.problem import Problem

DAY = Window("2026-11-22T02:00:10Z", "2026-11-22T14:05:30Z")
NEXT = Window("2026-11-22T15:00:00Z", "2026-11-22T16:00:00Z")


def request(folder: Path, settings: str = "", **environment: str) -> Request:
    """A request for a stack whose file has these settings."""
    home = {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"), **environment}
    places = places_from(home, folder)
    path = places.stack_file("site")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("config:\n" + "".join(f"  scaffold:{line}\n" for line in settings.splitlines()), encoding="utf-8")
    return Request("restore-pit", "site", [], places, home)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's zone is Berlin's."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("2026-11-22 14:05", "2026-11-22T13:05:00Z"),
        ("2026-11-22T14:05:09", "2026-11-22T13:05:09Z"),
        ("2026-11-22 14:05 UTC", "2026-11-22T14:05:00Z"),
        ("2026-11-22 14:05:30 -05:00", "2026-11-22T19:05:30Z"),
        ("2026-07-01 00:30 Europe/Berlin", "2026-06-30T22:30:00Z"),
    ],
)
def test_a_moment_is_typed_as_a_person_writes_it(typed: str, wanted: str) -> None:
    assert moment.written(moment.read("TO", typed)) == wanted


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("yesterday", "is no date and time"),
        ("2026-02-30 10:00", "is no date and time"),
        ("2026-10-25 02:30", "comes twice"),
        ("2026-03-29 02:30", "never comes"),
        ("2026-11-22 14:05 Mars/Olympus", "time zone 'Mars/Olympus' is not known"),
    ],
)
def test_what_is_no_moment_or_not_unmistakable_is_refused_by_its_name(typed: str, said: str) -> None:
    with pytest.raises(Problem, match=f"TO: got .*{said}"):
        moment.read("TO", typed)


def test_a_restore_without_a_moment_says_how_one_is_given(tmp_path: Path) -> None:
    with pytest.raises(Problem) as refused:
        restore_pit.wanted_by(request(tmp_path))
    assert 'TO="2026-11-22 14:05", or TO=latest' in refused.value.fix
    assert restore_pit.wanted_by(request(tmp_path, TO="latest")) == "latest"


def test_a_stack_that_archives_nothing_is_told_how_it_would(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="archives nothing") as refused:
        pit.refuse_without_archive(request(tmp_path))
    assert "set pitr true" in refused.value.fix
    pit.refuse_without_archive(request(tmp_path, 'pitr: "true"'))


@pytest.mark.parametrize("target", ["2026-11-22T02:00:09Z", "2026-11-22T14:30:00Z", "2026-11-22T16:00:01Z"])
def test_a_moment_out_of_reach_is_refused_with_what_can_be_reached(target: str) -> None:
    with pytest.raises(Problem, match=r"cannot be reached\. What can be reached is .*, and .*Nothing was changed"):
        restore_pit.refuse_out_of_reach(target, Reach((DAY, NEXT), (), ()), "site")


@pytest.mark.parametrize("target", ["latest", DAY.start, DAY.end, "2026-11-22T15:30:00Z"])
def test_a_moment_in_reach_is_not(target: str) -> None:
    restore_pit.refuse_out_of_reach(target, Reach((DAY, NEXT), (), ()), "site")


def test_without_a_backup_nothing_can_be_reached_not_even_the_end() -> None:
    with pytest.raises(Problem, match="no base backup yet"):
        restore_pit.refuse_out_of_reach("latest", Reach((), (), ()), "site")
    assert "Nothing can be reached yet" in pit.told(Reach((), (), ()), "site")[0]


def test_what_the_database_says_is_read_and_shown() -> None:
    document = {
        "windows": [{"timeline": 1, "from": DAY.start, "until": DAY.end}],
        "gaps": [{"from": "000000010000000000000004", "until": "000000010000000000000009"}],
        "backups": [{"label": "a", "kind": "full", "ended": DAY.start, "bytes": 1}],
        "why": "not archived",
    }
    found = pit.reach_in(0, json.dumps(document) + "\n", "site")
    assert (found.windows, found.trouble) == ((DAY,), "not archived")
    lines = pit.told(found, "site")
    assert str(DAY) in lines[1]
    assert "missing from 000000010000000000000004 to 000000010000000000000009" in lines[2]
    assert lines[3].startswith("1 full base backups, the last one of ")
    assert lines[-1] == 'make restore-pit TO="2026-11-22 14:05 UTC" STACK=site'


@pytest.mark.parametrize(
    ("code", "said", "reason"),
    [
        (1, '{"event": "PITR: not set"}', "PITR: not set"),
        (126, "no such file", "no such file"),
        (0, "", "said nothing"),
    ],
)
def test_what_the_database_cannot_tell_is_said_with_the_reason(code: int, said: str, reason: str) -> None:
    with pytest.raises(Problem, match=f"does not tell what can be reached: .*{reason}"):
        pit.reach_in(code, said, "site")


def test_generations_are_read_from_the_settings_and_counted_on(tmp_path: Path) -> None:
    first = generations.of(request(tmp_path))
    assert (first.every, first.next()) == (["database"], "database-2")
    kept = "databaseVolumesKept: database database-3 archive"
    later = generations.of(request(tmp_path, f"databaseVolume: database-3\n{kept}"))
    assert (later.active, later.next()) == ("database-3", "database-4")
    assert later.every == ["database", "database-3", "archive"]


def test_what_is_forgotten_is_in_no_setting_any_more() -> None:
    known = Generations("database", ("database", "database-2"), "database-2@latest")
    assert forget_volume.without(known, "database-2") == Generations("database", ("database",), "")
    other = Generations("database-2", ("database", "database-2"), "database-2@latest")
    assert forget_volume.without(known, "archive").restore == ""
    assert forget_volume.without(other, "database") == Generations("database-2", ("database-2",), "database-2@latest")


@pytest.mark.parametrize(
    ("settings", "name", "said"),
    [
        ("", "database", "is on database"),
        ("databaseVolume: database-2", "database-2", "is on database-2"),
        ("", "backups", "none of the volumes that a database is on"),
    ],
)
def test_what_is_in_use_or_no_volume_of_the_database_is_not_forgotten(
    tmp_path: Path, settings: str, name: str, said: str
) -> None:
    asked = request(tmp_path, settings)
    with pytest.raises(Problem, match=said):
        forget_volume.refuse_in_use(asked, generations.of(asked), name)


DOCKER: dict[str, Any] = {
    "urn": "urn:pulumi:site::scaffold::docker:index/container:Container::database",
    "type": "docker:index/container:Container",
    "inputs": {"volumes": [{"volumeName": "scaffold-site-database-2"}, {"volumeName": "scaffold-site-archive"}]},
}
CLUSTER: dict[str, Any] = {
    "urn": "urn:pulumi:site::scaffold::kubernetes:apps/v1:StatefulSet::database",
    "type": "kubernetes:apps/v1:StatefulSet",
    "inputs": {
        "spec": {
            "template": {"spec": {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "database-2"}}]}}
        }
    },
}


@pytest.mark.parametrize("resource", [DOCKER, CLUSTER])
def test_the_state_tells_which_volume_the_database_is_on(resource: dict[str, Any]) -> None:
    assert generations.is_on([resource], "database-2")
    assert not generations.is_on([resource], "database")
    assert not generations.is_on([], "database-2")


def test_a_volumes_name_in_the_state_is_found_on_both_platforms() -> None:
    for name in ("volume-database-2", "claim-database-2"):
        urn = f"urn:pulumi:site::scaffold::some:Type::{name}"
        assert generations.urn_of([{"urn": urn}], "database-2") == urn
        assert generations.urn_of([{"urn": urn}], "database") == ""


def test_a_moment_is_shown_in_this_machines_time() -> None:
    shown = moment.shown(DAY.start)
    assert datetime.datetime.strptime(shown, "%Y-%m-%d %H:%M:%S %z") == datetime.datetime.fromisoformat(DAY.start)
