"""A maintenance on purpose: the page for all but the probes and who may look past it, and nothing is lost."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

import pytest
from watcher import maintenance
from watcher.maintenance import FlagError

from operate import maintenance as operating
from operate.flag import Flag
from tests.conftest import ROOT, run_docker
from tests.gateway.stage import HOST, PAGE, SETTINGS, Container, Gateway, Stage, control_answers, eventually
from tests.gateway.test_page import BROWSER, UPGRADE
from tests.gateway.test_recovery import of_kind
from tests.gateway.test_switch import counts, named, switch

TEMPLATE = (ROOT / "gateway" / "maintenance.html.tmpl").read_text(encoding="utf-8")
WHOLE_PAGE = Template(TEMPLATE).substitute(brand="B", title="T", message="the usual words", contact="")
COOKIE = "maintenance_bypass"


def begun(**given: str) -> tuple[Flag, str]:
    """A flag as the verb makes it, and the value that is let past."""
    return operating.begin(given, time.time())


def turn_on(gateway: Gateway, **given: str) -> str:
    """Have a gateway be in maintenance; return the value that is let past."""
    flag, value = begun(**given)
    answer = gateway.control("PUT", "/maintenance", flag.document())
    assert answer.status == 200, answer.body
    return value


def turn_off(gateway: Gateway) -> None:
    assert gateway.control("DELETE", "/maintenance").status == 200


@pytest.fixture
def on_off(gateway: Gateway) -> Iterator[Gateway]:
    """The usual gateway, which serves everybody again after the test."""
    yield gateway
    gateway.apply()
    turn_off(gateway)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "upgrade"])
def test_every_visitor_gets_the_page_and_the_app_hears_of_none(on_off: Gateway, peer_a: Container, method: str) -> None:
    turn_on(on_off)
    before = counts(peer_a)
    body = b"x" * 5000 if method in ("POST", "PUT") else None
    verb, headers = ("GET", UPGRADE) if method == "upgrade" else (method, None)
    for path in ("/", "/static/site.css", "/auth/login/saml/acs", "/x/../healthz", "/healthz/", "//readyz"):
        reply = on_off.ask(path, verb, headers, body)
        assert reply.status == 503, path
        assert reply.header("Retry-After") == "30"
        assert reply.header("Cache-Control") == "no-store"
        assert reply.header("Content-Type") == "text/html; charset=utf-8"
        assert (reply.body == b"") == (method == "HEAD")
    after = counts(peer_a)
    assert {key for key in after if after[key] != before.get(key)} <= {"GET /counts"}
    assert on_off.ask("/x", host="other.test").status == 421


def test_probes_are_answered_as_ever_whatever_the_host_is_called(on_off: Gateway) -> None:
    turn_on(on_off)
    for host in (HOST, "10.0.0.7"):
        assert on_off.ask("/readyz", host=host).document() == {"status": "ready", "release": "a"}
        assert on_off.ask("/healthz?x=1", host=host).status == 200
        assert on_off.ask("/gateway/healthz", host=host).status == 200


def test_message_and_end_stand_on_the_page_escaped_and_the_end_is_when_to_come_back(on_off: Gateway) -> None:
    assert on_off.apply(page=WHOLE_PAGE).status == 200
    ahead = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(time.time() + 7300))
    turn_on(on_off, MESSAGE="We <b>move</b> & \"mend\".\nSoon 'back'.", UNTIL=ahead)
    reply = on_off.ask("/", headers={"Accept": BROWSER})
    page = reply.body.decode()
    assert "We &lt;b&gt;move&lt;/b&gt; &amp; &quot;mend&quot;.\nSoon &#x27;back&#x27;." in page
    assert "the usual words" not in page
    moment = f"{ahead[:10]}T{ahead[11:16]}:00Z"
    assert re.search(rf'<p class="expected">Expected to end: <time datetime="{moment}">\d+ \w+ \d{{4}}, ', page)
    assert f"{ahead[11:16]} (UTC)</time>" in page
    assert "<!--#" not in page
    assert str(reply.header("X-Request-ID")) in page
    assert 7200 < int(str(reply.header("Retry-After"))) <= 7300
    told = on_off.ask("/api/things").document()
    assert (told["status"], told["detail"]) == (503, "We <b>move</b> & \"mend\".\nSoon 'back'.")
    assert told["expected_end"] == moment
    assert 7200 < told["retry_after"] <= 7300
    # What the app cannot answer is no maintenance, and says so.
    turn_off(on_off)
    page = on_off.ask("/reset", headers={"Accept": BROWSER}).body.decode()
    assert "the usual words" in page
    assert "Expected to end" not in page
    # A page that has no place for a message does not lose it.
    on_off.apply(page=PAGE)
    turn_on(on_off, MESSAGE="not lost")
    assert on_off.ask("/").body.decode().endswith("<p>not lost</p>\n")


def test_an_end_that_has_passed_is_not_promised_any_more(on_off: Gateway) -> None:
    flag, _ = begun()
    past = flag.document() | {"expected": int(time.time()) + 2, "expected_words": "soon"}
    assert on_off.control("PUT", "/maintenance", past).status == 200
    assert on_off.ask("/").header("Retry-After") in ("1", "2")
    eventually(lambda: on_off.ask("/").header("Retry-After") == "30")
    assert "expected_end" not in on_off.ask("/api/x").document()


def test_a_new_page_keeps_the_message(on_off: Gateway) -> None:
    turn_on(on_off, MESSAGE="kept words")
    assert on_off.apply(page=WHOLE_PAGE.replace("<title>T", "<title>New")).status == 200
    page = on_off.ask("/").body
    assert b"<title>New" in page
    assert b"kept words" in page


def test_the_link_leaves_a_cookie_that_opens_the_whole_site(on_off: Gateway) -> None:
    value = turn_on(on_off)
    link = on_off.ask(f"/gateway/staff?pass={value}")
    assert (link.status, link.header("Location"), link.header("Cache-Control")) == (303, "/", "no-store")
    parts = str(link.header("Set-Cookie")).split("; ")
    assert parts[0] == f"{COOKIE}={value}"
    assert set(parts[1:]) - {parts[2]} == {"Path=/", "HttpOnly", "SameSite=Lax"}
    assert 86000 < int(parts[2].removeprefix("Max-Age=")) <= 86400
    shown = {"Cookie": f"session=abc; {COOKIE}={value}; theme=dark"}
    reply = on_off.ask("/x?y=1", "POST", shown, b"sent")
    assert reply.status == 200
    assert reply.seen()["cookie"] == "session=abc; theme=dark"
    assert reply.document()["digest"] == hashlib.sha256(b"sent").hexdigest()
    assert "cookie" not in on_off.ask("/x", headers={"Cookie": f"{COOKIE}={value}"}).seen()
    assert on_off.ask("/x").status == 503
    assert on_off.ask("/error", headers=shown).status == 500


def test_a_value_that_is_wrong_old_late_or_too_long_opens_nothing(on_off: Gateway) -> None:
    former = turn_on(on_off)
    value = turn_on(on_off)
    assert former != value
    wrong = [former, value[:-1], value + "A", "", value.replace(".", "", 1), "x" * 5000, value.swapcase()]
    for each in wrong:
        assert on_off.ask("/x", headers={"Cookie": f"{COOKIE}={each}"}).status == 503, each
        assert on_off.ask(f"/gateway/staff?pass={each}").status == 403, each
    assert on_off.ask("/x", headers={"Cookie": f"{COOKIE.upper()}={value}"}).status == 503
    assert on_off.ask("/gateway/staff").status == 403
    assert on_off.ask(f"/gateway/staff?pass={value}", "POST", body=b"").status == 405
    assert on_off.ask("/x", headers={"Cookie": f"{COOKIE}=no; {COOKIE}={value}"}).status == 200
    flag, value = begun()
    late = flag.document() | {"bypass_until": int(time.time()) - 1}
    assert on_off.control("PUT", "/maintenance", late).status == 200
    assert on_off.ask("/x", headers={"Cookie": f"{COOKIE}={value}"}).status == 503
    turn_off(on_off)
    over = on_off.ask(f"/gateway/staff?pass={value}")
    assert (over.status, over.header("Location"), over.header("Set-Cookie")) == (303, "/", None)


def test_the_cookie_never_reaches_the_app_nor_any_log_also_when_no_maintenance_is_on(on_off: Gateway) -> None:
    value = turn_on(on_off)
    shown = {"Cookie": f"{COOKIE}={value}; a=b", "Referer": f"http://x/gateway/staff?pass={value}"}
    on_off.ask(f"/gateway/staff?pass={value}", headers=shown)
    on_off.ask(f"/gateway/staff?pass={value}%", "PUT", headers=shown)
    for _ in range(2):
        for host in (HOST, "other.test"):
            for path in ("/healthz", "/readyz", "/x", f"/x?pass={value}"):
                reply = on_off.ask(path, headers=shown, host=host)
                if reply.status == 200 and b'"headers"' in reply.body:
                    assert reply.seen()["cookie"] == "a=b"
        turn_off(on_off)
    on_off.ask("/reset", headers=shown)
    secret = value.rpartition(".")[2]
    whole = eventually(lambda: log if '"/reset"' in (log := run_docker("logs", on_off.name)) else None)
    assert secret not in whole
    assert secret not in on_off.control("GET", "/status").body.decode()
    assert secret not in run_docker(
        "exec", on_off.name, "sh", "-c", "cat /dev/shm/gateway/* /var/lib/gateway/*.json 2>&1; true"
    )


def test_the_cookie_is_secure_where_the_site_is(stage: Stage, peer_a: Container) -> None:
    gateway = stage.gateway(settings={**SETTINGS, "site_url": f"https://{HOST}"})
    gateway.use("a", f"{peer_a.name}:8000")
    value = turn_on(gateway)
    reply = gateway.ask(f"/gateway/staff?pass={value}")
    assert "; Secure" in str(reply.header("Set-Cookie"))
    assert reply.header("Strict-Transport-Security")
    gateway.remove()


def test_address_ranges_are_let_past_by_the_address_that_trusted_proxies_tell(stage: Stage, peer_a: Container) -> None:
    network = run_docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", stage.network)
    gateway = stage.gateway(settings={**SETTINGS, "trusted_proxies": [network]})
    gateway.use("a", f"{peer_a.name}:8000")
    turn_on(gateway, ALLOW="203.0.113.64/26, 2001:db8::/33")
    for address, status in (
        ("203.0.113.64", 200), ("203.0.113.127", 200), ("203.0.113.128", 503), ("203.0.113.63", 503),
        ("2001:db8:7fff::1", 200), ("2001:db8:8000::1", 503), ("::ffff:203.0.113.70", 200), ("198.51.100.1", 503),
    ):  # fmt: skip
        assert gateway.ask("/x", headers={"X-Forwarded-For": address}).status == status, address
    assert gateway.ask("/x", headers={"X-Forwarded-For": "203.0.113.65, 198.51.100.1"}).status == 503
    # Nobody who is not trusted can say where he is.
    gateway.apply()
    assert gateway.ask("/x", headers={"X-Forwarded-For": "203.0.113.65"}).status == 503
    own = gateway.log()[-1]["client"]
    turn_on(gateway, ALLOW=f"{own}/32")
    assert gateway.ask("/x").status == 200
    gateway.remove()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": "A B"}, "id: got"),
        ({"since": -1}, "since: got -1"),
        ({"expected": True}, "expected: got true"),
        ({"expected": 10**20}, "expected: got"),
        ({"message": "x" * 1001}, "message: wanted a text of at most 1000"),
        ({"message": "a\x00b"}, "message: wanted a text"),
        ({"expected_words": 5}, "expected_words: wanted"),
        ({"allow": ["0.0.0.0/0"]}, "lets everybody past"),
        ({"allow": ["10.0.0.1/8"]}, "has host bits set"),
        ({"allow": "10.0.0.0/8"}, "allow: got"),
        ({"bypass_digest": "00"}, "bypass_digest: got"),
        ({"more": 1}, "wanted an object with"),
    ],
)
def test_a_flag_that_cannot_be_used_is_refused_and_changes_nothing(
    on_off: Gateway, changes: dict[str, Any], words: str
) -> None:
    flag, _ = begun()
    answer = on_off.control("PUT", "/maintenance", flag.document() | changes)
    assert answer.status == 422
    assert words in answer.document()["error"]
    assert on_off.ask("/x").status == 200
    assert on_off.status()["maintenance"] is None


def test_whatever_a_flag_says_nginx_reads_no_more_than_it() -> None:
    flag, _ = begun(MESSAGE='a\nallow 00000000 0\nid "x" <!--# echo var="request_id" -->')
    lines = maintenance.nginx_text(maintenance.check(flag.document())).splitlines()
    assert [line.partition(" ")[0] for line in lines] == [
        "id", "detail", "expected", "expected_html", "expected_iso", "bypass_digest", "bypass_until",
    ]  # fmt: skip
    page = maintenance.page(WHOLE_PAGE, maintenance.check(flag.document()))
    assert page.count('<!--# echo var="request_id" -->') == 1
    assert "&lt;!--# echo" in page
    with pytest.raises(FlagError, match="is not JSON"):
        maintenance.parse("{")


def test_requests_under_way_end_as_they_would_have(on_off: Gateway, peer_a: Container) -> None:
    before = counts(peer_a).get("GET /slow", 0)
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(on_off.ask("/slow?seconds=1.5").status))
    thread.start()
    eventually(lambda: counts(peer_a).get("GET /slow", 0) > before)
    turn_on(on_off)
    assert on_off.ask("/x").status == 503
    thread.join(10)
    assert statuses == [200]


def test_turning_it_on_and_off_under_load_loses_no_request_and_closes_no_connection(on_off: Gateway) -> None:
    ended, seen, failures, opened = threading.Event(), {200: 0, 503: 0}, [], []

    def visit(method: str) -> None:
        connection = http.client.HTTPConnection(on_off.target, 8080, timeout=20)
        while not ended.is_set():
            if connection.sock is None:
                opened.append(method)
            try:
                connection.request(method, "/work", b"x" * 70000 if method == "POST" else None, {"Host": HOST})
                answer = connection.getresponse()
                answer.read()
                seen[answer.status] += 1
            except (OSError, http.client.HTTPException, KeyError) as error:
                failures.append(f"{method}: {type(error).__name__}: {error}")
                connection.close()
        connection.close()

    threads = [threading.Thread(target=visit, args=(method,)) for method in ("GET", "POST") * 3]
    for thread in threads:
        thread.start()
    workers = on_off.status()["nginx"]["workers"]
    for _ in range(15):
        turn_on(on_off)
        assert on_off.ask("/who").status == 503
        time.sleep(0.05)
        turn_off(on_off)
        assert on_off.ask("/who").status == 200
        time.sleep(0.05)
    ended.set()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert len(opened) == 6
    assert min(seen.values()) > 100
    assert on_off.status()["nginx"]["workers"] == workers


def test_a_release_is_switched_as_ever_behind_the_page(stage: Stage, on_off: Gateway) -> None:
    peer = stage.peer("behind")
    value = turn_on(on_off)
    status, log = switch(stage, on_off, "behind", named([peer]))
    assert status == 0, log
    assert on_off.status()["release"] == "behind"
    assert counts(peer).get("GET /auth/login", 0) == 1, "its warm path was asked of it directly"
    assert on_off.ask("/who").status == 503
    assert on_off.ask("/who", headers={"Cookie": f"{COOKIE}={value}"}).document()["release"] == "behind"
    status, log = switch(stage, on_off, "wrong", named([peer]))
    assert status == 1, log
    assert on_off.status()["release"] == "behind"


def test_it_stays_on_through_a_killed_nginx_a_restart_and_a_crash(own_gateway: Gateway, peer_a: Container) -> None:
    own_gateway.use("a", f"{peer_a.name}:8000")
    value = turn_on(own_gateway, MESSAGE="still")
    answers: list[int] = []
    for what in ("master", "restart", "crash"):
        if what == "master":
            former = of_kind(own_gateway, "nginx: master")[0]
            os.kill(former, signal.SIGKILL)
            eventually(lambda: "nginx serves again" in str(own_gateway.log()))
        elif what == "restart":
            run_docker("restart", own_gateway.name)
        else:
            own_gateway.crash()
            run_docker("start", own_gateway.name)
        own_gateway.known_address = ""
        eventually(lambda: answered(own_gateway, answers))
        assert set(answers) == {503}, "there is no moment at which visitors are let in"
        assert b"<p>still</p>" in own_gateway.ask("/x").body
        assert own_gateway.ask("/x", headers={"Cookie": f"{COOKIE}={value}"}).status == 200
    eventually(lambda: control_answers(own_gateway))
    turn_off(own_gateway)
    run_docker("restart", own_gateway.name)
    own_gateway.known_address = ""
    eventually(own_gateway.is_serving)
    assert own_gateway.ask("/x").status == 200


def answered(gateway: Gateway, answers: list[int]) -> bool:
    """Whether the site answers at all; what it answers is kept."""
    try:
        answers.append(gateway.ask("/x", timeout=2).status)
    except (OSError, http.client.HTTPException):
        return False
    return True


def test_a_mounted_flag_is_followed_and_nothing_else_is_taken(stage: Stage, peer_a: Container, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    file = tmp_path / "maintenance.json"
    gateway = stage.gateway("-v", f"{tmp_path}:/var/lib/gateway/flag:ro")
    gateway.use("a", f"{peer_a.name}:8000")
    assert gateway.ask("/gateway/maintenance").body == b"off\n"
    flag, value = begun(MESSAGE="from a file")
    replace(file, json.dumps(flag.document(), indent=4))
    eventually(lambda: gateway.ask("/gateway/maintenance", host="10.0.0.7").body == f"on {flag.id}\n".encode())
    assert b"from a file" in gateway.ask("/x").body
    assert gateway.ask("/x", headers={"Cookie": f"{COOKIE}={value}"}).status == 200
    told = gateway.control("DELETE", "/maintenance")
    assert told.status == 409
    assert "ConfigMap" in told.document()["error"]
    replace(file, '{"id": 5}')
    eventually(lambda: "the maintenance cannot be used; what was so before holds" in str(gateway.log()))
    assert gateway.ask("/x").status == 503
    run_docker("restart", gateway.name)
    gateway.known_address = ""
    eventually(gateway.is_serving)
    file.unlink()
    eventually(lambda: gateway.ask("/gateway/maintenance").body == b"off\n")
    assert gateway.ask("/x").status == 200
    uses = [entry for entry in gateway.log() if entry["event"] in ("a maintenance is on", "no maintenance is on")]
    assert len(uses) == 2, "what has not changed is told once"
    gateway.remove()


def replace(file: Path, text: str) -> None:
    """Put a file in another's place, as a kubelet does."""
    fresh = file.with_name("new")
    fresh.write_text(text)
    fresh.replace(file)


