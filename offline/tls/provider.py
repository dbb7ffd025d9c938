# ruff: noqa: N802  the protocol names the methods and their parameters
"""Answers the engine's calls for keys and certificates; nothing exists outside the state."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import grpc
from pulumi.runtime.proto import provider_pb2

from offline.plugin.errors import PluginError, abort
from offline.plugin.stateless import Stateless
from offline.plugin.urn import type_of
from offline.plugin.values import (
    UNKNOWN,
    Properties,
    Secret,
    Value,
    contains_unknown,
    decode,
    encode,
    encode_value,
    reveal_properties,
)
from offline.tls import VERSION
from offline.tls.difference import READY, difference
from offline.tls.renewal import due, from_the_start
from offline.tls.resources import RESOURCES, Resource
from offline.tls.schema import checked, with_defaults


class TlsProvider(Stateless):
    """The ResourceProvider service for `tls`."""

    version = VERSION
    # A proxy is for what fetches certificates, which nothing here does.
    settings = frozenset({"proxy"})
    no_setting = "the tls provider has no such setting"

    def Check(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        """Refuse what cannot be made, with the input's name; a private key is a secret, marked or not."""
        resource = _resource(request.urn, context)
        inputs = decode(request.news)
        response = provider_pb2.CheckResponse(
            inputs=request.news,
            failures=[
                provider_pb2.CheckFailure(property=each.name, reason=each.reason)
                for each in checked(resource.inputs, inputs, resource.check)
            ],
        )
        for name, value in inputs.items():
            if name in resource.inputs and resource.inputs[name].secret and not isinstance(value, Secret | None):
                response.inputs.fields[name].CopyFrom(encode_value(Secret(value)))
        return response

    def Diff(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Say what a change of inputs, or a certificate's end, replaces."""
        resource = _resource(request.urn, context)
        try:
            found = difference(resource, decode(request.olds), decode(request.news), _now())
        except PluginError as error:
            abort(context, error)
        ignored = set(request.ignoreChanges) - {READY}
        replaces = [name for name in found.replaces if name not in ignored]
        names = [*replaces, *(name for name in found.updates if name not in ignored)]
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if names else provider_pb2.DiffResponse.DIFF_NONE,
            replaces=replaces,
            diffs=sorted(names),
        )

    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:
        """Make the key or the certificate; in a preview what it will tell is unknown."""
        resource = _resource(request.urn, context)
        inputs = decode(request.properties)
        try:
            if request.preview or contains_unknown(dict(inputs)):
                identifier, made = "", unmade(resource, inputs)
            else:
                identifier, made = resource.make(with_defaults(resource.inputs, inputs), _now())
        except PluginError as error:
            abort(context, error)
        return provider_pb2.CreateResponse(id=identifier, properties=encode(state(resource, inputs, made)))

    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        """Return the state as it is, but for a certificate whose time has come; nothing can be imported."""
        resource = _resource(request.urn, context)
        if not request.properties.fields:
            kind = type_of(request.urn).rpartition(":")[2]
            abort(context, PluginError(f"{kind} cannot be imported: there is nothing of it but what made it"))
        response = provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)
        known = reveal_properties(decode(request.properties))
        try:
            if resource.expires and due(known, known.get("earlyRenewalHours", 0), _now()):
                response.properties.fields[READY].CopyFrom(encode_value(True))
        except PluginError as error:
            abort(context, error)
        return response

    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:
        """Take the new inputs over; what was made stays."""
        resource = _resource(request.urn, context)
        olds, news = decode(request.olds), decode(request.news)
        staying = [name for name, one in resource.inputs.items() if one.stays and news.get(name) is None]
        made = {name: olds[name] for name in (*resource.outputs, *staying) if name in olds}
        return provider_pb2.UpdateResponse(properties=encode(state(resource, news, made)))


def unmade(resource: Resource, inputs: Properties) -> Properties:
    """Return the outputs of something that is not made yet, and the inputs that making it decides."""
    undecided = [name for name, one in resource.inputs.items() if one.stays and inputs.get(name) is None]
    return dict.fromkeys((*resource.outputs, *undecided), UNKNOWN)


def state(resource: Resource, inputs: Properties, made: Properties) -> Properties:
    """Return the outputs: the inputs as given with their secret marks, the defaults, and what was made."""
    full = with_defaults(resource.inputs, inputs)
    complete: dict[str, Value] = dict(full)
    complete.update({name: value for name, value in inputs.items() if name in resource.inputs and value is not None})
    complete.update(made)
    if resource.expires:
        complete[READY] = from_the_start(full)
    if resource.schema_version:
        complete["__meta"] = json.dumps({"schema_version": str(resource.schema_version)}, separators=(",", ":"))
    return {
        name: Secret(value) if name in resource.secret and not isinstance(value, Secret) else value
        for name, value in complete.items()
        if value is not None and not (name in resource.inputs and resource.inputs[name].untold)
    }


def _now() -> datetime:
    return datetime.now(UTC)


def _resource(urn: str, context: grpc.ServicerContext) -> Resource:
    token = type_of(urn) if urn.count("::") >= 3 else urn
    found = RESOURCES.get(token)
    if found is None:
        known = ", ".join(each.rpartition(":")[2] for each in RESOURCES)
        abort(
            context,
            PluginError(
                f"{token} is not among the resources of the offline tls provider: {known}. For others take the "
                f"official one: pulumi plugin install resource tls {VERSION}"
            ),
        )
    return found
