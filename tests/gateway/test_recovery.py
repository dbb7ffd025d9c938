"""What ends is started again, what moves is found again, and what was told is kept."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import ROOT, run_docker
from tests.gateway.stage import PAGE, SETTINGS, Container, Gateway, Stage, control_answers, eventually
from tests.gateway.test_switch import Load, counts


def of_kind(gateway: Gateway, kind: str) -> list[int]:
    return [pid for pid, title in gateway.processes() if title.startswith(kind)]


def replaced(gateway: Gateway, kind: str, former: int) -> bool:
    found = of_kind(gateway, kind)
    return bool(found) and former not in found


@pytest.mark.parametrize("kind", ["nginx: master", "nginx: worker"])
def test_a_killed_nginx_process_is_replaced(own_gateway: Gateway, peer_a: Container, kind: str) -> None:
    own_gateway.use("a", f"{peer_a.name}:8000")
    for _ in range(2):
        former = of_kind(own_gateway, kind)
        os.kill(former[0], signal.SIGKILL)
        eventually(partial(replaced, own_gateway, kind, former[0]))
        assert eventually(lambda: own_gateway.ask("/x").status == 200)
        eventually(lambda: len(of_kind(own_gateway, "nginx: worker")) == 2)
        eventually(lambda: own_gateway.status()["nginx"]["pid"])
    if kind == "nginx: master":
        eventually(lambda: len([entry for entry in own_gateway.log() if entry["event"] == "nginx serves again"]) == 2)
    assert own_gateway.apply(page="<p>after</p>").status == 200
    assert own_gateway.use("gone", "127.0.0.1:9").status == 200
    assert own_gateway.ask("/").body == b"<p>after</p>"


def test_when_the_master_is_killed_no_new_connection_is_refused(own_gateway: Gateway, peer_a: Container) -> None:
    own_gateway.use("a", f"{peer_a.name}:8000")
    stopping, statuses = threading.Event(), []

    def ask() -> None:
        while not stopping.is_set():
            statuses.append(own_gateway.ask("/x").status)

    thread = threading.Thread(target=ask)
    thread.start()
    eventually(lambda: len(statuses) > 20)
    os.kill(of_kind(own_gateway, "nginx: master")[0], signal.SIGKILL)
    eventually(lambda: "nginx serves again" in str(own_gateway.log()))
    reached = len(statuses)
    eventually(lambda: len(statuses) > reached + 20 or not thread.is_alive())
    stopping.set()
    thread.join(10)
    assert set(statuses) == {200}


def test_a_restart_keeps_files_and_upstream_and_so_does_a_crash(own_gateway: Gateway, peer_a: Container) -> None:
    own_gateway.apply(page="<p>kept</p>")
    own_gateway.use("a", f"{peer_a.name}:8000")
    before = own_gateway.status()
    for crash in (False, True):
        if crash:
            own_gateway.crash()
            run_docker("start", own_gateway.name)
        else:
            run_docker("restart", own_gateway.name)
        own_gateway.known_address = ""
        eventually(own_gateway.is_serving)
        # From the first answer on: there is no moment with a gateway that has forgotten its peers.
        assert own_gateway.ask("/x").document()["release"] == "a"
        eventually(partial(control_answers, own_gateway))
        after = own_gateway.status()
        assert [after[key] for key in ("release", "peers", "files", "site_url")] == [
            before[key] for key in ("release", "peers", "files", "site_url")
        ]
    own_gateway.use("gone", "127.0.0.1:9")
    assert own_gateway.ask("/").body == b"<p>kept</p>"


def test_a_peer_with_another_address_is_found_again_without_a_reload(stage: Stage, own_gateway: Gateway) -> None:
    peer = stage.peer("moving", alias="moving")
    own_gateway.use("moving", "moving:8000")
    workers = own_gateway.status()["nginx"]["workers"]
    former = peer.address
    run_docker("stop", "-t", "0", peer.name)
    squatter = stage.peer("squatter", START_DELAY="3600")  # takes the address that became free
    assert own_gateway.ask("/x").status == 503
    assert own_gateway.status()["addresses"]["moving:8000"] == [former], "the last known address is kept"
    run_docker("start", peer.name)
    began = time.monotonic()
    assert peer.address != former
    eventually(lambda: own_gateway.ask("/x").status == 200)
    assert time.monotonic() - began < 4
    assert own_gateway.status()["nginx"]["workers"] == workers
    squatter.remove()
    peer.remove()


def test_a_gateway_that_starts_before_its_peer_finds_it_later(stage: Stage, own_gateway: Gateway) -> None:
    peer = stage.peer("late", alias="late")
    own_gateway.use("late", "late:8000")
    run_docker("stop", "-t", "0", peer.name)
    run_docker("restart", own_gateway.name)
    own_gateway.known_address = ""
    eventually(own_gateway.is_serving)
    assert own_gateway.ask("/x").status == 503
    run_docker("start", peer.name)
    assert eventually(lambda: own_gateway.ask("/x").status == 200)
    peer.remove()


def test_an_upstream_whose_name_does_not_resolve_is_refused_by_name(gateway: Gateway) -> None:
    answer = gateway.use("new", "nowhere.invalid:8000")
    assert answer.status == 422
    assert "no address for nowhere.invalid:8000 within 5 s; the former one is kept" in answer.document()["error"]
    assert gateway.ask("/x").document()["release"] == "a"


def test_a_dead_replica_costs_almost_nothing_and_is_back_soon_after_it_recovers(stage: Stage) -> None:
    gateway = stage.gateway()
    peers = [stage.peer("both"), stage.peer("both")]
    gateway.use("both", *(f"{peer.name}:8000" for peer in peers))
    # Its network is taken away: nothing refuses, a connection just hangs. No connection to it is open yet; a POST that
    # was sent on one would be lost with the peer, and rightly not be sent again.
    run_docker("network", "disconnect", stage.network, peers[0].name)
    try:
        with Load(gateway) as load:
            eventually(lambda: load.sent["GET"] > 300)
        assert load.failures == [], gateway.complaints()
        times = []
        for _ in range(100):
            began = time.monotonic()
            assert gateway.ask("/x").status == 200
            times.append(time.monotonic() - began)
        slow = [took for took in times if took > 0.12]
        assert len(slow) <= 1 + sum(times) / 0.25, f"one request in a while tries the dead peer: {slow}"
    finally:
        run_docker("network", "connect", stage.network, peers[0].name, "--alias", peers[0].name)
    eventually(lambda: len({gateway.ask("/x").document()["peer"] for _ in range(4)}) == 2)
    for container in (gateway, *peers):
        container.remove()


def test_a_post_to_a_peer_that_breaks_it_off_is_sent_once_and_a_get_twice(stage: Stage) -> None:
    gateway = stage.gateway()
    peers = [stage.peer("both"), stage.peer("both")]
    gateway.use("both", *(f"{peer.name}:8000" for peer in peers))

    def counted(key: str) -> int:
        return sum(counts(peer).get(key, 0) for peer in peers)

    assert gateway.ask("/reset", "POST", body=b"x").status == 503
    assert counted("POST /reset") == 1
    assert gateway.ask("/reset").status == 503
    assert counted("GET /reset") == 2
    for container in (gateway, *peers):
        container.remove()


def test_a_single_peer_that_comes_back_is_served_at_once(stage: Stage, own_gateway: Gateway) -> None:
    peer = stage.peer("single")
    own_gateway.use("single", f"{peer.name}:8000")
    peer.crash()
    began = time.monotonic()
    assert own_gateway.ask("/x").status == 503
    assert time.monotonic() - began < 1, "a dead address costs the connect timeout, not more"
    run_docker("start", peer.name)
    until_ready = eventually(lambda: time.monotonic() if answers(peer) else None)
    eventually(lambda: own_gateway.ask("/x").status == 200)
    assert time.monotonic() - until_ready < 1.5
    peer.remove()


def answers(peer: Container) -> bool:
    try:
        return bool(counts(peer) is not None)
    except OSError:
        return False


def test_a_stop_lets_requests_finish_and_refuses_new_ones(
    stage: Stage, own_gateway: Gateway, peer_a: Container
) -> None:
    own_gateway.use("a", f"{peer_a.name}:8000")
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(own_gateway.ask("/slow?seconds=1.5").status))
    thread.start()
    eventually(lambda: counts(peer_a).get("GET /slow"))
    time.sleep(0.2)
    run_docker("kill", "--signal", "TERM", own_gateway.name)
    eventually(lambda: not own_gateway.is_serving())
    thread.join(10)
    assert statuses == [200]
    eventually(lambda: not own_gateway.running)
    assert run_docker("inspect", "-f", "{{.State.ExitCode}}", own_gateway.name) == "0"
    assert own_gateway.log()[-1]["event"] == "stopped"


def test_a_stop_is_bounded(stage: Stage, peer_a: Container) -> None:
    gateway = stage.gateway("-e", "STOP_TIMEOUT=1", settings={**SETTINGS, "read_timeout": 60})
    gateway.use("a", f"{peer_a.name}:8000")

    def hang() -> None:
        with contextlib.suppress(Exception):
            gateway.ask("/hang")

    thread = threading.Thread(target=hang)
    thread.start()
    eventually(lambda: counts(peer_a).get("GET /hang"))
    began = time.monotonic()
    run_docker("stop", "-t", "20", gateway.name)
    assert time.monotonic() - began < 6
    thread.join(10)
    assert "requests did not finish in time and are cut" in str(gateway.log())
    gateway.remove()


def test_files_that_nginx_or_the_checks_refuse_change_nothing(own_gateway: Gateway, peer_a: Container) -> None:
    own_gateway.use("a", f"{peer_a.name}:8000")
    before = own_gateway.status()
    for settings, words in (
        ("{", "gateway.json: is not JSON"),
        ({**SETTINGS, "site_url": "http://x; return 200"}, "gateway.json: site_url: got"),
        ({**SETTINGS, "worker_proceses": 2}, 'unknown keys: "worker_proceses"'),
        ({**SETTINGS, "trusted_proxies": ["0.0.0.0/0"]}, "trusts everybody"),
        ({**SETTINGS, "trusted_proxies": ["255.255.255.255"]}, "everybody on a network"),
    ):
        answer = own_gateway.apply(settings, page="<p>not this one</p>")
        assert answer.status == 422
        assert words in answer.document()["error"]
    assert own_gateway.control("PUT", "/files", {"gateway.json": "{}"}).status == 422
    assert own_gateway.status() | {"requests": 0} == before | {"requests": 0}
    assert own_gateway.ask("/x").status == 200


def test_settings_that_only_nginx_itself_can_refuse_are_refused_with_its_words(stage: Stage, tmp_path: Path) -> None:
    # A template in which a directive's range is narrower than the check's.
    template = (ROOT / "gateway" / "nginx.conf.tmpl").read_text(encoding="utf-8")
    narrow = tmp_path / "nginx.conf.tmpl"
    narrow.write_text(template.replace("http {", "http {\n    gzip_comp_level @{workers};", 1))
    tmp_path.chmod(0o755)
    gateway = stage.gateway("-v", f"{narrow}:/usr/lib/gateway/nginx.conf.tmpl:ro")
    gateway.use("gone", "127.0.0.1:9")
    before = gateway.status()
    answer = gateway.apply({**SETTINGS, "workers": 12}, page="<p>not this one</p>")
    assert answer.status == 422
    assert "nginx refuses the configuration, and the former one is kept" in answer.document()["error"]
    assert "value must be between 1 and 9" in answer.document()["error"]
    assert gateway.status() | {"requests": 0} == before | {"requests": 0}
    assert b"The tests' page" in gateway.ask("/").body
    assert gateway.apply({**SETTINGS, "workers": 3}).status == 200
    assert len(gateway.status()["nginx"]["workers"]) == 3
    gateway.remove()


def test_apply_gives_the_two_files_and_says_what_was_wrong(stage: Stage, own_gateway: Gateway) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "maintenance.html").write_text(PAGE)
        (Path(folder) / "gateway.json").write_text(json.dumps({**SETTINGS, "retry_after": 7}))
        own_gateway_files = ("-v", f"{folder}:/run/files:ro")
        name = stage.name("apply")
        command = ("run", "--rm", "--name", name, *stage.label(), "-v", f"{own_gateway.volume}:/var/lib/gateway")
        image = (stage.image, "python3", "-m", "watcher", "apply", "/run/files")
        assert '"the files are applied"' in run_docker(*command, *own_gateway_files, *image)
        assert own_gateway.ask("/").header("Retry-After") == "7"
        (Path(folder) / "gateway.json").write_text('{"site_url": 5}')
        with pytest.raises(AssertionError):
            run_docker(*command, *own_gateway_files, *image)
        assert own_gateway.ask("/").header("Retry-After") == "7"


def test_the_container_is_as_closed_as_it_should_be_and_small(own_gateway: Gateway, peer_a: Container) -> None:
    own_gateway.use("a", f"{peer_a.name}:8000")
    with Load(own_gateway) as load:
        eventually(lambda: load.sent["POST"] > 300)
    total = 0
    for pid, _ in own_gateway.processes():
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert status["Uid"].split() == ["10002"] * 4
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
        assert status["NoNewPrivs"] == "1"
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    assert total < 40 * 1024, f"{total} KiB"
    owner = run_docker("exec", own_gateway.name, "stat", "-c", "%u:%g %a", "/var/lib/gateway")
    assert owner == "10002:10002 750"
    assert run_docker("diff", own_gateway.name) == ""
    assert run_docker("exec", own_gateway.name, "sh", "-c", "find / -xdev -perm /6000 -type f 2>/dev/null; true") == ""


def test_the_addresses_of_the_site_are_served_while_settings_are_reloaded(
    own_gateway: Gateway, peer_a: Container
) -> None:
    own_gateway.use("a", f"{peer_a.name}:8000")
    for number in range(3):
        assert own_gateway.apply({**SETTINGS, "retry_after": 10 + number}).status == 200
        assert own_gateway.ask("/reset").header("Retry-After") == str(10 + number)
        assert own_gateway.ask("/x").document()["release"] == "a"
