"""Deployments are scaled down until no pod is left and up again, whatever the cluster's API answers in between."""

from __future__ import annotations

import datetime
import ipaddress
import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from backup.error import StopError
from restore import cluster, switchboard
from restore.cluster import Cluster
from restore.kubernetes import KubernetesSwitchboard, ended_of
from restore.switchboard import Ended, SwitchboardError, Unit

TOKEN = "of-the-pod"
NAMESPACE = "scaffold-prod"
MIGRATION = "migrate-for-restore"
MAY_BE_ASKED = re.compile(
    rf"(GET|PATCH) /apis/apps/v1/namespaces/{NAMESPACE}/deployments/[a-z0-9-]+/scale"
    rf"|GET /apis/apps/v1/namespaces/{NAMESPACE}/deployments/{MIGRATION}|GET /api/v1/namespaces/{NAMESPACE}/pods"
)

Live = dict[str, Any]
Said = tuple[int, Any]


class World:
    """A cluster's API with Deployments whose pods come and go in steps: one for each time that they are listed."""

    def __init__(self) -> None:
        self.replicas: dict[str, int] = {}
        self.pods: dict[str, list[Live]] = {}
        self.labels: dict[str, dict[str, str]] = {}
        self.lists_to_leave = 2
        self.lists_to_run = 2
        self.becomes: Callable[[Live], None] = become_ready
        self.before: Callable[[str, str], Said | None] = lambda _method, _path: None
        self.asked: list[str] = []
        self.scaled: list[tuple[str, int]] = []
        self.tokens: set[str] = set()
        self._made = 0

    def has(self, name: str, replicas: int, release: str = "") -> None:
        """Let there be a Deployment with pods that are ready."""
        self.replicas[name], self.pods[name] = replicas, []
        self.labels[name] = {"app.kubernetes.io/version": release}
        for _ in range(replicas):
            become_ready(self.make(name))

    def make(self, name: str) -> Live:
        """Make a pod that is to run."""
        self._made += 1
        pod = {
            "metadata": {"name": f"{name}-{self._made}"},
            "spec": {"terminationGracePeriodSeconds": 0, "nodeName": "node"},
            "status": {"phase": "Pending"},
            "lists": 0,
        }
        self.pods[name].append(pod)
        return pod

    def answer(self, method: str, target: str, body: Live) -> Said:
        """Return a status and an object."""
        place = urlsplit(target)
        self.asked.append(f"{method} {place.path}")
        if (said := self.before(method, place.path)) is not None:
            return said
        parts = place.path.split("/")
        if place.path.endswith("/pods"):
            return 200, {"items": self.listed(parse_qs(place.query)["labelSelector"][0].removeprefix("name="))}
        name = parts[7]
        if name not in self.replicas:
            return 404, {"kind": "Status", "message": f"deployments {name} not found"}
        if method == "PATCH":
            self.scale(name, int(body["spec"]["replicas"]))
        if parts[-1] != "scale":
            return 200, {"metadata": {"name": name, "labels": self.labels[name]}}
        # Both are left out of what is nothing, as the API does; of pods that leave it says nothing.
        wanted = {"replicas": self.replicas[name]} if self.replicas[name] else {}
        return 200, {"spec": wanted, "status": {"replicas": self.replicas[name], "selector": f"name={name}"}}

    def scale(self, name: str, replicas: int) -> None:
        """Scale, as a controller would."""
        self.scaled.append((name, replicas))
        self.replicas[name] = replicas
        staying = [pod for pod in self.pods[name] if "deletionTimestamp" not in pod["metadata"]]
        for pod in staying[replicas:]:
            pod["metadata"]["deletionTimestamp"] = "now"
            pod["lists"] = 0
        for _ in range(replicas - len(staying)):
            self.make(name)

    def listed(self, name: str) -> list[Live]:
        """Return the pods, and let them go on."""
        for pod in list(self.pods[name]):
            pod["lists"] += 1
            if "deletionTimestamp" in pod["metadata"]:
                if pod["lists"] > self.lists_to_leave:
                    self.pods[name].remove(pod)
            elif pod["lists"] > self.lists_to_run and pod["status"]["phase"] == "Pending":
                self.becomes(pod)
        return self.pods[name]


