"""The list of attacks on the app as it runs, behind the gateway: really signed, and nothing comes of any of them."""

from __future__ import annotations

import ipaddress
import os
import re
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import pytest

from tests.app.saml import idp
from tests.app.saml.attacks import Attack, attack
from tests.app.saml.idp import ACS_URL, How, encoded, said_to, signed
from tests.conftest import run_docker
from tests.login.caller import Answer, Caller
from tests.login.conftest import World
from tests.login.ledger import Ledger
from tests.login.outward import Container, Listener
from tests.login.visit import SESSION, TRANSACTION

TIMES, MEDIAN, LONGEST = 5, 0.2, 1.0
BUSY = 3.0
WEB_PORT, DATABASE_PORT = 8000, 5432
TOO_LARGE = 413
LAST = "SELECT request_id, event, reason FROM audit_events ORDER BY id DESC LIMIT 1"
ATTACKERS = ipaddress.ip_network("198.18.0.0/15")
CALL = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5).close()"


@dataclass(frozen=True)
class Watched:
    """The app under attack, and what tells whether anything came of one."""

    port: int
    web: Container
    databases: set[str]
    ledger: Ledger
    listener: Listener

    def calls(self) -> set[tuple[str, int]]:
        """Return whom the app called, but for its database."""
        return {
            (one.address, one.port)
            for one in self.web.called()
            if (one.port, one.address in self.databases) != (DATABASE_PORT, True)
        }

    def written(self) -> tuple[str, ...]:
        """Return what was written down last: the request, the event and the reason."""
        return tuple(self.ledger.rows(LAST)[0])


@pytest.fixture(scope="module")
def watched(world: World) -> Iterator[Watched]:
    """The app, told of the provider whose key signs the attacks."""
    world.use("entra")
    (name,) = world.site.containers("web", running=True)
    (database,) = world.site.containers("database", running=True)
    web = Container(name, WEB_PORT)
    listener = Listener(web.outside())
    with Ledger(world.site) as ledger:
        yield Watched(world.site.port, web, Container(database, DATABASE_PORT).addresses(), ledger, listener)
    listener.close()


@pytest.fixture
def attacker(watched: Watched, request: pytest.FixtureRequest) -> Iterator[Caller]:
    """Somebody at an address of their own: the gateway bounds what one address sends."""
    number = request.session.items.index(request.node) + 1
    with Caller(watched.port, str(ATTACKERS[number])) as made:
        yield made


def load() -> str:
    """Say how busy the machine is, where that may be why something took long."""
    least = os.getloadavg()[0]
    return f"; the machine is busy, with a load of {least:.1f}" if least > BUSY else ""


def refused(watched: Watched, one: Attack, answer: Answer) -> None:
    """Hold that an answer gives nothing away, and that why it was refused is written down."""
    assert answer.status == one.status
    assert SESSION not in "".join(answer.headers.get_all("Set-Cookie", []))
    assert one.reason not in re.sub("<[^>]*>", "", answer.body)
    request_id, *found = watched.written()
    if request_id != answer.headers["X-Request-ID"]:
        # The gateway itself turns away what is larger than any form, before the app hears of it.
        assert one.status == TOO_LARGE
    else:
        assert found == ["authn_login_fail", one.reason]


def test_the_right_answer_signs_in(watched: Watched, attacker: Caller) -> None:
    asked = attacker.begin()
    answer = attacker.bring(encoded(signed(said_to(asked, attributes=idp.entras(role="Site.Admin")), How())), asked)
    assert (answer.status, answer.headers["Location"]) == (303, "/account")
    assert SESSION in attacker.cookies
    assert "Ada Lovelace" in attacker.get("/account").body


@pytest.mark.parametrize("one", attack.attacks, ids=lambda one: one.id)
def test_it_is_refused(watched: Watched, attacker: Caller, one: Attack) -> None:
    asked, before, called = attacker.begin(), watched.ledger.sessions(), watched.calls()
    form = {"SAMLResponse": one.make(asked, watched.listener.url), "RelayState": asked.relay_state}
    body, seconds = urlencode(form).encode(), []
    assert TRANSACTION in attacker.cookies
    for _ in range(TIMES):
        answer = attacker.post(urlsplit(ACS_URL).path, body)
        refused(watched, one, answer)
        seconds.append(answer.seconds)
    assert SESSION not in attacker.cookies
    assert watched.ledger.sessions() == before
    assert not watched.listener.was_called()
    assert watched.calls() <= called
    taken = [round(each, 3) for each in seconds]
    assert statistics.median(seconds) <= MEDIAN, f"{taken}{load()}"
    assert max(seconds) <= LONGEST, f"{taken}{load()}"


def test_a_call_that_the_app_made_would_be_seen(watched: Watched) -> None:
    there = watched.listener.address, watched.listener.port
    run_docker("exec", watched.web.name, "python3", "-c", CALL, there[0], str(there[1]))
    assert watched.listener.was_called()
    assert there in watched.calls()
