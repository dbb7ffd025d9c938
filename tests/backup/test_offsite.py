"""Copies in another place, on a real S3 server over TLS: read back before they count, whatever the network does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.backup.store import PROXIED, SECRET, Store

# The server is built first, which takes minutes where that was never done.
pytestmark = pytest.mark.slow
FEW = {"BACKUP_KEEP_LAST": "1", "BACKUP_KEEP_MIN": "1", "BACKUP_KEEP_DAILY": "0", "BACKUP_KEEP_WEEKLY": "0"}


@pytest.fixture(scope="module")
def store(stage: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The S3 server."""
    ours = Store(stage, tmp_path_factory.mktemp("s3"))
    ours.build()
    ours.start()
    yield ours
    ours.stop()


@pytest.fixture
def desk_with_copies(desk: Any, store: Store) -> Iterator[Any]:
    """A folder whose backups are copied, by way of the proxy."""
    desk.environ |= store.settings(desk.folder.name, PROXIED)
    yield desk
    store.faults()


def test_a_copy_is_stored_read_back_listed_and_can_be_fetched(desk: Any, store: Store) -> None:
    desk.environ |= store.settings(f"/{desk.folder.name}/deep/")
    made = desk.make()
    files = ["database.dump", "globals.sql", "manifest.json"]
    assert store.stored(f"{desk.folder.name}/deep/{made}") == files
    (item,) = desk.listed()
    assert item["offsite"] == [f"s3://backups/{desk.folder.name}/deep/{made}/"]
    before = {name: (desk.folder / made / name).read_bytes() for name in files}
    shutil.rmtree(desk.folder / made)
    assert desk.run("fetch", "latest").status == 0
    assert {name: (desk.folder / made / name).read_bytes() for name in files} == before
    assert desk.run("drill", made).status == 0
    assert "is there already" in desk.run("fetch", made).errors
    assert "there is no backup" in desk.run("fetch", "20200101T000000Z-aaaaaa").errors


def test_a_large_file_goes_in_parts_and_through_errors_and_slowness(on: Any, stage: Any, store: Store) -> None:
    stage.make_database(
        "parts", "CREATE TABLE noise AS SELECT i, sha512(i::text::bytea) AS s FROM generate_series(1, 600000) i;"
    )
    desk = on("parts")
    desk.environ |= store.settings(desk.folder.name, PROXIED)
    store.faults(errors=3, slow=0.2)
    made = desk.make()
    store.faults()
    assert (desk.folder / made / "database.dump").stat().st_size > 32 << 20, "three parts"
    assert (store.data / "backups" / desk.folder.name / made / "database.dump").read_bytes() == (
        desk.folder / made / "database.dump"
    ).read_bytes()
    store.faults(cut_part=2)
    done = desk.run("run")
    store.faults()
    assert (done.status, "the backup is good, but only here" in done.errors) == (1, True)
    assert len(desk.good()) == 2
    assert not [name for name in store.stored(desk.folder.name) if not name.startswith(made)]


def test_wrong_bytes_stored_are_found_and_the_copy_does_not_count(desk_with_copies: Any, store: Store) -> None:
    desk = desk_with_copies
    kept = desk.make()
    store.faults(spoil=True)
    done = desk.run("run", **FEW)
    assert done.status == 1
    assert "reads back with SHA-256" in done.errors
    spoilt = next(item for item in desk.listed() if item["id"] != kept)
    assert (spoilt["good"], spoilt["offsite"]) == (True, [])
    assert kept in desk.names(), "nothing is pruned after a failure"
    assert f"{kept}/manifest.json" in store.stored(desk.folder.name)
    assert f"{spoilt['id']}/manifest.json" not in store.stored(desk.folder.name)
    assert json.loads((desk.folder / ".state.json").read_text())["last_result"] == "failure"


def test_copies_are_pruned_on_their_own_and_a_refused_removal_harms_nothing(
    desk_with_copies: Any, store: Store
) -> None:
    desk = desk_with_copies
    few = {**FEW, "BACKUP_KEEP_MONTHLY": "0"}
    first = desk.make()
    store.faults(refuse=["DELETE"])
    second = desk.run("run", **few)
    assert second.status == 0, second.text
    assert "pruning did not come to its end" in second.text
    assert {name.split("/")[0] for name in store.stored(desk.folder.name)} == {first, second.made}
    store.faults()
    third = desk.make(**few)
    assert {name.split("/")[0] for name in store.stored(desk.folder.name)} == {third}
    assert desk.names() == [third]


@pytest.mark.parametrize("point", ["offsite:before", "offsite:between"])
def test_a_kill_around_the_copy_leaves_no_half_copy_that_can_be_found(
    desk_with_copies: Any, store: Store, point: str
) -> None:
    desk = desk_with_copies
    kept = desk.make()
    assert desk.run("run", FAULT_AT=point).status == 137
    assert [name for name in store.stored(desk.folder.name) if name.endswith("manifest.json")] == [
        f"{kept}/manifest.json"
    ]
    assert desk.run("verify").status == 0
    made = desk.make(**FEW, BACKUP_KEEP_MONTHLY="0")
    assert {name.split("/")[0] for name in store.stored(desk.folder.name)} == {made}, "what is unfinished goes later"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"BACKUP_S3_ENDPOINT": "http://s3:7070"}, "wanted a URL that begins with https://"),
        ({"BACKUP_S3_ACCESS_KEY_ID": ""}, "BACKUP_S3_ACCESS_KEY_ID: not set"),
    ],
)
def test_an_unusable_bucket_is_refused_before_anything_is_done(
    desk_with_copies: Any, change: dict[str, str], words: str
) -> None:
    done = desk_with_copies.run("run", **change)
    assert (done.status, words in done.errors, desk_with_copies.names()) == (1, True, [])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"BACKUP_S3_CA_FILE": ""}, "CERTIFICATE_VERIFY_FAILED"),
        ({"BACKUP_S3_ACCESS_KEY_ID": "another"}, "No user exists"),
        ({"BACKUP_S3_BUCKET": "nowhere"}, "NoSuchBucket"),
    ],
)
def test_a_bucket_that_does_not_take_it_leaves_a_backup_that_is_only_here(
    desk_with_copies: Any, change: dict[str, str], words: str
) -> None:
    done = desk_with_copies.run("run", **change)
    assert (done.status, words in done.errors) == (1, True), done.text
    assert SECRET not in done.text
    assert len(desk_with_copies.good()) == 1