def become_ready(pod: Live) -> None:
    """Let a pod run and be ready."""
    pod["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


def serve(world: World, context: ssl.SSLContext | None = None) -> ThreadingHTTPServer:
    """Answer as the world does."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.do()

        def do_PATCH(self) -> None:
            self.do()

        def do(self) -> None:
            world.tokens.add(self.headers["Authorization"])
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if body:
                assert self.headers["Content-Type"] == "application/merge-patch+json"
            status, found = world.answer(self.command, self.path, json.loads(body or "{}"))
            content = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server


@pytest.fixture
def world() -> Iterator[World]:
    """A cluster's API; in the end nothing was asked for that the restore's role does not allow."""
    made = World()
    yield made
    assert [asked for asked in made.asked if not MAY_BE_ASKED.fullmatch(asked)] == []


@pytest.fixture
def board(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesSwitchboard]:
    """The switchboard on it, which does not wait long."""
    monkeypatch.setattr("restore.kubernetes.POLL_SECONDS", 0.01)
    server = serve(world)
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    yield KubernetesSwitchboard(Cluster("127.0.0.1", server.server_port, NAMESPACE, token, None), spare_seconds=1)
    server.shutdown()
    server.server_close()


def test_a_deployment_is_told_by_its_scale_and_its_pods(board: KubernetesSwitchboard, world: World) -> None:
    world.has("web", 3)
    world.has("worker", 0)
    world.has("new", 0)
    world.lists_to_run = 1
    world.scale("new", 2)
    assert board.resolve(["web", "worker", "new", "web", "none"]) == [
        Unit("web", "running", "healthy", 3),
        Unit("worker", "stopped"),
        Unit("new", "running", "starting", 2),
        Unit("none", "absent"),
    ]
    assert board.state(Unit("new", "running", "starting", 2)).healthy
    looping = {"name": "web", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    world.pods["web"][1]["status"] = {"phase": "Running", "containerStatuses": [looping]}
    assert board.state(Unit("web", "running")) == Unit("web", "running", "unhealthy", 3)
    world.lists_to_leave = 5
    world.scale("web", 0)
    assert board.state(Unit("web", "running")) == Unit("web", "running", "stopping", 0)


def test_it_has_stopped_when_the_last_pod_has_gone_and_not_when_the_scale_says_so(
    board: KubernetesSwitchboard, world: World
) -> None:
    world.has("web", 3)
    world.lists_to_leave = 4
    (web,) = board.resolve(["web"])
    board.stop(web, 10)
    assert world.pods["web"] == []
    assert board.state(web) == Unit("web", "stopped")
    board.stop(web, 10)
    board.start(web, 10)
    assert board.state(web) == web
    assert world.scaled == [("web", 0), ("web", 3)]
    # One that did not run and is to be started all the same gets one pod.
    world.has("worker", 0)
    board.start(Unit("worker", "stopped"), 10)
    assert board.state(Unit("worker", "stopped")) == Unit("worker", "running", "healthy", 1)


def test_what_somebody_scales_up_meanwhile_is_scaled_down_again(board: KubernetesSwitchboard, world: World) -> None:
    world.has("web", 2)
    again = iter([False, True, False, True])

    def interfere(method: str, path: str) -> Said | None:
        if method == "GET" and path.endswith("/pods") and next(again, False):
            world.scale("web", 2)
        return None

    (web,) = board.resolve(["web"])
    world.before = interfere
    board.stop(web, 10)
    assert [replicas for _, replicas in world.scaled] == [0, 2, 0, 2, 0]
    assert world.pods["web"] == []


def test_a_pod_that_does_not_go_is_named_after_the_time_it_was_promised(
    board: KubernetesSwitchboard, world: World
) -> None:
    world.has("web", 1)
    world.pods["web"][0]["spec"]["terminationGracePeriodSeconds"] = 1
    world.lists_to_leave = 10_000
    began = time.monotonic()
    with pytest.raises(SwitchboardError) as refused:
        board.stop(Unit("web", "running", "healthy", 1), 0.2)
    assert 2 <= time.monotonic() - began < 6
    assert refused.value.reason == "Deployment web was scaled to 0 and has 1 pods; web-1 on node: is being ended"
    assert refused.value.hint == f"Look at them: kubectl --namespace {NAMESPACE} get pods --output=wide"


def test_a_pod_that_does_not_come_is_named(board: KubernetesSwitchboard, world: World) -> None:
    world.has("web", 0)

    def stay(pod: Live) -> None:
        pod["spec"].pop("nodeName", None)

    world.becomes = stay
    with pytest.raises(SwitchboardError, match=r"has 1 pods; web-1 on no node: Pending"):
        board.start(Unit("web", "stopped", "", 1), 0.1)


def test_a_pod_that_has_ended_is_none(board: KubernetesSwitchboard, world: World) -> None:
    world.has("web", 1)
    world.pods["web"][0]["status"] = {"phase": "Failed", "reason": "Evicted"}
    world.replicas["web"] = 0
    assert board.state(Unit("web", "running")) == Unit("web", "stopped")


@pytest.mark.parametrize(
    "trouble",
    [
        (500, {"kind": "Status", "message": "etcdserver: leader changed"}),
        (503, b"upstream is gone"),
        (429, {"kind": "Status", "message": "too many"}),
        (409, {"kind": "Status", "message": "the object has been modified"}),
        (200, b"<html>not yet</html>"),
        (200, b""),
    ],
)
def test_an_api_that_fails_for_a_moment_is_asked_again(
    board: KubernetesSwitchboard, world: World, trouble: Said
) -> None:
    world.has("web", 2)
    fails = iter([trouble] * 3 + [None] * 3 + [trouble] * 2)
    world.before = lambda _method, _path: next(fails, None)
    (web,) = board.resolve(["web"])
    board.stop(web, 10)
    board.start(web, 10)
    assert board.state(web) == web


def test_an_api_that_fails_for_long_is_an_error_and_nothing_was_scaled(
    board: KubernetesSwitchboard, world: World
) -> None:
    world.has("web", 2)
    world.before = lambda _method, _path: (500, {"kind": "Status", "message": "out of order"})
    with pytest.raises(SwitchboardError, match="with status 500: out of order") as refused:
        board.resolve(["web"])
    assert refused.value.transient
    assert world.scaled == []


def test_what_the_role_does_not_allow_is_an_error_at_once(board: KubernetesSwitchboard, world: World) -> None:
    world.has("web", 2)
    for status in (401, 403):
        world.before = lambda method, _path, status=status: (  # type: ignore[misc]
            (status, {"kind": "Status", "message": f'User "x" cannot {method}'}) if method == "PATCH" else None
        )
        with pytest.raises(SwitchboardError) as refused:
            board.stop(Unit("web", "running", "healthy", 2), 30)
        assert not refused.value.transient
        assert f'with status {status}: User "x" cannot PATCH' in refused.value.reason
        assert TOKEN not in str(refused.value)
    assert len(world.asked) == 4


def test_what_is_not_there_has_stopped_and_cannot_start(board: KubernetesSwitchboard, world: World) -> None:
    board.stop(Unit("gone", "running", "healthy", 1), 1)
    with pytest.raises(SwitchboardError, match=r"Deployment gone does not exist\. `make up` makes it"):
        board.start(Unit("gone", "running", "healthy", 1), 1)
    assert not world.scaled


@pytest.mark.parametrize("name", ["../x", "a/b", "web/scale?x=", "A", "", "-a", "a%2fb", "a b", "a\n", "x" * 300])
def test_a_name_that_is_none_is_never_asked_for(board: KubernetesSwitchboard, world: World, name: str) -> None:
    for ask in (lambda: board.resolve([name]), lambda: board.stop(Unit(name, "running"), 1)):
        with pytest.raises(SwitchboardError, match="is no name of a Deployment"):
            ask()
    assert world.asked == []


def test_without_a_selector_no_pod_is_taken_for_ours(board: KubernetesSwitchboard, world: World) -> None:
    world.before = lambda _method, _path: (200, {"spec": {"replicas": 1}, "status": {}})
    with pytest.raises(SwitchboardError, match="says no selector of pods"):
        board.resolve(["web"])


def failing(status: int, message: str) -> Callable[[Live], None]:
    """Let a pod's migration end so, and begin again."""

    def become(pod: Live) -> None:
        waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
        ended = {"terminated": {"exitCode": status, "message": message}}
        rows = [{"name": MIGRATION, "state": waiting, "lastState": ended}]
        pod["status"] = {"phase": "Pending", "initContainerStatuses": rows}

    return become


def test_migrations_are_done_when_their_pod_is_ready(board: KubernetesSwitchboard, world: World) -> None:
    world.has(MIGRATION, 0, release="aaaa")
    assert board.run_migration("aaaa", 10) == Ended(0)
    assert world.scaled == [(MIGRATION, 1), (MIGRATION, 0)]
    assert world.pods[MIGRATION] == []
    # What a killed run left is ended first: it was of another database.
    world.scale(MIGRATION, 1)
    assert board.run_migration("aaaa", 10) == Ended(0)
    assert [replicas for _, replicas in world.scaled[2:]] == [1, 0, 1, 0]


def test_migrations_that_fail_tell_their_last_lines_without_secrets(board: KubernetesSwitchboard, world: World) -> None:
    world.has(MIGRATION, 0, release="aaaa")
    world.becomes = failing(3, "upgrading\npostgresql://owner:hunter2@database/scaffold is away\n")
    assert board.run_migration("aaaa", 10) == Ended(3, ("upgrading", "postgresql://***@database/scaffold is away"))
    assert world.replicas[MIGRATION] == 0
    assert world.pods[MIGRATION] == []


def test_migrations_that_take_too_long_are_stopped(board: KubernetesSwitchboard, world: World) -> None:
    world.has(MIGRATION, 0, release="aaaa")

    def work(pod: Live) -> None:
        pod["status"] = {"phase": "Pending", "initContainerStatuses": [{"name": "m", "state": {"running": {}}}]}

    world.becomes = work
    with pytest.raises(SwitchboardError, match=rf"was not done within 0 s; {MIGRATION}-1 on node: Pending"):
        board.run_migration("aaaa", 0.3)
    assert world.pods[MIGRATION] == []


def test_migrations_of_another_release_are_not_run(board: KubernetesSwitchboard, world: World) -> None:
    with pytest.raises(SwitchboardError, match=rf"Deployment {MIGRATION} does not exist, wanted release aaaa"):
        board.run_migration("aaaa", 10)
    world.has(MIGRATION, 0, release="bbbb")
    with pytest.raises(SwitchboardError, match="is of release bbbb, wanted release aaaa"):
        board.run_migration("aaaa", 10)
    assert world.scaled == []


@pytest.mark.parametrize(
    ("status", "ended"),
    [
        ({}, None),
        ({"containerStatuses": [{"state": {"terminated": {"exitCode": 0}}}]}, None),
        ({"containerStatuses": [{"state": {"terminated": {"exitCode": 9}}}]}, Ended(9)),
        ({"containerStatuses": [{"state": {"running": {}}, "lastState": {"terminated": {"exitCode": 9}}}]}, Ended(9)),
        ({"conditions": [{"type": "Ready", "status": "True"}]}, Ended(0)),
        ({"conditions": [{"type": "Ready", "status": "False"}]}, None),
    ],
)
def test_the_end_of_a_migration_is_read_from_its_pod(status: Live, ended: Ended | None) -> None:
    assert ended_of({"metadata": {}, "status": status}) == ended
    assert ended_of({"metadata": {"deletionTimestamp": "now"}, "status": status}) is None


def test_an_api_that_says_nothing_is_given_up(
    board: KubernetesSwitchboard, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "SECONDS", 0.2)
    answers = threading.Event()

    def hang(_method: str, _path: str) -> Said | None:
        answers.wait(20)
        return None

    world.before = hang
    try:
        began = time.monotonic()
        with pytest.raises(SwitchboardError, match="does not answer: TimeoutError") as refused:
            board.resolve(["web"])
        assert refused.value.transient
        assert time.monotonic() - began < 5
    finally:
        answers.set()


def pem(key: ec.EllipticCurvePrivateKey, *certificates: x509.Certificate) -> bytes:
    """A key with its certificates."""
    own = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return own + b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)


