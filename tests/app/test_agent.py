"""A browser is told of by a name that its owner knows."""

from __future__ import annotations

import pytest
from scaffold import agent

LIKE_GECKO = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (f"Mozilla/5.0 (X11; Linux x86_64) {LIKE_GECKO} Chrome/156.0.0.0 Safari/537.36", "Chrome on Linux"),
        (f"Mozilla/5.0 (X11; Linux x86_64) {LIKE_GECKO} HeadlessChrome/156.0.0.0 Safari/537.36", "Chrome on Linux"),
        (f"Mozilla/5.0 (Windows NT 10.0) {LIKE_GECKO} Chrome/156.0 Safari/537.36 Edg/156.0", "Edge on Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox on a Mac"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Safari/604.1",
            "Safari on an iPhone",
        ),
        (f"Mozilla/5.0 (Linux; Android 16) {LIKE_GECKO} Chrome/156.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.14.1", "curl/8.14.1"),
        ("", "unknown"),
        ("x" * 200, "x" * 60),
    ],
)
def test_a_browser_is_named_with_what_it_runs_on(said: str, wanted: str) -> None:
    assert agent.words(said) == wanted
