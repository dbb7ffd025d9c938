"""Bundles and the pin: what is kept of a release, in which order, and what speaks against running it again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import bundle, migrations, pin, steps, web
from infra.bundle import Bundle, Kept
from infra.model import File, Image, Limits, Workload
from infra.steps import Step
from infra.system import MIGRATIONS
from tests.infra.conftest import CONTAINER, IMAGE, Declared, RunProgram

IDS = st.text("0123456789abcdef", min_size=10, max_size=10)
ANOTHER_SECRET = "another secret, which is long enough for it"
RELEASE_KEY = "ab" * 32


def kept(release: str, known: Sequence[Step] = (), formerly: tuple[str, ...] = ()) -> Kept:
    """Return a kept release of which little is known."""
    return Kept(release, "2026-11-25T00:00:00+00:00", "", "", {"steps": [vars(step) for step in known]}, formerly)


def workload(*files: File) -> Workload:
    """Return a small workload."""
    return Workload(Image("app", "0"), 10001, Limits(128, "1.0"), files=files)


@given(st.lists(IDS, unique=True, max_size=8), IDS, st.integers(1, 6))
def test_what_serves_is_kept_and_never_more_than_so_many(before: list[str], serving: str, most: int) -> None:
    history = [kept(each) for each in before]
    found = bundle.with_newest(history, kept(serving), most)
    assert serving in [each.release for each in found]
    assert len(found) <= max(most, 1)
    assert len({each.release for each in found}) == len(found)
    # The others stay in their order, the newest ones first.
    others = [each.release for each in found if each.release != serving]
    assert others == [each for each in before if each != serving][: len(others)]


@given(st.lists(IDS, unique=True, min_size=1, max_size=8), st.data())
def test_a_release_that_runs_again_keeps_its_place(before: list[str], data: st.DataObject) -> None:
    again = data.draw(st.sampled_from(before))
    found = bundle.with_newest([kept(each) for each in before], kept(again), len(before))
    assert [each.release for each in found] == before


@given(st.lists(IDS, unique=True, min_size=2, max_size=8), st.data())
def test_a_bundle_that_runs_under_another_id_keeps_its_place_and_is_found_by_both(
    ids: list[str], data: st.DataObject
) -> None:
    other, *before = ids
    pinned = data.draw(st.sampled_from(before))
    found = bundle.with_newest([kept(each) for each in before], kept(other), len(before), pinned)
    assert [each.release for each in found] == [other if each == pinned else each for each in before]
    assert pin.find(pinned, found).release == pin.find(other, found).release == other
    # And the next time under its first id again.
    back = bundle.with_newest(found, kept(pinned), len(before), other)
    assert [each.release for each in back] == before
    assert pin.find(other, back).release == pinned


@given(st.lists(IDS, unique=True, max_size=5))
def test_what_is_written_is_read_again(ids: list[str]) -> None:
    bundles = tuple(kept(each, [Step("0001", compatible=False)], (each[::-1],)) for each in ids)
    assert bundle.read(bundle.written(bundles)) == bundles


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": 2, "bundles": []}', '{"format": 1, "bundles": [{}]}'])
def test_what_is_no_bundle_is_refused(text: str) -> None:
    with pytest.raises(bundle.UnreadableError, match="kept bundles"):
        bundle.read(text)


def test_a_stack_without_releases_has_no_history() -> None:
    assert bundle.read("") == ()


def test_a_restored_bundle_is_as_it_was_but_for_the_credentials() -> None:
    then = {
        "image": {"name": "app", "tag": "then", "arguments": {"A": "1"}},
        "user": 10001,
        "limits": vars(Limits(64, "0.5")),
        "env": {"SITE_NAME": "Then"},
        "command": ["serve"],
        "files": [
            {"name": "page", "secret": False, "fingerprint": "page-then", "content": "Then"},
            {"name": "database-url", "secret": True, "fingerprint": "url-then", "content": "dead"},
        ],
    }
    document = {"serve": then, "migrate": then, "stop_seconds": 7, "steps": []}
    url = File("database-url", "alive", "url-now", secret=True)
    today = Bundle(workload(File("page", "Now", "page-now"), url), workload(url), 35)
    found = bundle.restored(Kept("a", "", "", "sha256:1", document), today, ["database-url"])
    assert found.serve.image == Image("app", "then", {"A": "1"}, "sha256:1")
    assert (found.serve.env, found.serve.command, found.stop_seconds) == ({"SITE_NAME": "Then"}, ("serve",), 7)
    assert found.serve.limits == Limits(64, "0.5")
    assert [(file.name, file.fingerprint) for file in found.serve.files] == [
        ("page", "page-then"),
        ("database-url", "url-now"),
    ]
    with pytest.raises(bundle.UnreadableError, match="release b"):
        bundle.restored(Kept("b", "", "", "sha256:1", {"steps": []}), today, [])


def test_a_release_that_is_not_kept_is_refused_with_those_that_are() -> None:
    with pytest.raises(pin.RefusedError, match=r"'cccccccccc'.*\(aaaaaaaaaa, bbbbbbbbbb\)") as refused:
        pin.find("cccccccccc", [kept("aaaaaaaaaa"), kept("bbbbbbbbbb")])
    assert "pulumi config rm release" in str(refused.value)


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.data())
def test_the_schema_goes_back_exactly_where_a_step_breaks_the_release(line: list[bool], data: st.DataObject) -> None:
    every = [Step(f"{number:04}", compatible=value) for number, value in enumerate(line)]
    known = data.draw(st.integers(1, len(every)))
    target, newest = kept("a" * 10, every[:known]), kept("b" * 10, every)
    broken = [step.revision for step in every[known:] if not step.compatible]
    assert pin.breaking(target, [newest, target]) == broken
    if broken:
        with pytest.raises(pin.RefusedError, match="--with-downgrade"):
            pin.downgrade(target, [newest, target], Bundle(workload(), workload(), 1), (), allowed=False)
    else:
        assert pin.downgrade(target, [newest, target], Bundle(workload(), workload(), 1), (), allowed=True) is None


def test_steps_are_read_in_their_order_whatever_the_files_are_called(tmp_path: Path) -> None:
    versions = tmp_path / "versions"
    versions.mkdir()
    for name, revision, follows in (("z", "a", None), ("y", "c", "a"), ("x", "b", "c")):
        text = f"revision = {revision!r}\ndown_revision = {follows!r}\ncompatible = {revision == 'c'}\n"
        (versions / f"{name}.py").write_text(text)
    assert [step.revision for step in steps.of(tmp_path)] == ["a", "c", "b"]
    assert [step.compatible for step in steps.of(tmp_path)] == [False, True, False]


def served(run_program: RunProgram, **config: str) -> tuple[Declared, tuple[Kept, ...]]:
    """Run the program and return what it declares with the bundles that it leaves."""
    declared = run_program({"releaseKey": RELEASE_KEY, **config})
    return declared, bundle.read(declared.outputs["bundles"])


def test_a_pinned_release_is_the_same_release_and_builds_nothing(
    run_program: RunProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, history = served(run_program, siteName="First")
    second, _ = served(run_program, siteName="Second")
    assert second.outputs["release"] != first.outputs["release"]
    monkeypatch.setattr("infra.platforms.docker.daemon.image_id", lambda *_: first.outputs["digest"])
    release = first.outputs["release"]
    back = run_program({"releaseKey": RELEASE_KEY, "siteName": "Second", "release": release}, before=history)
    assert back.outputs["release"] == back.outputs["pinned"] == release
    assert "image-app" not in back.of(IMAGE)
    assert back.of(CONTAINER).keys() == first.of(CONTAINER).keys()
    name = f"web-{release}-1"
    assert back.of(CONTAINER)[name] == first.of(CONTAINER)[name]


def test_a_release_from_before_the_ledger_runs_without_a_record(
    run_program: RunProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, (kept_first,) = served(run_program, siteName="First")
    monkeypatch.setattr("infra.platforms.docker.daemon.image_id", lambda *_: first.outputs["digest"])
    known = [step for step in kept_first.document["steps"] if step["revision"] < web.LEDGER]
    assert known
    old = replace(kept_first, document={**kept_first.document, "steps": known})
    pinned = {"releaseKey": RELEASE_KEY, "release": old.release}
    # What came after is compatible here: there is no way back to take.
    newer = replace(kept_first, release="0123456789")
    back = run_program(pinned, before=[newer, old])
    assert first.of(CONTAINER).keys() - back.of(CONTAINER).keys() == {f"record-{old.release}"}
    assert back.outputs["release"] == old.release


def test_the_ledger_is_made_by_the_revision_that_is_looked_for() -> None:
    (made_by,) = [
        path for path in MIGRATIONS.glob("versions/*.py") if 'create_table(\n        "releases"' in path.read_text()
    ]
    assert migrations.parse(made_by).revision == web.LEDGER


def test_an_image_that_was_built_anew_is_asked_for_once_and_said_once(
    run_program: RunProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, history = served(run_program, siteName="First")
    asked: list[str] = []
    said: list[str] = []
    anew = f"sha256:{'2' * 64}"

    def image_id(_host: str, name: str) -> str:
        asked.append(name)
        return anew

    monkeypatch.setattr("infra.platforms.docker.daemon.image_id", image_id)
    monkeypatch.setattr("pulumi.log.warn", said.append)
    back = run_program({"releaseKey": RELEASE_KEY, "release": first.outputs["release"]}, before=history)
    assert [name.partition(":")[0] for name in asked] == ["scaffold-app"]
    assert [text.partition(":")[0] for text in said] == ["release"]
    assert f"{anew}, was {first.outputs['digest']}" in said[0]
    assert back.outputs["digest"] == anew, "what is taken is what is there"


def test_bundles_are_a_secret_and_the_open_outputs_hold_none_of_theirs(run_program: RunProgram) -> None:
    declared, history = served(run_program, secretKey=ANOTHER_SECRET)
    assert ANOTHER_SECRET in json.dumps(history[0].document)
    told = {name: value for name, value in declared.outputs.items() if name != "bundles"}
    assert ANOTHER_SECRET not in json.dumps(told)
    assert declared.outputs["release"] in json.dumps(told["releases"])