def signed(name: str, key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, issuer: str) -> x509.Certificate:
    """A certificate for this machine's address, or, by itself, an authority as older clusters make them."""
    now = datetime.datetime.now(datetime.UTC)
    own, theirs = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, each)]) for each in (name, issuer))
    made = x509.CertificateBuilder(theirs, own, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
    addresses = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = made.add_extension(x509.BasicConstraints(name == issuer, None), critical=True)
    return made.add_extension(addresses, critical=False).sign(by, hashes.SHA256())


def test_a_pod_asks_with_its_renewed_token_and_only_who_its_authority_vouches_for(world: World, tmp_path: Path) -> None:
    authority, key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    root = signed("cluster", authority, authority, "cluster")
    (tmp_path / "server.pem").write_bytes(pem(key, signed("api", key, authority, "cluster")))
    account = tmp_path / "account"
    account.mkdir()
    (account / "ca.crt").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    (account / "namespace").write_text(NAMESPACE)
    (account / "token").write_text("first")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    server = serve(world, context)
    try:
        world.has("web", 1)
        environ = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.server_port)}
        board = KubernetesSwitchboard(cluster.found(environ, account), spare_seconds=0)
        assert board.resolve(["web"]) == [Unit("web", "running", "healthy", 1)]
        (account / "token").write_text("second")
        assert board.resolve(["web"]) == [Unit("web", "running", "healthy", 1)]
        assert world.tokens == {"Bearer first", "Bearer second"}
        (account / "token").unlink()
        with pytest.raises(SwitchboardError, match="token cannot be read"):
            board.resolve(["web"])
        (account / "token").write_text("third")
        stranger = signed("cluster", other, other, "cluster")
        (account / "ca.crt").write_bytes(stranger.public_bytes(serialization.Encoding.PEM))
        board = KubernetesSwitchboard(cluster.found(environ, account), spare_seconds=0)
        with pytest.raises(SwitchboardError, match="does not answer"):
            board.resolve(["web"])
        assert "Bearer third" not in world.tokens
    finally:
        server.shutdown()
        server.server_close()


def test_a_pod_without_its_account_is_told_what_it_lacks(tmp_path: Path) -> None:
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    with pytest.raises(StopError, match=r"wanted the pod's service account with token, ca\.crt and namespace"):
        cluster.found(environ, tmp_path)
    (tmp_path / "namespace").write_text(NAMESPACE)
    (tmp_path / "ca.crt").write_text("no certificate")
    with pytest.raises(StopError, match="automountServiceAccountToken"):
        cluster.found(environ, tmp_path)
    with pytest.raises(StopError, match="serviceaccount: cannot be read"):
        switchboard.connect(environ)
