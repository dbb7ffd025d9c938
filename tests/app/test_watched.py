"""The app is watched by a running Prometheus with the rules that come with it, and what happens makes it alarm."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from tests.app.conftest import Image, Postgres, Web
from tests.app.prometheus import SECONDS, Server
from tests.conftest import ROOT, until
from tests.login.caller import TOKEN as TOKEN_OF_FORM

TOKEN = "a-token-for-whoever-watches-0123456789abcdef"
RULES = ROOT / "app" / "alerts" / "login.yml"
FORM = "/auth/login/password"
FAILED = 'sum(scaffold:auth_events%7Bevent="authn_login_fail"%7D)'


def try_a_password(web: Web) -> int:
    """Send the form with a wrong password, as a browser does, and return the answer's status."""
    form = web.ask(FORM)
    token = TOKEN_OF_FORM.search(form.body)
    assert token, form.body
    cookie = form.headers["set-cookie"].partition(";")[0]
    fields = {"csrf_token": token[1], "email": "ada@example.org", "password": "not the one"}
    sent = "application/x-www-form-urlencoded"
    return web.ask(FORM, "POST", body=urlencode(fields), Cookie=cookie, Content_Type=sent).status


def test_a_wrong_password_alarms_within_seconds_and_a_wrong_token_shows_nothing(
    image: Image, postgres: Postgres, prometheus: Path, tmp_path: Path
) -> None:
    """M25: as whoever watches a release sees it."""
    urls = postgres.database()
    image.upgrade(urls)
    files = {"metrics-token": TOKEN}
    web = image.web(
        urls, files=files, METRICS_TOKEN_FILE="/run/files/metrics-token", PASSWORD_LOGIN_ENABLED="true",
        ENVIRONMENT="development", SITE_URL="http://www.example.org",
    )  # fmt: skip
    (tmp_path / "right").mkdir()
    (tmp_path / "wrong").mkdir()
    address = f"{web.address}:8000"
    with (
        Server(prometheus, tmp_path / "right", address, TOKEN, RULES) as watching,
        Server(prometheus, tmp_path / "wrong", address, "not-the-token", RULES) as peeping,
    ):
        until(lambda: watching.health() == "up", "a look at the app", SECONDS)
        until(lambda: peeping.health().startswith("down"), "a look that is refused", SECONDS)
        assert "401" in peeping.health()
        until(lambda: watching.value(FAILED) == 0, "a count of nought", SECONDS)
        assert watching.firing() == set()
        assert try_a_password(web) == 403
        until(lambda: watching.firing() == {"BreakGlassAttempted"}, "the alarm", SECONDS)
        assert watching.value(FAILED) == 1
        assert peeping.value(FAILED) is None
