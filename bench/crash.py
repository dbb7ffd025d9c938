"""The app's process killed under load: how long until the page, until the app again, and was every request answered."""

from __future__ import annotations

import statistics
import time

from bench.asked import asking
from bench.row import Row, spread
from bench.stack import serving
from tests.e2e.site import Site

CONNECTIONS = 4
PAUSE_SECONDS = 0.04
RUNS = 5
SECONDS = 20


def crash(site: Site) -> tuple[float, float, int]:
    """Kill web's first process under load; return seconds to the page, seconds to the app, requests not answered."""
    (web,) = site.containers("web", running=True)
    with asking(site.port, connections=CONNECTIONS, pause=PAUSE_SECONDS) as asked:
        deadline = time.monotonic() + SECONDS
        while len([each for each in asked if each.status == 200]) < 100 and time.monotonic() < deadline:
            time.sleep(0.01)
        killed = time.monotonic()
        site.kill_process(web)
        while time.monotonic() < deadline:
            if any(e.status == 503 for e in asked) and asked[-1].status == 200:
                break
            time.sleep(0.01)
    page = min(each.answered for each in asked if each.status == 503)
    again = min(each.answered for each in asked if each.status == 200 and each.sent > page)
    return page - killed, again - killed, len([each for each in asked if each.status not in (200, 503)])


def rows() -> list[Row]:
    """Measure a few crashes."""
    with serving() as site:
        found = []
        for _ in range(RUNS):
            found.append(crash(site))
            site.wait_for(lambda answer: answer.status == 200)
            # Docker waits longer before each restart of a container that has run for less than 10 s.
            time.sleep(11)
    pages, returns, unanswered = zip(*found, strict=True)
    return [
        Row("app's process killed under load: first page", statistics.median(pages) * 1000, 300, "ms", spread(pages)),
        Row("app ready again: first real answer", statistics.median(returns), 1.5, "s", spread(returns)),
        Row(
            "app's process killed under load: requests not answered",
            sum(unanswered),
            0,
            "",
            f"{RUNS} crashes, {CONNECTIONS} connections, {CONNECTIONS / PAUSE_SECONDS:.0f} requests/s",
        ),
    ]
