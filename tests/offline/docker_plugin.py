"""The Docker plugin as the engine sees it: a process, asked over gRPC, that logs to an engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, provider_pb2_grpc, status_pb2

from offline.plugin.values import Properties, Secret, Value, decode, decode_value, encode, encode_value

ROOT = Path(__file__).resolve().parent.parent.parent
CALL_SECONDS = 300.0
SEED = b"seed"
META = "__meta"


class Log(engine_pb2_grpc.EngineServicer):
    """An engine that only keeps what is logged."""

    def __init__(self) -> None:
        self.messages: list[engine_pb2.LogRequest] = []

    def Log(self, request: engine_pb2.LogRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: ARG002, N802  the protocol's name
        """Keep one message."""
        self.messages.append(request)
        return empty_pb2.Empty()


@dataclass
class Plugin:
    """A running plugin. Answers are dicts shaped as the recordings are."""

    stub: provider_pb2_grpc.ResourceProviderStub
    log: Log
    process: subprocess.Popen[str]
    channel: grpc.Channel
    engine: grpc.Server
    made: list[tuple[str, str]] = field(default_factory=list)

    def ask(self, rpc: str, urn: str = "", **request: Any) -> dict[str, Any]:
        """Make one call and return its answer, or its error as `{"error": …}`."""
        try:
            return self._answer(rpc, urn, request)
        except grpc.RpcError as error:
            return {"error": _error(error)}

    def _answer(self, rpc: str, urn: str, request: Mapping[str, Any]) -> dict[str, Any]:
        call = getattr(self.stub, rpc)
        structs = {key: _struct(request.get(key)) for key in ("olds", "news", "properties", "inputs", "args")}
        old_inputs = _struct(request.get("oldInputs"))
        if rpc in ("Check", "CheckConfig"):
            naming = None
            if "autonaming" in request:
                naming = provider_pb2.CheckRequest.AutonamingOptions(
                    proposed_name=request["autonaming"].get("proposedName", ""), mode=request["autonaming"]["mode"]
                )
            checked = call(
                provider_pb2.CheckRequest(
                    urn=urn, olds=structs["olds"], news=structs["news"], randomSeed=SEED, autonaming=naming
                ),
                timeout=CALL_SECONDS,
            )
            found = {"inputs": plain(checked.inputs)}
            return {**found, "failures": _failures(checked.failures)} if checked.failures else found
        if rpc in ("Diff", "DiffConfig"):
            answered = call(
                provider_pb2.DiffRequest(
                    id=request.get("id", ""), urn=urn, olds=structs["olds"], news=structs["news"],
                    old_inputs=old_inputs, ignoreChanges=request.get("ignoreChanges", []),
                ),
                timeout=CALL_SECONDS,
            )  # fmt: skip
            return _diff(answered)
        if rpc == "Configure":
            answered = call(
                provider_pb2.ConfigureRequest(args=structs["args"], acceptSecrets=True), timeout=CALL_SECONDS
            )
            return {
                "acceptOutputs": answered.acceptOutputs,
                "acceptResources": answered.acceptResources,
                "acceptSecrets": answered.acceptSecrets,
                "supportsPreview": answered.supportsPreview,
                "supports_autonaming_configuration": answered.supports_autonaming_configuration,
            }
        if rpc == "Create":
            created = call(
                provider_pb2.CreateRequest(
                    urn=urn, properties=structs["properties"], preview=request.get("preview", False)
                ),
                timeout=CALL_SECONDS,
            )
            return {"id": created.id, "properties": plain(created.properties)}
        if rpc == "Read":
            read = call(
                provider_pb2.ReadRequest(
                    id=request["id"], urn=urn, properties=structs["properties"], inputs=structs["inputs"]
                ),
                timeout=CALL_SECONDS,
            )
            return {"id": read.id, "properties": plain(read.properties), "inputs": plain(read.inputs)}
        if rpc == "Update":
            updated = call(
                provider_pb2.UpdateRequest(
                    id=request["id"], urn=urn, olds=structs["olds"], news=structs["news"], old_inputs=old_inputs,
                    preview=request.get("preview", False),
                ),
                timeout=CALL_SECONDS,
            )  # fmt: skip
            return {"properties": plain(updated.properties)}
        if rpc == "Delete":
            call(
                provider_pb2.DeleteRequest(
                    id=request["id"], urn=urn, properties=structs["properties"], old_inputs=old_inputs
                ),
                timeout=CALL_SECONDS,
            )
            return {}
        invoked = call(provider_pb2.InvokeRequest(tok=request["tok"], args=structs["args"]), timeout=CALL_SECONDS)
        found = {"return": plain(getattr(invoked, "return"))}
        return {**found, "failures": _failures(invoked.failures)} if invoked.failures else found

    def stop(self) -> None:
        """End the process as the engine does, and the engine."""
        self.channel.close()
        self.process.terminate()
        self.process.wait(10)
        if self.process.stdout:
            self.process.stdout.close()
        self.engine.stop(0).wait()


def start(folder: Path, environment: Mapping[str, str] | None = None) -> Plugin:
    """Start the plugin with a working directory; it is not configured yet."""
    log = Log()
    engine = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    engine_pb2_grpc.add_EngineServicer_to_server(log, engine)
    port = engine.add_insecure_port("127.0.0.1:0")
    engine.start()
    process = subprocess.Popen(
        [sys.executable, "-I", str(ROOT / "offline" / "launch.py"), "docker", f"127.0.0.1:{port}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, cwd=folder,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip
    assert process.stdout is not None
    channel = grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}")
    stub = provider_pb2_grpc.ResourceProviderStub(channel)
    return Plugin(stub, log, process, channel, engine)


def plain(struct: Any) -> dict[str, Any]:
    """Return a Struct as the recordings write it: marks spelled out, no key the bridge keeps to itself."""
    found: dict[str, Any] = json.loads(json.dumps(_spelled(decode(struct))))
    return found


def _spelled(value: Value) -> Any:
    if isinstance(value, dict):
        return {key: _spelled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_spelled(item) for item in value]
    if isinstance(value, Secret):
        marked = encode_value(Secret("x")).struct_value
        return {**{k: v.string_value for k, v in marked.fields.items()}, "value": _spelled(value.value)}
    return encode_value(value).string_value if not isinstance(value, bool | int | float | str | None) else value


def _struct(value: Any) -> Any:
    if value is None:
        return None
    found: Properties = {}
    for key, item in value.items():
        found[key] = decode_value(encode_value(item))
    return encode(found)


def _failures(found: Any) -> list[dict[str, str]]:
    return [{"property": failure.property, "reason": failure.reason} for failure in found]


def _diff(answered: provider_pb2.DiffResponse) -> dict[str, Any]:
    found: dict[str, Any] = {
        "changes": provider_pb2.DiffResponse.DiffChanges.Name(answered.changes),
        "deleteBeforeReplace": answered.deleteBeforeReplace,
    }
    if answered.hasDetailedDiff:
        found["detailedDiff"] = {
            path: provider_pb2.PropertyDiff.Kind.Name(entry.kind) for path, entry in answered.detailedDiff.items()
        }
    if answered.diffs:
        found["diffs"] = list(answered.diffs)
    if answered.replaces:
        found["replaces"] = list(answered.replaces)
    return found


def _error(error: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"code": error.code().name, "message": error.details()}
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status = status_pb2.Status.FromString(value)
            for detail in status.details:
                failed = provider_pb2.ErrorResourceInitFailed()
                if detail.Unpack(failed):
                    found["initFailed"] = {
                        "id": failed.id,
                        "inputs": plain(failed.inputs),
                        "properties": plain(failed.properties),
                    }
    return found


def timed(plugin: Plugin, rpc: str, urn: str, **request: Any) -> tuple[dict[str, Any], float]:
    """Make one call and return its answer and how many seconds it took."""
    begun = time.monotonic()
    return plugin.ask(rpc, urn, **request), time.monotonic() - begun
