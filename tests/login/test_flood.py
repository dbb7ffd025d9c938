"""M20: ten thousand wrong passwords from as many addresses get nowhere, and nobody else notices."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import pytest
from scaffold import throttle

from tests.app.saml.idp import encoded, said_to, signed
from tests.conftest import run_docker
from tests.e2e.site import Site
from tests.login.caller import Caller
from tests.login.conftest import World
from tests.login.flood import Flood
from tests.login.ledger import Ledger
from tests.login.signer import Person
from tests.login.visit import SESSION

TRIES = 10_000
OWNER = "ada.byron@example.org"
PAUSE_SECONDS = 0.5
# In the middle of a flood that takes all of the machine that it is let have.
PAGE_SECONDS = 2.0
TRANSACTIONS = 2.0
COUNTS = {
    "audit_events": "SELECT count(*) FROM audit_events",
    "pending_sign_ins": "SELECT count(*) FROM pending_sign_ins",
    "throttles": "SELECT count(*) FROM throttles",
}
FLASK = ("flask", "--app", "scaffold:create_app")


def command(site: Site, *words: str) -> str:
    """Run one of the app's commands."""
    (web, *_) = site.containers("web", running=True)
    return run_docker("exec", web, *FLASK, *words)


@pytest.fixture
def opened(world: World) -> Iterator[Site]:
    """The stack, with a local account that may sign in with its password for an hour."""
    world.use("entra")
    command(world.site, "users", "add", OWNER, "--name", "Ada King")
    command(world.site, "breakglass", "open", "--user", OWNER, "--minutes", "60", "--reason", "a flood of a test")
    yield world.site
    command(world.site, "breakglass", "close")


def transactions(ledger: Ledger) -> int:
    """Return how many transactions the database has ended."""
    ledger.rows("SELECT pg_stat_clear_snapshot()")
    return ledger.number("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()")


@pytest.mark.slow
def test_ten_thousand_wrong_passwords_get_nowhere_and_the_owner_signs_in_meanwhile(opened: Site) -> None:
    owner = Person("c0ffee00-aaaa-bbbb-cccc-ddddeeeeffff", "Ada King", OWNER)
    logins, pages = 0, []
    with Ledger(opened) as ledger:
        before = {table: ledger.number(count) for table, count in COUNTS.items()}
        done = transactions(ledger)
        with Flood(opened.port, lambda _: OWNER, most=TRIES) as flood:
            while flood.sent < TRIES:
                sent = flood.sent
                with Caller(opened.port, "203.0.113.7") as caller:
                    asked = caller.begin()
                    said = said_to(asked, name_id=owner.id, attributes=owner.attributes)
                    entered = caller.bring(encoded(signed(said)), asked)
                    assert (entered.status, SESSION in caller.cookies) == (303, True), entered.body
                    page = caller.get("/account")
                    assert page.status == 200, page.body
                    assert OWNER in page.body
                    pages.append(page.seconds)
                    logins += sent < TRIES
                time.sleep(PAUSE_SECONDS)
        done = transactions(ledger) - done
        added = {table: ledger.number(count) - before[table] for table, count in COUNTS.items()}
    # So many are looked at, however many come at once; all others are told to come later.
    assert flood.answers["403"] <= throttle.ACCOUNT.free
    assert flood.answers["403"] + flood.answers["429"] == TRIES, flood.answers
    assert logins >= 5
    assert statistics.median(pages) <= PAGE_SECONDS
    assert added["throttles"] <= 1 + throttle.ACCOUNT.free
    assert added["pending_sign_ins"] == 0
    assert added["audit_events"] <= 2 * throttle.ACCOUNT.free + 3 * len(pages)
    assert done <= TRANSACTIONS * TRIES + 100 * len(pages)
    with Caller(opened.port, "203.0.113.8") as caller:
        token = caller.get("/auth/login/password").token
        late = caller.post("/auth/login/password", {"csrf_token": token, "email": OWNER, "password": "x"})
    assert late.status == 429
    assert int(late.headers["Retry-After"]) > 60
