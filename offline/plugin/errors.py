"""Errors as the engine reads them: a status code, a message, and where an object half-exists, its state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

import grpc
from google.protobuf import any_pb2
from pulumi.runtime.proto import provider_pb2, status_pb2

from offline.plugin.values import Properties, Value, encode

STATUS_METADATA = "grpc-status-details-bin"


class PluginError(Exception):
    """A failure whose message is shown to the user as it stands."""

    def __init__(self, message: str, code: grpc.StatusCode = grpc.StatusCode.UNKNOWN) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class InitFailedError(PluginError):
    """The object exists, but did not become ready: the engine records `id` and `properties`, and the update fails."""

    def __init__(
        self,
        message: str,
        *,
        id: str,  # noqa: A002  the protocol's name
        properties: Mapping[str, Value],
        inputs: Mapping[str, Value],
        reasons: Sequence[str] | None = None,
    ) -> None:
        super().__init__(message)
        self.id = id
        self.properties: Properties = dict(properties)
        self.inputs: Properties = dict(inputs)
        self.reasons = list(reasons if reasons is not None else [message])


def abort(context: grpc.ServicerContext, error: PluginError) -> NoReturn:
    """End a call with an error, with the detail `ErrorResourceInitFailed` where the object exists."""
    if isinstance(error, InitFailedError):
        detail = any_pb2.Any()
        detail.Pack(
            provider_pb2.ErrorResourceInitFailed(
                id=error.id,
                properties=encode(error.properties),
                reasons=error.reasons,
                inputs=encode(error.inputs),
            )
        )
        status = status_pb2.Status(code=error.code.value[0], message=error.message, details=[detail])
        context.set_trailing_metadata(((STATUS_METADATA, status.SerializeToString()),))
    context.abort(error.code, error.message)
    raise AssertionError("grpc's abort returned")
