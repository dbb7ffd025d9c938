"""The image as production runs it: read-only, without rights, with its database up, away, and back."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import PASSWORDS, SECRET_KEY, Docker, Image, Postgres, Urls, Web
from tests.conftest import until

PAGE = '<!doctype html><style>p{color:red}</style><p>Rendered <!--# echo var="request_id" --></p>'
REFERENCE = "0123456789abcdef"


def test_it_serves_with_a_read_only_root_and_no_rights(docker: Docker, web: Web) -> None:
    status = docker("exec", web.name, "cat", "/proc/1/status")
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert docker("exec", web.name, "id", "-u") == "10001"
    assert "Read-only" in docker("exec", web.name, "sh", "-c", "touch /app/x 2>&1 || true")
    assert docker("exec", web.name, "sh", "-c", "find / -xdev -perm /6000 -type f 2>/dev/null; true") == ""
    assert docker("exec", web.name, "sh", "-c", "ls /app/venv/bin | grep -c pip || true") == "0"
    page = web.ask("/")
    assert page.status == 200
    assert "r7" in page.body


def test_the_probe_tells_a_good_answer_from_a_bad_one(docker: Docker, web: Web) -> None:
    docker("exec", web.name, "probe-http", "8000", "/readyz")
    assert docker("exec", web.name, "sh", "-c", "probe-http 8000 /nowhere; echo $?") == "1"
    assert docker("exec", web.name, "sh", "-c", "probe-http 8001 /readyz; echo $?") == "1"


def test_a_hostile_host_changes_no_url_and_the_gateways_client_is_logged(web: Web) -> None:
    answer = web.ask("/nowhere", Host="evil.example", X_Forwarded_Host="evil.example", X_Forwarded_For="203.0.113.9",
                     X_Request_ID=REFERENCE)  # fmt: skip
    assert answer.status == 404
    assert answer.headers["x-request-id"] == REFERENCE
    assert "evil" not in answer.body
    (line,) = [line for line in web.lines() if line.get("request_id") == REFERENCE and line["event"] == "request"]
    assert line["client"] == "203.0.113.9"


def test_a_long_request_line_is_taken(web: Web) -> None:
    assert web.ask("/healthz?SAMLRequest=" + "a" * 8000).status == 200
    assert web.ask("/healthz?SAMLRequest=" + "a" * 9000).status == 414


@pytest.mark.parametrize(
    ("line", "more", "status"),
    [
        ("GET /\u00ff?token=hunter2 HTTP/1.1", "", 400),
        ("HUNTER2HUNTER2HUNTER2 / HTTP/1.1", "", 400),
        (f"GET /?token=hunter2{'x' * 9000} HTTP/1.1", "", 414),
        ("GET /?token=hunter2 HTTP/1.1", "".join(f"X-{number}: hunter2\r\n" for number in range(100)), 431),
        ("GET /?token=hunter2 HTTP/1.1", "Transfer-Encoding: hunter2\r\n", 501),
    ],
)
def test_what_gunicorn_refuses_is_answered_in_a_few_words_and_logged_as_nobodys(
    web: Web, line: str, more: str, status: int
) -> None:
    before = len(web.lines())
    # Every thread has answered a request with a reference, and none of them is this one's.
    for number in range(40):
        web.ask("/nowhere", X_Request_ID=f"somebody-else-{number}")
    with socket.create_connection((web.address, 8000), 5) as connection:
        connection.sendall(f"{line}\r\nHost: www.example.org\r\n{more}\r\n".encode("latin-1"))
        answer = connection.makefile("rb").read()
    head, _, body = answer.decode().partition("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert body.startswith(f"{status} ")
    assert "text/plain" in head
    for header in ("Content-Security-Policy", "X-Content-Type-Options: nosniff", "Cache-Control: no-store"):
        assert header in head
    assert "hunter2" not in answer.decode().lower()

    def refusals() -> list[dict[str, Any]]:
        return [found for found in web.lines()[before:] if found["event"].startswith("Invalid request")]

    (said,) = until(refusals, "the line about it")
    assert "request_id" not in said
    assert "token=" not in json.dumps(web.lines())


def test_nothing_secret_is_in_the_containers_description_or_its_logs(docker: Docker, web: Web) -> None:
    web.ask("/")
    shown = docker("inspect", web.name) + json.dumps(web.lines())
    assert SECRET_KEY not in shown
    assert PASSWORDS["app_a"] not in shown


def test_a_setting_that_cannot_be_used_stops_the_start_with_a_line_that_names_it(image: Image) -> None:
    code, lines = image.finished(image.start(ENVIRONMENT="production", SECRET_KEY="hunter2"))
    assert code == 1
    problems = [line["problem"] for line in lines]
    assert any(problem.startswith("SECRET_KEY: got a key of 7 characters") for problem in problems)
    assert "hunter2" not in json.dumps(lines)


def test_a_database_behind_the_image_makes_it_unready_and_a_migration_makes_it_ready(
    image: Image, postgres: Postgres
) -> None:
    urls = postgres.database()
    web = image.web(urls)
    answer = web.ask("/readyz")
    assert (answer.status, json.loads(answer.body)["reason"]) == (503, "schema")
    image.upgrade(urls)
    answer = web.ask("/readyz")
    assert (answer.status, json.loads(answer.body)) == (200, {"status": "ready", "release": "r7"})


def test_while_the_database_is_away_people_get_the_page_at_once_and_then_the_app_again(
    docker: Docker, image: Image, own_postgres: Postgres
) -> None:
    urls = own_postgres.database()
    image.upgrade(urls)
    web = image.web(urls, files={"maintenance.html": PAGE})
    until(lambda: web.status("/") == 200, "the first page")

    docker("stop", own_postgres.name, timeout=60)
    until(lambda: web.status("/") == 503, "the maintenance page")
    answers = [web.ask("/", X_Request_ID=REFERENCE) for _ in range(10)]
    until(lambda: quickly(web), "an answer at once, from every worker")
    assert {(answer.status, answer.body) for answer in answers} == {(503, PAGE.split("<!--#")[0] + REFERENCE + "</p>")}
    assert answers[0].headers["retry-after"] == "30"
    assert answers[0].headers["cache-control"] == "no-store"
    assert web.ask("/", method="HEAD").body == ""
    assert web.ask("/", method="POST").status == 503
    document = web.ask("/", Accept="application/json")
    assert document.headers["content-type"] == "application/problem+json"
    began = time.monotonic()
    unready = web.ask("/readyz")
    assert (unready.status, json.loads(unready.body)["reason"]) == (503, "database")
    assert time.monotonic() - began < 1.5
    assert web.ask("/healthz", timeout=1).status == 200

    docker("start", own_postgres.name)
    began = time.monotonic()
    until(own_postgres.answers, "PostgreSQL")
    until(lambda: all(web.status("/") == 200 for _ in range(5)), "the app again", 10)
    assert {"database offline", "database back"} <= {line["event"] for line in web.lines()}


def quickly(web: Web) -> bool:
    """Tell whether ten answers in a row were the page, in less time than one that waits for the database takes."""
    began = time.monotonic()
    statuses = [web.status("/") for _ in range(10)]
    assert set(statuses) == {503}
    return time.monotonic() - began < 1.5


def test_a_database_that_hangs_is_noticed_by_every_worker(docker: Docker, image: Image, own_postgres: Postgres) -> None:
    urls = own_postgres.database()
    image.upgrade(urls)
    web = image.web(urls)
    until(lambda: web.status("/") == 200, "the first page")
    docker("pause", own_postgres.name)
    try:
        # Nobody asks meanwhile: what hangs is found by each worker's own look at the database.
        until(lambda: sum(line["event"] == "database offline" for line in web.lines()) == 2, "both workers", 15)
        until(lambda: quickly(web), "an answer at once, from every worker")
        assert web.ask("/healthz", timeout=1).status == 200
    finally:
        docker("unpause", own_postgres.name)
    until(lambda: all(web.status("/") == 200 for _ in range(5)), "the app again", 15)


SLOW = """
import time
from flask import request
import scaffold
from scaffold import csrf
def create_app():
    app = scaffold.create_app()
    slow = csrf.exempt(lambda: (time.sleep(2), str(len(request.data)))[1])
    app.add_url_rule("/slow", view_func=slow, methods=["POST"])
    return app
