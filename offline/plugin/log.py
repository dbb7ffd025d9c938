"""The engine's log: what a plugin says about a resource while it works."""

from __future__ import annotations

import threading

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

TIMEOUT_SECONDS = 10.0

DEBUG = engine_pb2.DEBUG
INFO = engine_pb2.INFO
WARNING = engine_pb2.WARNING
ERROR = engine_pb2.ERROR


class EngineLog:
    """Sends messages to the engine; with no address it drops them. An engine that does not answer is no error."""

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._stub: engine_pb2_grpc.EngineStub | None = None

    def _connect(self) -> engine_pb2_grpc.EngineStub | None:
        with self._lock:
            if self._stub is None and self._address:
                self._stub = engine_pb2_grpc.EngineStub(grpc.insecure_channel(self._address))  # type: ignore[no-untyped-call,unused-ignore]
            return self._stub

    def write(self, severity: engine_pb2.LogSeverity.ValueType, message: str, urn: str = "") -> None:
        """Log one message under a resource, at most ten seconds."""
        self._send(engine_pb2.LogRequest(severity=severity, message=message, urn=urn))

    def status(self, message: str, urn: str = "") -> None:
        """Show a line of progress beside a resource; it is not kept."""
        self._send(engine_pb2.LogRequest(severity=INFO, message=message, urn=urn, ephemeral=True))

    def _send(self, request: engine_pb2.LogRequest) -> None:
        stub = self._connect()
        if stub is None:
            return
        try:
            stub.Log(request, timeout=TIMEOUT_SECONDS)
        except grpc.RpcError:
            return  # the log is a courtesy: what is being done goes on
