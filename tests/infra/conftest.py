"""Runs the program against Pulumi's mocks, each time with its own event loop, and records what it declares."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pulumi
import pulumi.runtime
import pulumi.runtime.settings
import pytest

from infra import attempt, outputs, settings, system
from infra.bundle import Kept
from infra.model import System
from infra.platforms import platform_of
from infra.platforms.docker import daemon
from infra.platforms.kubernetes import cluster
from infra.settings import Settings
from kubeapi.client import Client
from tests.infra.apiserver import ApiServer

PROJECT, STACK = "scaffold", "unit"
PROCESSORS = 2
DEVELOPMENT = {"environment": "development"}

CONTAINER = "docker:index/container:Container"
NETWORK = "docker:index/network:Network"
VOLUME = "docker:index/volume:Volume"
KEY = "tls:index/privateKey:PrivateKey"
CERTIFICATE = "tls:index/selfSignedCert:SelfSignedCert"
IMAGE = "docker:index/remoteImage:RemoteImage"
PUSHED = "docker:index/image:Image"
# What failed is told of again when it is thrown away, which the collector may do at any time. Python 3.11 that has to
# show where it failed while it makes a syntax tree loses count of that (SystemError: AST constructor recursion depth
# mismatch).
logging.getLogger("asyncio").disabled = True


class Callbacks:
    """Takes the program's hooks, which the mocks' monitor never calls."""

    def register_resource_hook(self, hook: pulumi.ResourceHook) -> None:
        """Take a hook."""


@dataclass
class Declared:
    """The resources of one run by type and logical name, the stack's outputs, and what was described."""

    resources: dict[str, dict[str, Mapping[str, Any]]] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    system: System | None = None

    def of(self, kind: str) -> dict[str, Mapping[str, Any]]:
        """Return the inputs of the resources of one type by logical name."""
        return self.resources.get(kind, {})

    def objects(self, kind: str) -> dict[str, Mapping[str, Any]]:
        """Return the objects of a kind of Kubernetes by logical name."""
        return next((found for typ, found in self.resources.items() if typ.endswith(f":{kind}")), {})


class Recorder(pulumi.runtime.Mocks):
    """Answers as a daemon would on which every job ends with the exit code that the test chose."""

    def __init__(self, exit_codes: Mapping[str, int]) -> None:
        self.exit_codes = exit_codes
        self.declared = Declared()

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        """Record a resource and invent what the provider would compute."""
        assert args.name not in self.declared.of(args.typ), f"{args.name} is declared twice"
        self.declared.resources.setdefault(args.typ, {})[args.name] = args.inputs
        computed: dict[str, Any] = {}
        if args.typ == CONTAINER:
            computed = {"exitCode": self.exit_codes.get(args.name, 0), "containerLogs": "the last words"}
        elif args.typ == IMAGE:
            computed = {"imageId": f"sha256:{'1' * 64}"}
        elif args.typ == PUSHED:
            computed = {"repoDigest": f"{args.inputs['imageName'].rpartition(':')[0]}@sha256:{'0' * 64}"}
        elif args.typ.startswith("kubernetes:") and "metadata" in args.inputs:
            own = {"name": f"{args.name}-made-up", "uid": f"uid-of-{args.name}"}
            computed = {"metadata": {**own, **args.inputs["metadata"]}}
        elif args.typ.startswith("random:"):
            computed = {"result": f"value-of-{args.name}"}
        elif args.typ.startswith("tls:"):
            told = "certPem" if "privateKeyPem" in args.inputs else "privateKeyPem"
            computed = {told: f"value-of-{args.name}"}
        return f"id-of-{args.name}", {**args.inputs, **computed}

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        """Refuse: the program asks no provider anything."""
        raise AssertionError(f"the program calls {args.token}")


RunProgram = Callable[..., Declared]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApiServer]:
    """An API server, in the cluster's place."""
    server = ApiServer()
    yield server
    server.stop()


