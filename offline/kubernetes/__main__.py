"""Runs the Kubernetes provider as the engine starts it: `python -m offline.kubernetes ENGINE_ADDRESS`."""

from __future__ import annotations

import threading


def main() -> None:
    """Serve until the engine is gone."""
    from offline.plugin.lean import skip_sdk

    skip_sdk()
    from pulumi.runtime.proto import provider_pb2_grpc

    from offline.kubernetes.provider import Provider
    from offline.plugin.serve import engine_address, serve

    provider = Provider(engine_address())
    # The engine asks a few questions before it needs the cluster: time in which to load the client.
    threading.Thread(target=__import__, args=("offline.kubernetes.lives",), daemon=True).start()
    serve(lambda server: provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server))


if __name__ == "__main__":
    main()
