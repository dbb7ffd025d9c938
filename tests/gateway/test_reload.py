"""Changed settings are a reload, and no visitor's request is lost in it."""

from __future__ import annotations

from prober import work
from prober.background import Background
from prober.fate import Outcome
from prober.load import Load
from prober.target import Target
from tests.gateway.stage import HOST, SETTINGS, Container, Gateway

RELOADS = 6


def test_no_request_is_lost_while_settings_are_reloaded(own_gateway: Gateway, peer_a: Container) -> None:
    own_gateway.use("a", f"{peer_a.name}:8000")
    works = [work.get("/x", 90), work.fresh("/x", 10), work.post("/x", 50, "run")]
    load = Load(Target(own_gateway.target, 8080, HOST), works, lines=32)
    with Background(load) as running:
        for number in range(RELOADS):
            assert own_gateway.apply({**SETTINGS, "retry_after": 10 + number}).status == 200
            running.wait_for_answers(100)
    assert load.tally.served == load.tally.sent >= 100 * RELOADS, load.tally.plain()
    assert load.tally.failed == 0


def test_connections_stay_open_again_after_a_reload(own_gateway: Gateway, peer_a: Container) -> None:
    own_gateway.use("a", f"{peer_a.name}:8000")
    assert own_gateway.apply({**SETTINGS, "retry_after": 11}).status == 200
    outcomes: list[Outcome] = []
    load = Load(Target(own_gateway.target, 8080, HOST), [work.get("/x", 50)], lines=2, listen=outcomes.append)
    with Background(load) as running:
        running.wait_for_answers(50)
    assert max(outcome.turn for outcome in outcomes) >= 5, "each answer closes its connection"
    assert load.tally.served == load.tally.sent
