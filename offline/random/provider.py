# ruff: noqa: N802  the protocol names the methods and their parameters
"""Answers the engine's calls for the random resources; nothing exists outside the state."""

from __future__ import annotations

import grpc
from pulumi.runtime.proto import provider_pb2

from offline.plugin.errors import PluginError, abort
from offline.plugin.stateless import Stateless
from offline.plugin.urn import type_of
from offline.plugin.values import UNKNOWN, Properties, Secret, Value, contains_unknown, decode, encode
from offline.random import VERSION
from offline.random.difference import difference
from offline.random.resources import RESOURCES, Resource
from offline.random.schema import Refusal, checked, with_defaults


class RandomProvider(Stateless):
    """The ResourceProvider service for `random`."""

    version = VERSION
    no_setting = "the random provider has no settings"

    def Check(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        """Refuse what cannot be drawn, with the input's name."""
        resource = _resource(request.urn, context)
        inputs = decode(request.news)
        refusals = checked(resource.inputs, inputs, resource.check)
        number, numeric = inputs.get("number"), inputs.get("numeric")
        if isinstance(number, bool) and isinstance(numeric, bool) and number != numeric:
            refusals.append(Refusal("number", "contradicts numeric, whose old name it is; give numeric alone"))
        return provider_pb2.CheckResponse(
            inputs=request.news,
            failures=[provider_pb2.CheckFailure(property=each.name, reason=each.reason) for each in refusals],
        )

    def Diff(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Say what a change of inputs replaces."""
        resource = _resource(request.urn, context)
        found = difference(resource, decode(request.olds), decode(request.news))
        ignored = set(request.ignoreChanges)
        replaces = [name for name in found.replaces if name not in ignored]
        names = [*replaces, *(name for name in found.updates if name not in ignored)]
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if names else provider_pb2.DiffResponse.DIFF_NONE,
            replaces=replaces,
            diffs=names,
        )

    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:
        """Draw the values; in a preview they are unknown."""
        resource = _resource(request.urn, context)
        inputs = decode(request.properties)
        try:
            if request.preview or contains_unknown(dict(inputs)):
                identifier: str = resource.fixed_id or ""
                drawn: Properties = dict.fromkeys(resource.outputs, UNKNOWN)
            else:
                identifier, drawn = resource.draw(with_defaults(resource.inputs, inputs))
        except PluginError as error:
            abort(context, error)
        return provider_pb2.CreateResponse(id=identifier, properties=encode(state(resource, inputs, drawn)))

    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        """Return the state as it is; without one, rebuild it from the id of an import."""
        resource = _resource(request.urn, context)
        if request.properties.fields:
            return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)
        if resource.restore is None:
            kind = type_of(request.urn).rpartition(":")[2]
            abort(context, PluginError(f"{kind} cannot be imported: its value is not part of any id"))
        try:
            identifier, inputs, drawn = resource.restore(request.id)
        except PluginError as error:
            abort(context, error)
        return provider_pb2.ReadResponse(
            id=identifier, properties=encode(state(resource, inputs, drawn)), inputs=encode(inputs)
        )

    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:
        """Take the new inputs over; the drawn values stay."""
        resource = _resource(request.urn, context)
        olds = decode(request.olds)
        drawn = {name: olds[name] for name in resource.outputs if name in olds}
        return provider_pb2.UpdateResponse(properties=encode(state(resource, decode(request.news), drawn)))


def state(resource: Resource, inputs: Properties, drawn: Properties) -> Properties:
    """Return the outputs: the inputs as given with their secret marks, the defaults, and what was drawn."""
    complete: dict[str, Value] = dict(with_defaults(resource.inputs, inputs))
    complete.update({name: value for name, value in inputs.items() if name in resource.inputs and value is not None})
    complete.update(drawn)
    return {
        name: Secret(value) if name in resource.secret and not isinstance(value, Secret) else value
        for name, value in complete.items()
        if value is not None
    }


def _resource(urn: str, context: grpc.ServicerContext) -> Resource:
    token = type_of(urn) if urn.count("::") >= 3 else urn
    found = RESOURCES.get(token)
    if found is None:
        abort(context, PluginError(f"{token} is not a resource of the random provider {VERSION}"))
    return found
