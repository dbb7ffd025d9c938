# ruff: noqa: ARG002, N802  the protocol names the methods and their parameters
"""The calls that all providers answer alike of whose resources nothing exists outside the state."""

from __future__ import annotations

from typing import ClassVar

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc


class Stateless(provider_pb2_grpc.ResourceProviderServicer):
    """Agrees on the protocol, and has nothing to configure, delete or cancel; a provider says what it mirrors."""

    version: ClassVar[str]
    """Of the official provider."""
    settings: ClassVar[frozenset[str]] = frozenset()
    """Names that its configuration may have and that mean nothing here."""
    no_setting: ClassVar[str]
    """Why any other name is refused."""

    def Handshake(
        self, request: provider_pb2.ProviderHandshakeRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ProviderHandshakeResponse:
        """Agree on the protocol: secrets stay marked."""
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=True)

    def GetPluginInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Say which version of the official provider this one mirrors."""
        return plugin_pb2.PluginInfo(version=self.version)

    def CheckConfig(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Accept the provider's inputs, and refuse others by name."""
        known = {"version", "pluginDownloadURL", "__internal", *self.settings}
        return provider_pb2.CheckResponse(
            inputs=request.news,
            failures=[
                provider_pb2.CheckFailure(property=name, reason=self.no_setting)
                for name in request.news.fields
                if name not in known
            ],
        )

    def DiffConfig(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Nothing of the provider's settings concerns a resource."""
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(
        self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        """Agree on the protocol, for engines without a handshake."""
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True, acceptResources=True)

    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Forget: there is nothing but the state."""
        return empty_pb2.Empty()

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Nothing here takes long enough to be cancelled."""
        return empty_pb2.Empty()
