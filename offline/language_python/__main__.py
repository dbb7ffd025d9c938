"""Serves the language host on a free local port, which it prints."""

from __future__ import annotations

import grpc
from pulumi.runtime.proto import language_pb2_grpc

from offline.language_python.host import LanguageHost
from offline.plugin.serve import engine_address, serve


def main() -> None:
    """Serve until the engine is gone."""
    host = LanguageHost(engine_address())

    def add(server: grpc.Server) -> None:
        language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)  # type: ignore[no-untyped-call,unused-ignore]

    serve(add)


if __name__ == "__main__":
    main()
