"""A maintenance on purpose, on a real stack: on, a release behind it, a restart, off; staff work on meanwhile."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from operate import maintenance
from operate.request import Request
from setup import state
from setup.places import places_from
from setup.problem import Problem
from setup.terminal import Terminal
from tests.conftest import ROOT, run_docker
from tests.e2e.browser import chromium
from tests.e2e.release import is_page, is_site
from tests.e2e.site import PROJECT, Site
from tests.e2e.traffic import Traffic

MESSAGE = "We are moving to a bigger database.\nNothing you saved is lost."


class Operator:
    """Somebody who types the verb."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site = site
        self.environment = {**os.environ, "XDG_STATE_HOME": str(folder)}

    def says(self, *words: str, **variables: str) -> str:
        """Run the verb and return what it printed; raise Problem."""
        environment = self.environment | variables
        printed = StringIO()
        request = Request(
            "maintenance",
            self.site.stack,
            words,
            places_from(environment, ROOT),
            environment,
            Terminal(printed, environment),
        )
        assert maintenance.run(request) == 0
        return printed.getvalue()


@pytest.fixture
def operator(serving: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    """An operator of the serving stack, whose project is not called as the real one is."""
    monkeypatch.setattr(state, "NAME", PROJECT)
    made = Operator(serving, tmp_path)
    yield made
    made.says("OFF")


def test_a_maintenance_keeps_visitors_out_and_lets_staff_in_through_a_release_and_a_restart(
    operator: Operator, artefacts: Path
) -> None:
    site = operator.site
    gateway = f"{PROJECT}-{site.stack}-gateway"
    assert "No maintenance is on" in operator.says()
    with Traffic(site.port) as traffic:
        ahead = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(time.time() + 7200))
        said = operator.says("ON", MESSAGE=MESSAGE, UNTIL=ahead)
        page = site.get("/")
        assert is_page(page)
        assert "We are moving to a bigger database." in page.body
        assert f"{ahead[11:16]} (UTC)" in page.body
        assert 7000 < int(page.headers["Retry-After"]) <= 7200
        assert site.get("/readyz").status == 200
        pictures(site, artefacts)
        link = re.search(r"http://\S+(/gateway/staff\?pass=\S+)", said)
        assert link
        opened = site.get(link[1])
        assert (opened.status, opened.headers["Location"]) == (303, "/")
        staff = {"Cookie": opened.headers["Set-Cookie"].partition(";")[0]}
        assert is_site(site.get("/", staff))
        before = site.outputs()["release"]
        site.config("logLevel", "warning")
        site.up()
        after = site.outputs()["release"]
        assert after != before
        assert is_page(site.get("/"))
        assert after in site.get("/", staff).body
        assert MESSAGE.splitlines()[0] in operator.says()
    assert set(traffic.answers) == {"200", "503"}, traffic.answers
    run_docker("restart", gateway)
    wait_until_back(site)
    assert is_page(site.get("/"))
    site.pulumi("config", "rm", "logLevel")
    site.up()
    assert is_page(site.get("/"))
    with Traffic(site.port) as traffic:
        assert "No maintenance is on" in operator.says("OFF")
        assert is_site(site.get("/"))
    assert set(traffic.answers) <= {"200", "503"}, traffic.answers
    assert site.get(link[1]).headers["Set-Cookie"] is None
    run_docker("stop", gateway)
    try:
        with pytest.raises(Problem, match="does not run; nothing was changed"):
            operator.says("ON")
    finally:
        run_docker("start", gateway)
    wait_until_back(site)
    assert is_site(site.get("/"))


def wait_until_back(site: Site, seconds: float = 30) -> None:
    """Wait until a gateway that starts lets the probes of a load balancer through again."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if site.get("/readyz").status == 200:
                return
        assert time.monotonic() < deadline, f"the gateway is not back after {seconds} s"
        time.sleep(0.05)


def pictures(site: Site, folder: Path) -> None:
    """Have a browser show the page, in light and in dark, on a wide and on a narrow screen."""
    with chromium() as browser:
        for scheme in ("light", "dark"):
            for width in (1280, 390):
                page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 800})
                answer = page.goto(site.url)
                assert answer is not None
                assert answer.status == 503
                assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
                assert page.locator("time").count() == 1
                assert "Expected to end" in page.get_by_role("main").inner_text()
                page.screenshot(path=folder / f"planned-{scheme}-{width}.png", full_page=True)
                page.close()
