"""Which cluster of this machine a verb is meant for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from operate import cluster_down, cluster_up, clusters, test
from operate.request import Request, request_from
from setup.problem import Problem


def request_for(verb: str, folder: Path, *arguments: str) -> Request:
    """Return a request of a user whose home is a folder of the test."""
    return request_from(verb, arguments, {"HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")})


@pytest.mark.parametrize("verb", ["cluster-up", "cluster-down"])
def test_without_a_word_it_is_the_users_own_cluster(verb: str, tmp_path: Path) -> None:
    request = request_for(verb, tmp_path)
    found = clusters.meant(request)
    assert (found.shape.name, found.places) == ("scaffold", request.places)
    assert "STACK=k8s" in found.use


@pytest.mark.parametrize("verb", ["cluster-up", "cluster-down"])
def test_the_tests_cluster_is_meant_by_name_and_has_nothing_of_the_users(verb: str, tmp_path: Path) -> None:
    request = request_for(verb, tmp_path, "tests")
    found = clusters.meant(request)
    assert found.shape.name == "tests"
    assert found.places == test.own_places(request)
    assert {found.places.state, found.places.cache, found.places.venv}.isdisjoint(
        {request.places.state, request.places.cache, request.places.venv}
    )
    assert found.requirements == test.REQUIREMENTS


@pytest.mark.parametrize(("verb", "run"), [("cluster-up", cluster_up.run), ("cluster-down", cluster_down.run)])
@pytest.mark.parametrize("words", [("test",), ("tests", "please")])
def test_any_other_word_is_refused_by_name_before_anything_is_done(
    verb: str, run: Callable[[Request], int], words: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(Problem) as caught:
        run(request_for(verb, tmp_path, *words))
    assert caught.value.cause == f"{verb} was given {' '.join(words)!r}; it takes nothing, or 'tests'."
    assert f"make {verb} ARGS=tests" in caught.value.fix
    assert list(tmp_path.iterdir()) == []
