"""A switch between releases: nobody notices one that works, and one that fails is put back."""

from __future__ import annotations

import hashlib
import http.client
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.conftest import run_docker
from tests.gateway.stage import HOST, SITE_URL, Container, Gateway, Stage, eventually


@dataclass
class Load:
    """Clients that keep their connections and ask without a pause; every answer is checked."""

    gateway: Gateway
    paths: tuple[str, ...] = ("/work",)
    stopping: threading.Event = field(default_factory=threading.Event)
    failures: list[str] = field(default_factory=list)
    releases: dict[str, int] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=lambda: {"GET": 0, "POST": 0})
    connections: int = 0
    threads: list[threading.Thread] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Load:
        for method in ("GET", "POST") * 3:
            thread = threading.Thread(target=self.run, args=(method,), daemon=True)
            thread.start()
            self.threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(30)

    def run(self, method: str) -> None:
        connection = http.client.HTTPConnection(self.gateway.target, 8080, timeout=20)
        body = b"x" * 3000 if method == "POST" else None
        while not self.stopping.is_set():
            fresh = connection.sock is None
            try:
                connection.request(method, self.paths[0], body, {"Host": HOST})
                response = connection.getresponse()
                answer = response.read()
                problem = "" if response.status == 200 else f"{method}: {response.status} {answer[:200]!r}"
                told = json.loads(answer) if not problem else {}
                if not problem and told["digest"] != hashlib.sha256(body or b"").hexdigest():
                    problem = f"{method}: the body was changed"
            except (OSError, http.client.HTTPException, ValueError) as error:
                problem, told = f"{method}: {type(error).__name__}: {error}", {}
                connection.close()
            with self.lock:
                self.sent[method] += 1
                self.connections += fresh
                if problem:
                    self.failures.append(problem)
                else:
                    self.releases[told["release"]] = self.releases.get(told["release"], 0) + 1
        connection.close()


@pytest.fixture(scope="module")
def releases(stage: Stage) -> Iterator[dict[str, list[Container]]]:
    """Two releases, one of two peers."""
    made = {"one": [stage.peer("one"), stage.peer("one")], "two": [stage.peer("two")]}
    yield made
    for peers in made.values():
        for peer in peers:
            peer.remove()


def named(peers: list[Container]) -> list[str]:
    return [f"{peer.name}:8000" for peer in peers]


def counts(peer: Container) -> dict[str, int]:
    """What a peer was asked, by method and path; asked of it directly."""
    connection = http.client.HTTPConnection(peer.address, 8000, timeout=5)
    try:
        connection.request("GET", "/counts")
        return dict(json.loads(connection.getresponse().read()))
    finally:
        connection.close()


def posts(peers: list[Container]) -> int:
    return sum(counts(peer).get("POST /work", 0) for peer in peers)


def test_fifty_switches_under_keep_alive_load_lose_no_request_and_send_no_post_twice(
    gateway: Gateway, releases: dict[str, list[Container]]
) -> None:
    assert gateway.use("one", *named(releases["one"])).status == 200
    with Load(gateway) as load:
        for number in range(50):
            release = ("two", "one")[number % 2]
            assert gateway.use(release, *named(releases[release])).status == 200
            # From the acknowledgement on, every worker uses it.
            assert {gateway.ask("/who").document()["release"] for _ in range(4)} == {release}
            time.sleep(0.05)
    assert load.failures == [], gateway.complaints()
    assert load.connections == 6, "a switch must not close a client's connection"
    assert load.sent["GET"] > 1000
    assert load.sent["POST"] > 1000
    assert set(load.releases) == {"one", "two"}
    assert posts(releases["one"] + releases["two"]) == load.sent["POST"]


def test_requests_under_way_at_a_switch_are_answered_by_the_release_that_got_them(
    gateway: Gateway, releases: dict[str, list[Container]]
) -> None:
    gateway.use("two", *named(releases["two"]))
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(gateway.ask("/slow?seconds=1").document()["release"]))
    thread.start()
    eventually(lambda: counts(releases["two"][0]).get("GET /slow", 0))
    gateway.use("one", *named(releases["one"]))
    assert gateway.ask("/who").document()["release"] == "one"
    thread.join(10)
    assert answers == ["two"]


def switch(stage: Stage, gateway: Gateway, release: str, peers: list[str], **variables: str) -> tuple[int, str]:
    given = {
        "RELEASE": release,
        "PEERS": ",".join(peers),
        "SITE_URL": SITE_URL,
        "GATEWAY": f"{gateway.name}:8080",
        "WARM_PATHS": "/,/auth/login",
        "READY_TIMEOUT": "1",
        **variables,
    }
    return stage.job(gateway, "switch", **given)


def test_switch_probes_warms_and_moves_and_a_second_run_changes_nothing(
    stage: Stage, gateway: Gateway, releases: dict[str, list[Container]]
) -> None:
    for _ in range(2):
        status, log = switch(stage, gateway, "one", named(releases["one"]))
        assert status == 0, log
        assert [json.loads(line)["level"] for line in log.splitlines()] == ["info"] * 3
        assert gateway.status()["release"] == "one"
    assert all(counts(peer).get("GET /auth/login", 0) >= 2 for peer in releases["one"]), "each peer is warmed directly"


