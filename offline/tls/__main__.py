"""Serves the tls provider on a free local port, which it prints."""

from __future__ import annotations

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from offline.plugin.serve import serve
from offline.tls.provider import TlsProvider


def main() -> None:
    """Serve until the engine is gone."""

    def add(server: grpc.Server) -> None:
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(TlsProvider(), server)  # type: ignore[no-untyped-call,unused-ignore]

    serve(add)


if __name__ == "__main__":
    main()
