"""The Kubernetes plugin as the engine sees it: a process, asked over gRPC as the recordings write requests."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Mapping
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, provider_pb2_grpc, status_pb2

from offline.plugin.values import UNKNOWN, Properties, Secret, Unknown, Value, decode, encode

ROOT = Path(__file__).resolve().parent.parent.parent
CALL_SECONDS = 400.0
SECRET, UNKNOWN_TEXT = "<secret>", "<unknown>"
OPTIONS = (("grpc.max_metadata_size", 4 * 1024 * 1024), ("grpc.absolute_max_metadata_size", 4 * 1024 * 1024))
SEVERITIES = {0: "DEBUG", 1: "INFO", 2: "WARNING", 3: "ERROR"}


class Engine(engine_pb2_grpc.EngineServicer):
    """An engine that only keeps what is logged."""

    def __init__(self) -> None:
        self.messages: list[engine_pb2.LogRequest] = []

    def Log(self, request: engine_pb2.LogRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: ARG002, N802  the protocol's name
        """Keep one message."""
        self.messages.append(request)
        return empty_pb2.Empty()


@dataclass
class Plugin:
    """A running plugin. Requests and answers are dicts shaped as the recordings are."""

    stub: provider_pb2_grpc.ResourceProviderStub
    engine: Engine
    process: subprocess.Popen[str]
    channel: grpc.Channel
    server: grpc.Server

    def configure(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Configure the provider; return an error as `{"error": …}`."""
        try:
            self.stub.Configure(
                provider_pb2.ConfigureRequest(args=encode(_properties(dict(settings))), acceptSecrets=True),
                timeout=CALL_SECONDS,
            )
        except grpc.RpcError as error:
            return {"error": _error(error)}
        return {}

    def ask(self, rpc: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Make one call and return its answer, or its error as `{"error": …}`, with what was logged meanwhile."""
        logged = len(self.engine.messages)
        try:
            found = _answer(rpc, getattr(self.stub, rpc)(message(rpc, request), timeout=CALL_SECONDS))
        except grpc.RpcError as error:
            found = {"error": _error(error)}
        return {**found, "logs": [_log(entry) for entry in self.engine.messages[logged:]]}

    def cancel(self) -> None:
        """Cancel what is under way, as the engine does when a user interrupts it."""
        self.stub.Cancel(empty_pb2.Empty(), timeout=CALL_SECONDS)

    def stop(self) -> None:
        """End the process as the engine does, and the engine."""
        self.channel.close()
        self.process.terminate()
        self.process.wait(10)
        if self.process.stdout:
            self.process.stdout.close()
        self.server.stop(0).wait()


def start(settings: Mapping[str, Any] | None = None) -> Plugin:
    """Start the plugin, configured where settings are given."""
    engine = Engine()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    process = subprocess.Popen(
        [sys.executable, "-I", str(ROOT / "offline" / "launch.py"), "kubernetes", f"127.0.0.1:{port}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    channel = grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}", options=OPTIONS)
    plugin = Plugin(provider_pb2_grpc.ResourceProviderStub(channel), engine, process, channel, server)
    if settings is not None:
        refused = plugin.configure(settings)
        assert not refused, refused
    return plugin


def message(rpc: str, request: Mapping[str, Any]) -> Any:
    """Return the protocol's message for a recorded request."""
    made = {
        "Check": provider_pb2.CheckRequest,
        "CheckConfig": provider_pb2.CheckRequest,
        "Diff": provider_pb2.DiffRequest,
        "DiffConfig": provider_pb2.DiffRequest,
        "Create": provider_pb2.CreateRequest,
        "Read": provider_pb2.ReadRequest,
        "Update": provider_pb2.UpdateRequest,
        "Delete": provider_pb2.DeleteRequest,
    }[rpc]()
    for key, value in request.items():
        if key == "randomSeedBase64":
            made.randomSeed = base64.b64decode(value)
        elif key == "autonaming":
            made.autonaming.proposed_name = value["proposedName"]
            made.autonaming.mode = made.autonaming.Mode.Value(value["mode"])
        elif key == "ignoreChanges":
            made.ignoreChanges.extend(value)
        elif isinstance(value, dict):
            getattr(made, {"oldInputs": "old_inputs"}.get(key, key)).CopyFrom(encode(_properties(value)))
        elif value is not None:
            setattr(made, key, value)
    return made


def value_of(written: Any) -> Value:
    """Return a value as the recordings write it as a property value."""
    if isinstance(written, dict):
        if set(written) == {SECRET}:
            return Secret(value_of(written[SECRET]))
        return {key: value_of(item) for key, item in written.items()}
    if isinstance(written, list):
        return [value_of(item) for item in written]
    found: Value = UNKNOWN if written == UNKNOWN_TEXT else written
    return found


def written(value: Value) -> Any:
    """Return a property value as the recordings write it."""
    if isinstance(value, dict):
        return {key: written(item) for key, item in value.items()}
    if isinstance(value, list):
        return [written(item) for item in value]
    if isinstance(value, Secret):
        return {SECRET: written(value.value)}
    return UNKNOWN_TEXT if isinstance(value, Unknown) else value


def _properties(fields: Mapping[str, Any]) -> Properties:
    return {key: value_of(item) for key, item in fields.items()}


def _plain(struct: Any) -> Any:
    return written(decode(struct))


def _answer(rpc: str, answered: Any) -> dict[str, Any]:
    if rpc in ("Check", "CheckConfig"):
        failures = [{"property": failure.property, "reason": failure.reason} for failure in answered.failures]
        return {"failures": failures, "inputs": _plain(answered.inputs)}
    if rpc in ("Diff", "DiffConfig"):
        found = {
            "changes": provider_pb2.DiffResponse.DiffChanges.Name(answered.changes),
            "deleteBeforeReplace": answered.deleteBeforeReplace,
            "diffs": list(answered.diffs),
            "replaces": list(answered.replaces),
        }
        if rpc == "DiffConfig":
            return found
        kinds = {
            path: {"inputDiff": entry.inputDiff, "kind": provider_pb2.PropertyDiff.Kind.Name(entry.kind)}
            for path, entry in answered.detailedDiff.items()
        }
        return {
            **found, "detailedDiff": kinds, "hasDetailedDiff": answered.hasDetailedDiff,
            "stables": list(answered.stables),
        }  # fmt: skip
    if rpc == "Delete":
        return {}
    found = {"properties": _plain(answered.properties)}
    if rpc != "Update":
        found["id"] = answered.id
    if rpc == "Read":
        found["inputs"] = _plain(answered.inputs)
    return found


def _log(entry: engine_pb2.LogRequest) -> dict[str, Any]:
    return {"severity": SEVERITIES[entry.severity], "message": entry.message, "status": entry.ephemeral}


def _error(error: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"code": error.code().name, "message": error.details()}
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                failed = provider_pb2.ErrorResourceInitFailed()
                if detail.Unpack(failed):
                    found["initFailed"] = {
                        "id": failed.id,
                        "inputs": _plain(failed.inputs),
                        "properties": _plain(failed.properties),
                        "reasons": list(failed.reasons),
                    }
    return found
