"""Serves the Kubernetes provider on a free local port, which it prints."""

from __future__ import annotations

import threading

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from offline.kubernetes.provider import Provider
from offline.plugin.serve import engine_address, serve


def main() -> None:
    """Serve until the engine is gone."""
    provider = Provider(engine_address())

    def add(server: grpc.Server) -> None:
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)  # type: ignore[no-untyped-call,unused-ignore]

    # The engine asks a few questions before it needs the cluster: time in which to load the client.
    threading.Thread(target=__import__, args=("offline.kubernetes.lives",), daemon=True).start()
    serve(add)


if __name__ == "__main__":
    main()
