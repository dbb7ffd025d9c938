"""What a gateway does in a cluster: peers by one name that come and go, and a leave that no client notices."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from watcher import environment
from watcher.environment import VariableError

from tests.conftest import run_docker
from tests.gateway.stage import HOST, PAGE, SETTINGS, Gateway, Stage, eventually

NAME = "web-by-one-name"
DISCOVERING = {**SETTINGS, "upstream": {"discover": f"{NAME}:8000"}, "connect_timeout_ms": 1000}


@pytest.fixture
def discovering(stage: Stage) -> Iterator[Gateway]:
    """A gateway whose settings name its peers, and which may take its leave."""
    made = stage.gateway("-e", "FAREWELL_SECONDS=3", settings=DISCOVERING)
    yield made
    made.remove()


def addresses(gateway: Gateway) -> list[str]:
    """Return the addresses that a gateway sends to."""
    found: list[str] = gateway.status()["addresses"].get(f"{NAME}:8000", [])
    return found


def test_every_address_behind_the_name_is_a_peer_and_one_that_leaves_is_dropped(
    stage: Stage, discovering: Gateway
) -> None:
    assert discovering.ask("/x").status == 503
    first, second = stage.peer("first", alias=NAME), stage.peer("second", alias=NAME)
    both = sorted((first.address, second.address))
    eventually(lambda: addresses(discovering) == both)
    assert {discovering.ask("/x").document()["release"] for _ in range(20)} == {"first", "second"}
    run_docker("network", "disconnect", stage.network, second.name)
    began = time.monotonic()
    eventually(lambda: addresses(discovering) == [first.address])
    assert time.monotonic() - began < 3
    assert {discovering.ask("/x").document()["release"] for _ in range(10)} == {"first"}
    first.remove()
    second.remove()


def test_a_peer_that_dies_is_passed_over_and_the_request_is_asked_again(stage: Stage, discovering: Gateway) -> None:
    first, second = stage.peer("first", alias=NAME), stage.peer("second", alias=NAME)
    eventually(lambda: len(addresses(discovering)) == 2)
    second.crash()
    assert {discovering.ask("/x").status for _ in range(20)} == {200}
    first.remove()
    second.remove()


def test_files_that_are_handed_over_from_a_folder_are_in_use(stage: Stage, discovering: Gateway) -> None:
    script = (
        "import pathlib, subprocess, sys; folder = pathlib.Path('/tmp/handed'); folder.mkdir(exist_ok=True); "
        f"(folder / 'maintenance.html').write_text({PAGE + ' again'!r}); "
        f"(folder / 'gateway.json').write_text({json.dumps(DISCOVERING)!r}); "
        "sys.exit(subprocess.run(['python3', '-m', 'watcher', 'apply', str(folder)]).returncode)"
    )
    run_docker("exec", discovering.name, "python3", "-c", script)
    assert discovering.ask("/x").body.endswith(b" again")


def test_before_a_stop_answers_close_their_connections_and_nobody_loses_one(stage: Stage, discovering: Gateway) -> None:
    peer = stage.peer("first", alias=NAME)
    eventually(lambda: addresses(discovering))
    ended = threading.Event()
    statuses: Counter[str] = Counter()
    closed: Counter[bool] = Counter()
    thread = threading.Thread(target=visit, args=(discovering.target, ended, statuses, closed))
    thread.start()
    eventually(lambda: statuses["200"] > 20)
    assert not closed[True]
    run_docker("kill", "--signal", "TERM", discovering.name)
    eventually(lambda: closed[True] > 20)
    ended.set()
    thread.join(10)
    assert set(statuses) == {"200"}, statuses
    assert discovering.running, "it went before its time"
    reply = discovering.ask("/form", "POST", body=b"a=1")
    assert (reply.status, reply.document()["method"]) == (200, "POST")
    eventually(lambda: not discovering.running)
    assert [entry["event"] for entry in discovering.log() if entry.get("logger") != "gateway.access"][-3:] == [
        "taking leave: answers close their connections",
        "stopping",
        "stopped",
    ]
    peer.remove()


def visit(address: str, ended: threading.Event, statuses: Counter[str], closed: Counter[bool]) -> None:
    """Ask on one connection for as long as it stays open, and on the next after that, until told to end."""
    connection = http.client.HTTPConnection(address, 8080, timeout=5)
    while not ended.is_set():
        try:
            connection.request("GET", "/x", headers={"Host": HOST})
            answer = connection.getresponse()
            answer.read()
            statuses[str(answer.status)] += 1
            closed[answer.will_close] += 1
        except (OSError, http.client.HTTPException) as failure:
            statuses[type(failure).__name__] += 1
            connection.close()
        time.sleep(0.005)
    connection.close()


@pytest.mark.parametrize("value", ["-1", "x", "86401"])
def test_a_leave_that_is_no_time_is_refused(value: str) -> None:
    with pytest.raises(VariableError, match=r"FAREWELL_SECONDS: got .*, wanted seconds, 0 or more"):
        environment.seconds({"FAREWELL_SECONDS": value}, "FAREWELL_SECONDS", 0)


def test_no_leave_is_fine_and_no_time_to_stop_is_not() -> None:
    assert environment.seconds({"FAREWELL_SECONDS": "0"}, "FAREWELL_SECONDS", 0) == 0
    assert environment.seconds({}, "FAREWELL_SECONDS", 0) == 0
    with pytest.raises(VariableError, match="more than 0"):
        environment.seconds({"STOP_TIMEOUT": "0"}, "STOP_TIMEOUT", 8)