"""


def test_a_stop_finishes_what_is_in_flight(docker: Docker, image: Image, ready: Urls) -> None:
    serve = ("gunicorn", "--config", "/app/gunicorn.conf.py", "slow:create_app()")
    options = ("-v", f"{image.file(SLOW)}:/run/code/slow.py:ro", "--stop-timeout", "30")
    given = {"database-url": ready.app, "secret-key": SECRET_KEY}
    name = image.start(
        *serve, files=given, options=options, SITE_URL="https://www.example.org", PYTHONPATH="/app:/run/code",
        SECRET_KEY_FILE="/run/files/secret-key", SQLALCHEMY_DATABASE_URI_FILE="/run/files/database-url",
    )  # fmt: skip
    web = Web(docker, name)
    until(lambda: web.status("/healthz") == 200, "/healthz")
    connection = http.client.HTTPConnection(web.address, 8000, timeout=20)
    connection.request("POST", "/slow", body=b"x" * 1000)
    stopper = threading.Thread(target=docker, args=("stop", "-t", "30", name))
    stopper.start()
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b"1000")
    connection.close()
    stopper.join(40)
    assert docker("inspect", "-f", "{{.State.ExitCode}}", name) == "0"
    assert all(line["level"] != "critical" for line in web.lines())


def test_a_killed_app_is_back_with_a_real_answer_soon(docker: Docker, image: Image, ready: Urls) -> None:
    web = image.web(ready, options=("--restart", "unless-stopped"))
    until(lambda: web.status("/") == 200, "the first page")
    address, pid = web.address, web.pid
    os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    until(lambda: web.pid not in (0, pid) and web.address == address and web.status("/") == 200, "the app again")
    # 1.2 s on an idle machine; this many where others work too.
    assert time.monotonic() - began < 6


def test_a_killed_worker_is_replaced_and_nobody_else_notices(docker: Docker, image: Image, ready: Urls) -> None:
    web = image.web(ready)
    # The first worker answers while the second is still being forked.
    workers = until(lambda: len(alive := children(web.pid)) == 2 and alive, "two workers")
    os.kill(workers[0], signal.SIGKILL)
    until(lambda: len(alive := children(web.pid)) == 2 and workers[0] not in alive, "a new worker")
    assert web.status("/") == 200


def children(pid: int) -> list[int]:
    """Return the process numbers of a process's children."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_two_workers_share_most_of_their_memory(web: Web) -> None:
    for _ in range(20):
        assert web.ask("/").status == 200
    kilobytes = 0
    for pid in (web.pid, *children(web.pid)):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        kilobytes += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    assert kilobytes < 160 * 1024
