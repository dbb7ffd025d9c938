"""Counts for Prometheus, and the rules that watch them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask
from scaffold import audit, metrics
from scaffold.saml import ends
from sqlalchemy import make_url

from tests.app.conftest import Postgres, running
from tests.conftest import ROOT

TOKEN = "t0ken-0f-tests-abcdefghijklmnopqrstuvwxyz"
RULES = ROOT / "app" / "alerts" / "login.yml"
LINE = re.compile(r'(\w+)\{event="(\w+)",method="([\w+.-]*)",reason="([\w+.-]*)"\} (\d+)')


@pytest.fixture
def watched(site: Flask, postgres: Postgres) -> Iterator[Flask]:
    """The site with a token for its counts."""
    settings = site.extensions["settings"]
    url = make_url(site.extensions["urls"].app).set(host=postgres.address)
    with running(replace(settings, database_url=url, metrics_token=TOKEN)) as app:
        yield app


def counts(site: Flask) -> dict[tuple[str, str, str], int]:
    """Ask for the counts."""
    answer = site.test_client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found = {}
    for line in answer.text.splitlines():
        if not line.startswith("#"):
            match = LINE.fullmatch(line)
            assert match, line
            assert match[1] == metrics.EVENTS
            found[match[2], match[3], match[4]] = int(match[5])
    return found


def test_there_is_no_such_page_without_a_token_of_the_settings_and_none_is_shown_without_it(
    site: Flask, watched: Flask
) -> None:
    assert site.test_client().get("/metrics").status_code == 404
    for given in ("", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ünïcode"):
        answer = watched.test_client().get("/metrics", headers={"Authorization": given.encode().decode("latin-1")})
        assert answer.status_code == 401, given
        assert metrics.EVENTS not in answer.text


def test_the_counts_are_the_same_whichever_worker_is_asked_and_go_on(site: Flask, watched: Flask) -> None:
    assert set(counts(watched).values()) == {0}
    for app in (site, watched, site):
        with app.app_context():
            audit.record("authn_login_fail", method="password", reason="wrong_password")
            audit.record("authn_login_success", method="saml")
    found = counts(watched)
    assert found["authn_login_fail", "password", "wrong_password"] == 3
    assert found["authn_login_success", "saml", ""] == 3
    assert found["authn_login_fail", "", ""] == 0, "a sum over all of an event was there before the first"


def rules() -> list[dict[str, Any]]:
    """Return the rules."""
    document = yaml.safe_load(Path(RULES).read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def test_every_rule_says_what_to_do_and_asks_about_events_that_there_are() -> None:
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len({rule["alert"] for rule in alerts}) == len(alerts)
    for rule in alerts:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["what_to_do"]
    asked = set()
    for rule in rules():
        for said in re.findall(r'event=~?"([\w|]+)"', rule["expr"]):
            asked |= set(said.split("|"))
        assert any(name in rule["expr"] for name in (metrics.EVENTS, "scaffold:auth_events", ends.METRIC))
    assert asked <= set(audit.EVENTS)
    for event in ("authn_break_glass_opened", "authn_break_glass_used", "authn_login_lock", "authn_recovery_code_used"):
        assert event in asked