@pytest.fixture
def on_kubernetes(api: ApiServer, tmp_path: Path) -> dict[str, str]:
    """The settings of a stack on that cluster."""
    return {
        "platform": "kubernetes",
        "kubeconfig": str(api.kubeconfig(tmp_path)),
        "imageRegistry": "registry.example.com/me",
        "siteUrl": "https://app.example.com",
    }


@pytest.fixture
def run_program(monkeypatch: pytest.MonkeyPatch, api: ApiServer) -> Iterator[RunProgram]:
    """Run the whole program with the given configuration and return what it declared."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    # The mocks work on threads of their own, each of which needs a loop that somebody closes.
    of_threads: list[asyncio.AbstractEventLoop] = []

    def give_the_thread_a_loop() -> None:
        of_threads.append(asyncio.new_event_loop())
        asyncio.set_event_loop(of_threads[-1])

    executor = ThreadPoolExecutor(max_workers=4, initializer=give_the_thread_a_loop)
    loop.set_default_executor(executor)

    monkeypatch.setattr(daemon, "processors", lambda _host: PROCESSORS)
    monkeypatch.setattr(daemon, "told", lambda _host, _what, **_by: "linux/amd64")
    monkeypatch.setattr(daemon, "names", lambda _host: frozenset())
    # No gateway runs, and nobody has its port.
    monkeypatch.setattr(daemon, "container", lambda _host, _name: None)
    monkeypatch.setattr(daemon, "publishers", lambda _host, _port: [])
    monkeypatch.setattr(daemon, "listened_on", lambda _address, _port: False)
    # No service has written anything.
    monkeypatch.setattr(daemon, "content", lambda _host, _container, _path: "")
    clients: list[Client] = []
    really_connect = cluster.connect

    def connect(configured: Settings) -> Client:
        clients.append(really_connect(configured))
        return clients[-1]

    # A run of the program ends with its process; here something has to close its connections.
    monkeypatch.setattr(cluster, "connect", connect)

    def run(
        config: Mapping[str, str] | None = None,
        *,
        exit_codes: Mapping[str, int] | None = None,
        preview: bool = False,
        encrypted: bool = True,
        before: Sequence[Kept] = (),
        recover: str = "",
    ) -> Declared:
        recorder = Recorder(exit_codes or {})
        pulumi.runtime.set_mocks(recorder, project=PROJECT, stack=STACK, preview=preview)
        pulumi.runtime.settings.SETTINGS.callbacks = cast(Any, Callbacks())
        given = {**DEVELOPMENT, **(config or {})}
        full = {f"{PROJECT}:{key}": value for key, value in given.items()}
        pulumi.runtime.set_all_config(full, [f"{PROJECT}:{key}" for key in (settings.SECRETS if encrypted else ())])

        def program() -> None:
            configured = settings.from_stack()
            described, made = system.describe(configured, PROJECT, STACK, before, recover=recover)
            recorder.declared.system = described
            api.release = described.release
            platform = platform_of(configured)
            former = platform.check(described, configured)
            described = attempt.marked(described)
            serving = platform.run(described, configured, former)
            recorder.declared.outputs = {}
            for name, value in outputs.of(configured, platform.addresses(described), serving, made, before).items():
                told = functools.partial(recorder.declared.outputs.__setitem__, name)
                pulumi.Output.from_input(value).apply(told)

        try:
            pulumi.runtime.test(program)()  # type: ignore[no-untyped-call]
        finally:
            # What waits for the one that failed has failed too: taken note of here, or a later test would hear of it.
            left = list(pulumi.runtime.settings.SETTINGS.outputs)
            loop.run_until_complete(asyncio.wait(left, timeout=10) if left else asyncio.sleep(0))
            for task in left:
                if task.done() and not task.cancelled():
                    task.exception()
        return recorder.declared

    yield run
    pulumi.runtime.set_all_config({})
    for client in clients:
        client.close()
    executor.shutdown()
    for each in [*of_threads, loop]:
        each.close()
    asyncio.set_event_loop(None)