@pytest.mark.parametrize(
    ("release", "variables", "words"),
    [
        ("wrong", {}, "it answered as release 'two', wanted 'wrong'"),
        ("two", {"WARM_PATHS": "/error"}, "/error: no good answer within 1 s: it answered 500"),
        ("two", {"GATEWAY": "nowhere.invalid:8080"}, "through the gateway nowhere.invalid:8080: /readyz"),
    ],
)
def test_a_failed_switch_names_the_reason_and_leaves_the_former_release(
    stage: Stage,
    gateway: Gateway,
    releases: dict[str, list[Container]],
    release: str,
    variables: dict[str, str],
    words: str,
) -> None:
    gateway.use("one", *named(releases["one"]))
    status, log = switch(stage, gateway, release, named(releases["two"]), **variables)
    assert status == 1
    last = json.loads(log.splitlines()[-1])
    assert (last["level"], last["event"]) == ("error", "the switch failed")
    assert words in last["problem"]
    assert gateway.status()["release"] == "one"
    assert gateway.ask("/who").document()["release"] == "one"


def answers(gateway: Gateway, host: str) -> bool:
    """Tell whether the gateway answers for a host; one that is still starting does not."""
    try:
        return gateway.ask("/who", host=host).status == 200
    except OSError:
        return False


def test_the_site_moves_with_its_release_and_a_failed_one_leaves_it_where_it_was(
    stage: Stage, own_gateway: Gateway, releases: dict[str, list[Container]]
) -> None:
    status, log = switch(stage, own_gateway, "one", named(releases["one"]))
    assert status == 0, log
    moved = {"SITE_URL": "https://moved.example"}
    status, log = switch(stage, own_gateway, "two", named(releases["two"]), WARM_PATHS="/error", **moved)
    assert status == 1, log
    assert own_gateway.status()["site_url"] == SITE_URL
    assert own_gateway.ask("/who").document()["release"] == "one"
    assert own_gateway.ask("/who", host="moved.example").status == 421
    status, log = switch(stage, own_gateway, "two", named(releases["two"]), WARM_PATHS="/", **moved)
    assert status == 0, log
    assert own_gateway.ask("/who", host="moved.example").document()["release"] == "two"
    assert own_gateway.ask("/who").status == 421
    run_docker("restart", own_gateway.name)
    own_gateway.known_address = ""
    eventually(lambda: answers(own_gateway, "moved.example"))
    status, log = switch(stage, own_gateway, "one", named(releases["one"]))
    assert status == 0, log
    assert own_gateway.ask("/who").document()["release"] == "one"


def test_a_peer_that_is_not_ready_or_not_there_is_named_with_what_it_said(stage: Stage, gateway: Gateway) -> None:
    unready = stage.peer("new", READY="no")
    status, log = switch(stage, gateway, "new", named([unready]))
    assert status == 1
    assert f"{unready.name}:8000: /readyz: not ready within 1 s: it answered 503" in log
    assert "database" in log
    unready.crash()
    status, log = switch(stage, gateway, "new", [f"{unready.name}:8000"])
    assert status == 1
    assert f"{unready.name}:8000: /readyz" in log
    unready.remove()


def test_an_image_without_readyz_is_given_up_at_once_and_the_former_release_stays(
    stage: Stage, gateway: Gateway, releases: dict[str, list[Container]]
) -> None:
    gateway.use("one", *named(releases["one"]))
    bare = stage.peer("bare", READY="absent")
    began = time.monotonic()
    status, log = switch(stage, gateway, "bare", named([bare]), READY_TIMEOUT="600")
    assert status == 1
    assert time.monotonic() - began < 60, "it would have been asked for 600 s"
    problem = json.loads(log.splitlines()[-1])["problem"]
    assert f"{bare.name}:8000: the image of release bare has no /readyz: it answered 404, wanted status 200" in problem
    assert "app/scaffold/health.py" in problem
    assert gateway.status()["release"] == "one"
    bare.remove()


def test_a_switch_that_is_interrupted_puts_the_former_release_back(
    stage: Stage, gateway: Gateway, releases: dict[str, list[Container]]
) -> None:
    gateway.use("one", *named(releases["one"]))
    deaf = stage.peer("deaf", START_DELAY="3600")
    result: list[tuple[int, str]] = []
    # The probe through a gateway that never answers keeps the job waiting after it has switched.
    variables = {"GATEWAY": f"{deaf.name}:8000"}
    thread = threading.Thread(
        target=lambda: result.append(switch(stage, gateway, "two", named(releases["two"]), **variables))
    )
    thread.start()
    eventually(lambda: gateway.status()["release"] == "two")
    job = eventually(lambda: find_job(stage))
    job.terminate()
    thread.join(30)
    assert result[0][0] == 1
    assert "interrupted by SIGTERM" in result[0][1]
    assert gateway.status()["release"] == "one"
    deaf.remove()


@dataclass
class Job:
    name: str

    def terminate(self) -> None:
        from tests.conftest import run_docker

        run_docker("kill", "--signal", "TERM", self.name)


def find_job(stage: Stage) -> Job | None:
    from tests.conftest import run_docker

    names = run_docker("ps", "--filter", f"name=gwtest-{stage.run_id}-job", "--format", "{{.Names}}").split()
    return Job(names[0]) if names else None


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"RELEASE": ""}, "RELEASE is empty"),
        ({"PEERS": "web"}, 'PEERS: upstream: peers: got "web", wanted name:port'),
        ({"SITE_URL": "ftp://x"}, 'SITE_URL: got "ftp://x"'),
        ({"READY_TIMEOUT": "soon"}, "READY_TIMEOUT: got 'soon', wanted seconds"),
        ({"WARM_PATHS": "login"}, "WARM_PATHS: got 'login'"),
        ({"GATEWAY": "gateway"}, "GATEWAY: got"),
        ({"RELEASE_FILE": "/x"}, "RELEASE and RELEASE_FILE are both set"),
    ],
)
def test_a_bad_setting_of_the_switch_is_named(
    stage: Stage, gateway: Gateway, variables: dict[str, str], words: str
) -> None:
    status, log = switch(stage, gateway, "one", ["web:8000"], **variables)
    assert status == 1
    assert words in json.loads(log.splitlines()[-1])["problem"]