def test_the_verb_of_the_image_turns_it_on_and_off_and_says_why_not(own_gateway: Gateway) -> None:
    def said(*arguments: str) -> dict[str, Any]:
        command = ("exec", own_gateway.name, "python3", "-m", "watcher", "maintenance", *arguments)
        last: dict[str, Any] = json.loads(run_docker(*command, check=False).splitlines()[-1])
        return last

    flag, _ = begun()
    assert said(json.dumps(flag.document()))["event"] == "the maintenance is on"
    assert own_gateway.status()["maintenance"]["id"] == flag.id
    assert said("off")["event"] == "the maintenance is off"
    assert said("{}")["problem"].startswith("maintenance: got {}, wanted an object")
    assert "not JSON" in said("nonsense")["problem"]
    assert own_gateway.status()["maintenance"] is None


def test_log_and_counters_tell_what_was_on_purpose(on_off: Gateway) -> None:
    before = on_off.status()
    value = turn_on(on_off)
    on_off.ask("/on-purpose")
    on_off.ask("/let-past", headers={"Cookie": f"{COOKIE}={value}"})
    turn_off(on_off)
    on_off.ask("/reset")
    on_off.ask("/as-ever")

    def added(name: str) -> int:
        return int(on_off.status()[name] - before[name])

    names = ("maintenance_pages", "maintenance_pages_planned", "maintenance_bypassed")
    eventually(lambda: [added(name) for name in names] == [2, 1, 1])
    metrics = on_off.control("GET", "/metrics").body.decode()
    assert "gateway_maintenance_on 0\n" in metrics
    assert f"gateway_maintenance_pages_planned_total {before['maintenance_pages_planned'] + 1}\n" in metrics
    entries = {entry["path"]: entry for entry in on_off.log() if entry["event"] == "request"}
    assert {path: entries[path]["maintenance"] for path in ("/on-purpose", "/let-past", "/reset", "/as-ever")} == {
        "/on-purpose": "page", "/let-past": "bypass", "/reset": "", "/as-ever": "",
    }  # fmt: skip
