"""Going back by a verb: which release is meant, and which images nobody needs any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from infra.bundle import Kept
from operate import rollback
from operate.docker import images
from operate.releases import kept
from operate.request import Request, request_from
from operate.rollback import WITH_DOWNGRADE, Wanted, choose, wanted_by
from operate.stack import Stack
from setup import state
from setup.problem import Problem

NEWEST_FIRST = ("cccccccccc", "bbbbbbbbbb", "aaaaaaaaaa")


def release(name: str, steps: Sequence[Mapping[str, object]] = (), formerly: tuple[str, ...] = ()) -> Kept:
    """Return a kept release."""
    return Kept(name, "2026-11-25T12:00:00+00:00", "abc123", "", {"steps": list(steps)}, formerly)


HISTORY = [release(name) for name in NEWEST_FIRST]


@pytest.fixture
def request_for(tmp_path: Path) -> Request:
    """A request for a stack of which nothing is known."""
    return request_from("rollback", [], {"HOME": str(tmp_path), "STACK": "unit"})


def test_without_a_name_the_release_made_before_the_one_that_serves_is_meant() -> None:
    assert choose(HISTORY, "cccccccccc", "", "unit").release == "bbbbbbbbbb"
    # Once more goes back further, and not forward again.
    assert choose(HISTORY, "bbbbbbbbbb", "", "unit").release == "aaaaaaaaaa"


def test_where_nothing_older_is_kept_that_is_said() -> None:
    with pytest.raises(Problem, match="Nothing older than the release aaaaaaaaaa"):
        choose(HISTORY, "aaaaaaaaaa", "", "unit")
    with pytest.raises(Problem, match="keeps no release yet"):
        choose([], "", "", "unit")


def test_a_named_release_is_found_by_every_id_that_it_had() -> None:
    history = [*HISTORY[:2], release("dddddddddd", formerly=("aaaaaaaaaa",))]
    assert choose(history, "cccccccccc", "aaaaaaaaaa", "unit").release == "dddddddddd"
    with pytest.raises(Problem, match="serves already"):
        choose(history, "dddddddddd", "aaaaaaaaaa", "unit")


def test_a_name_that_is_not_kept_is_refused_with_those_that_are() -> None:
    with pytest.raises(Problem, match=r"no release 0123456789 to go back to \(cccccccccc, bbbbbbbbbb, aaaaaaaaaa\)"):
        choose(HISTORY, "cccccccccc", "0123456789", "unit")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ([], Wanted("", downgrade=False)),
        (["bbbbbbbbbb"], Wanted("bbbbbbbbbb", downgrade=False)),
        ([WITH_DOWNGRADE], Wanted("", downgrade=True)),
        (["bbbbbbbbbb", WITH_DOWNGRADE], Wanted("bbbbbbbbbb", downgrade=True)),
    ],
)
def test_the_words_after_the_verb_are_an_id_and_a_leave(request_for: Request, words: list[str], wanted: Wanted) -> None:
    assert wanted_by(replace(request_for, arguments=words)) == wanted


@pytest.mark.parametrize("words", [["--force"], ["a", "b"]])
def test_words_that_say_nothing_are_refused(request_for: Request, words: list[str]) -> None:
    with pytest.raises(Problem, match="does not know"):
        wanted_by(replace(request_for, arguments=words))


def test_a_schema_that_is_too_new_is_refused_unless_it_may_be_taken_back(
    request_for: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("setup.virtualenv.enter", lambda _places: None)
    first = {"revision": "0001", "compatible": False}
    old = release("aaaaaaaaaa", [first])
    new = release("bbbbbbbbbb", [first, {"revision": "0002", "compatible": False}])
    with pytest.raises(Problem, match="0002 came after it and is not declared compatible") as refused:
        rollback.refuse_a_schema_too_new(request_for, old, [new, old], Wanted("", downgrade=False))
    assert WITH_DOWNGRADE in refused.value.fix
    rollback.refuse_a_schema_too_new(request_for, old, [new, old], Wanted("", downgrade=True))
    fits = release("bbbbbbbbbb", [first, {"revision": "0002", "compatible": True}])
    rollback.refuse_a_schema_too_new(request_for, old, [fits, old], Wanted("", downgrade=False))


def test_the_list_says_which_serves_and_which_is_pinned() -> None:
    lines = kept(HISTORY, "bbbbbbbbbb", "aaaaaaaaaa")
    assert [line.split()[0] for line in lines] == list(NEWEST_FIRST)
    assert lines[1].endswith("serves")
    assert lines[2].endswith("pinned")


def test_an_image_is_removed_only_when_the_state_does_not_speak_of_it() -> None:
    spoken = '{"name": "scaffold-app:1111-dev", "releases": {"a": "2026 app:2222 schema 0001"}}'
    present = [f"scaffold-{name}-dev" for name in ("app:1111", "app:2222", "app:3333", "gateway:1111")]
    assert images.unspoken(present, "dev", spoken) == ["scaffold-app:3333-dev", "scaffold-gateway:1111-dev"]


def test_what_another_stack_may_need_is_not_even_looked_at() -> None:
    present = ["scaffold-app:1111-dev", "scaffold-app:1111-prod", "scaffold-app:1111-dev-2", "scaffold-app:1111"]
    assert images.of_stack(present, "dev") == ["scaffold-app:1111-dev"]
    assert images.of_stack(present, "dev-2") == ["scaffold-app:1111-dev-2"]
    assert images.of_stack(present, "2") == []


def test_a_state_that_cannot_be_read_speaks_for_no_removal(request_for: Request) -> None:
    stack = Stack("unit", request_for.places, Path("/none/pulumi"), {})
    checkpoint = state.checkpoint_of(request_for.places.backend, "unit")
    checkpoint.parent.mkdir(parents=True)
    for broken in ("{", '{"checkpoint": {}}', '{"checkpoint": {"latest": {"resources": []}}}'):
        checkpoint.write_text(broken)
        assert images.state_of(request_for, stack) == ""
    checkpoint.write_text('{"checkpoint": {"latest": {"resources": [{"outputs": {"name": "scaffold-app:1-unit"}}]}}}')
    assert "app:1" in images.state_of(request_for, stack)
