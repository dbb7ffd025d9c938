"""The journal: whole, or refused; only a line that a crash cut off is as if it had never been."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.error import StopError
from restore import journal
from restore.journal import BusyError, Journal, Record, UnusableError


def made(path: Path, *traces: str) -> Journal:
    return journal.opened(path, traces=iter(traces))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal with three records."""
    path = tmp_path / "state.journal"
    ours = made(path)
    for step in ("claim", "load"):
        ours.append(Record("j1", step, "begin", 1.5, {"name": 'ä\n"x"'}))
    ours.close()
    return path


def test_what_was_appended_is_there_after_a_start(path: Path) -> None:
    ours = made(path)
    assert [record.step for record in ours.of("j1")] == ["claim", "load"]
    assert ours.of("j1")[0].data == {"name": 'ä\n"x"'}
    assert ours.last_job() == "j1"
    ours.close()


@given(st.data())
def test_a_last_line_that_was_cut_off_is_gone_and_the_next_one_follows(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("j") / "state.journal"
    ours = made(path)
    ours.append(Record("j1", "claim", "begin", 1.0, {}))
    whole = path.read_bytes()
    ours.append(Record("j1", "claim", "done", 1.0, {"sha256": "x" * 40}))
    ours.close()
    cut = data.draw(st.integers(len(whole), path.stat().st_size - 1))
    path.write_bytes(path.read_bytes()[:cut])
    ours = made(path)
    assert [record.phase for record in ours.of("j1")] == ["begin"]
    ours.append(Record("j1", "claim", "fail", 1.0, {}))
    ours.close()
    ours = made(path)
    assert [record.phase for record in ours.of("j1")] == ["begin", "fail"]
    ours.close()


@given(st.data())
def test_any_other_change_of_it_is_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("j") / "state.journal"
    ours = made(path)
    for step in ("claim", "load"):
        ours.append(Record("j1", step, "begin", 1.0, {}))
    ours.close()
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 2))
    content[place] ^= 1 << data.draw(st.integers(0, 6))
    path.write_bytes(bytes(content))
    try:
        ours = made(path)
    except UnusableError:
        assert path.read_bytes() == bytes(content), "what is refused is left as it is"
        return
    ours.close()
    raise AssertionError(bytes(content))


def test_an_empty_one_and_one_without_its_beginning_are_refused(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    for content in (b"", b"\0" * 64, b"".join(lines[1:]), b"".join([lines[0], *lines[2:]])):
        path.write_bytes(content)
        with pytest.raises(UnusableError, match="somebody has looked"):
            made(path)


def test_one_of_a_newer_version_is_refused_and_says_what_to_use(path: Path) -> None:
    body = json.dumps({"v": 2, "job": "", "step": "journal", "phase": "begin", "at": 0.0, "data": {}})
    path.write_text(f"{journal.seal(journal.FIRST, body)} {body}\n")
    with pytest.raises(UnusableError, match="use the image that wrote it"):
        made(path)


def test_a_missing_one_is_begun_only_where_nothing_of_an_earlier_one_is_left(tmp_path: Path) -> None:
    path = tmp_path / "state.journal"
    with pytest.raises(UnusableError, match="the database x__pre_1 is: there was one"):
        made(path, "the database x__pre_1")
    assert not path.exists()
    made(path).close()
    assert path.exists()


def test_a_second_service_does_not_get_it(path: Path) -> None:
    first = made(path)
    with pytest.raises(BusyError):
        made(path)
    first.close()
    made(path).close()


def test_it_is_begun_anew_when_it_is_large_and_still_locked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = made(path)
    monkeypatch.setattr(journal, "LARGE", 10)
    ours.trim({"kept": [{"oid": 7}]})
    assert ours.records[0].data == {"kept": [{"oid": 7}]}
    with pytest.raises(BusyError):
        made(path)
    ours.append(Record("j2", "claim", "begin", 1.0, {}))
    ours.close()
    ours = made(path)
    assert [record.job for record in ours.records] == ["", "j2"]
    ours.close()


def test_a_full_disk_leaves_no_half_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = made(path)
    before = path.read_bytes()

    def full(self: Journal, content: bytes) -> None:
        import os

        os.write(self.descriptor, content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Journal, "put", full)
    with pytest.raises(StopError, match="No space left on device"):
        ours.append(Record("j1", "load", "done", 1.0, {}))
    monkeypatch.undo()
    assert path.read_bytes() == before
    ours.append(Record("j1", "load", "done", 1.0, {}))
    ours.close()
    made(path).close()
