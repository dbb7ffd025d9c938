# ruff: noqa: ARG002, N802  the protocol names the methods and gives each a context
"""The provider: answers the engine's calls with what the other modules decide and do."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from offline.docker import configuration, invoke, native
from offline.docker.check import Naming, check
from offline.docker.diff import Diff, diff, foretell
from offline.docker.extraction import imported_inputs, refreshed_inputs
from offline.docker.resource import TYPES, ResourceType
from offline.docker.surface import schema_text
from offline.plugin.errors import PluginError, abort
from offline.plugin.log import EngineLog
from offline.plugin.urn import name_of, type_of
from offline.plugin.values import UNKNOWN, Properties, Value, decode, encode, reveal_properties

if TYPE_CHECKING:
    from offline.docker.lives import Lives

VERSION = "5.1.0"
META = "__meta"

Answer = TypeVar("Answer")


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """One provider process. The engine may call it from many threads at once."""

    def __init__(self, engine: str | None) -> None:
        self._log = EngineLog(engine)
        self._lives: Lives | None = None
        self._lock = threading.Lock()

    # What it is

    def GetPluginInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Return the version whose answers are mirrored."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(
        self, request: provider_pb2.GetSchemaRequest, context: grpc.ServicerContext
    ) -> provider_pb2.GetSchemaResponse:
        """Return a schema that names what this provider offers."""

        def answer() -> provider_pb2.GetSchemaResponse:
            if request.version != 0:
                raise PluginError(f"unsupported schema version {request.version}")
            return provider_pb2.GetSchemaResponse(schema=schema_text(VERSION))

        return _answered(context, answer)

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """End every wait: what is under way fails, and what exists is recorded."""
        if self._lives is not None:
            self._lives.cancelled.set()
        return empty_pb2.Empty()

    def Attach(self, request: plugin_pb2.PluginAttach, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Log to another engine from now on."""
        self._log = EngineLog(request.address)
        return empty_pb2.Empty()

    # How it is configured

    def CheckConfig(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Check the provider's configuration."""

        def answer() -> provider_pb2.CheckResponse:
            inputs, failures = configuration.check(name_of(request.urn), decode(request.news))
            return provider_pb2.CheckResponse(inputs=encode(inputs), failures=_failures(failures))

        return _answered(context, answer)

    def DiffConfig(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Compare two configurations; none needs another provider resource."""
        olds = reveal_properties(decode(request.old_inputs if request.old_inputs.fields else request.olds))
        news = reveal_properties(decode(request.news))
        changed = sorted(key for key in olds.keys() | news.keys() if olds.get(key) != news.get(key))
        some = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_UNKNOWN
        return provider_pb2.DiffResponse(changes=some, diffs=changed)

    def Configure(
        self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        """Find the daemon and agree upon an API version with it."""

        def answer() -> provider_pb2.ConfigureResponse:
            from offline.docker.lives import Lives  # here, because the daemon's client takes time to load

            self._lives = Lives(configuration.read(decode(request.args)), self._log)
            return provider_pb2.ConfigureResponse(supportsPreview=True, supports_autonaming_configuration=True)

        return _answered(context, answer)

    # What it does

    def Check(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        """Check a resource's inputs."""

        def answer() -> provider_pb2.CheckResponse:
            olds, news = reveal_properties(decode(request.olds)), reveal_properties(decode(request.news))
            if type_of(request.urn) == native.TOKEN:
                return provider_pb2.CheckResponse(inputs=encode(native.check(news, self._log, request.urn)))
            disabled = request.autonaming.mode == provider_pb2.CheckRequest.AutonamingOptions.DISABLE
            naming = Naming(request.autonaming.proposed_name, disabled and request.HasField("autonaming"))
            checked = check(_kind(request.urn, "Check"), name_of(request.urn), olds, news, request.randomSeed, naming)
            return provider_pb2.CheckResponse(inputs=encode(checked.inputs), failures=_failures(checked.failures))

        return _answered(context, answer)

    def Diff(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Say what new inputs would do to an object."""

        def answer() -> provider_pb2.DiffResponse:
            olds, news = reveal_properties(decode(request.olds)), reveal_properties(decode(request.news))
            if type_of(request.urn) == native.TOKEN:
                return _diff_message(native.diff(olds, news), detailed_only=True)
            return _diff_message(diff(_kind(request.urn, "Diff"), olds, news, request.ignoreChanges))

        return _answered(context, answer)

    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:
        """Make an object, or in a preview foretell its state."""

        def answer() -> provider_pb2.CreateResponse:
            inputs = reveal_properties(decode(request.properties))
            if type_of(request.urn) == native.TOKEN:
                lives = self._ready()
                call = lives.call(request.urn, request.timeout)
                identity, outputs = native.create(call, inputs, lives.auths, preview=request.preview)
                return provider_pb2.CreateResponse(id=identity, properties=encode(outputs))
            kind = _kind(request.urn, "Create")
            foretold = foretell(kind, None, inputs).state
            if request.preview:
                return provider_pb2.CreateResponse(
                    properties=encode(_with_meta(kind, {**foretold, "id": UNKNOWN}, preview=True))
                )
            lives = self._ready()
            made = lives.create(kind, lives.call(request.urn, request.timeout), foretold)
            return provider_pb2.CreateResponse(id=made.id, properties=encode(_with_meta(kind, made.state)))

        return _answered(context, answer)

    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        """Return an object's present state; an import is a Read without a state."""

        def answer() -> provider_pb2.ReadResponse:
            prior, inputs = reveal_properties(decode(request.properties)), reveal_properties(decode(request.inputs))
            if type_of(request.urn) == native.TOKEN:
                return provider_pb2.ReadResponse(id=request.id, inputs=request.inputs, properties=request.properties)
            kind = _kind(request.urn, "Read")
            lives = self._ready()
            made = lives.read(kind, lives.call(request.urn), request.id, prior)
            if made is None:
                return provider_pb2.ReadResponse()
            found = (
                refreshed_inputs(kind.fields, inputs, made.state) if prior else imported_inputs(kind.fields, made.state)
            )
            state = _with_meta(kind, made.state, old=prior.get(META))
            return provider_pb2.ReadResponse(id=made.id, inputs=encode(found), properties=encode(state))

        return _answered(context, answer)

    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:
        """Change an object in place, or in a preview foretell its state."""

        def answer() -> provider_pb2.UpdateResponse:
            olds, news = reveal_properties(decode(request.olds)), reveal_properties(decode(request.news))
            if type_of(request.urn) == native.TOKEN:
                lives = self._ready()
                call = lives.call(request.urn, request.timeout)
                _, outputs = native.create(call, news, lives.auths, preview=request.preview)
                return provider_pb2.UpdateResponse(properties=encode(outputs))
            kind = _kind(request.urn, "Update")
            foretold = foretell(kind, olds, news, request.ignoreChanges)
            if foretold.replace:
                raise PluginError(
                    f"internal: expected diff to not require deletion or replacement during Update of {request.urn}. "
                    "Found delete=false, replace=true. This indicates a bug in provider."
                )
            if request.preview:
                state = _with_meta(kind, {**foretold.state, "id": request.id}, preview=True)
                return provider_pb2.UpdateResponse(properties=encode(state))
            lives = self._ready()
            call = lives.call(request.urn, request.timeout)
            return provider_pb2.UpdateResponse(
                properties=encode(_with_meta(kind, lives.update(kind, call, request.id, olds, foretold.state)))
            )

        return _answered(context, answer)

    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Remove an object."""

        def answer() -> empty_pb2.Empty:
            if type_of(request.urn) != native.TOKEN:
                lives = self._ready()
                state = reveal_properties(decode(request.properties))
                lives.delete(_kind(request.urn, "Delete"), lives.call(request.urn, request.timeout), request.id, state)
            return empty_pb2.Empty()

        return _answered(context, answer)

    def Invoke(self, request: provider_pb2.InvokeRequest, context: grpc.ServicerContext) -> provider_pb2.InvokeResponse:
        """Look something up."""

        def answer() -> provider_pb2.InvokeResponse:
            found, failures = invoke.answer(request.tok, reveal_properties(decode(request.args)), self._ready)
            message = provider_pb2.InvokeResponse(failures=_failures(failures))
            getattr(message, "return").CopyFrom(encode(found))
            return message

        return _answered(context, answer)

    def _ready(self) -> Lives:
        if self._lives is None:
            raise PluginError("the Docker provider is not configured: Configure was not called")
        return self._lives


def _answered(context: grpc.ServicerContext, answer: Callable[[], Answer]) -> Answer:
    """Return an answer, errors being sent as the engine reads them; none shows more than its own words."""
    try:
        return answer()
    except PluginError as error:
        return abort(context, _with_state_meta(error))
    except Exception as error:
        from offline.docker.daemon import SlowError, UnreachableError

        if isinstance(error, SlowError | UnreachableError):
            return abort(context, PluginError(str(error)))
        raise


def _with_state_meta(error: PluginError) -> PluginError:
    from offline.plugin.errors import InitFailedError

    if isinstance(error, InitFailedError) and META not in error.properties:
        error.properties[META] = _meta_text(TYPES["docker:index/container:Container"].meta())
    return error


def _with_meta(kind: ResourceType, state: Properties, *, preview: bool = False, old: Value = None) -> Properties:
    if old is not None:
        return {**state, META: old}
    if preview and not kind.has_timeouts:
        return state
    return {**state, META: _meta_text(kind.meta(preview=preview))}


def _meta_text(found: dict[str, Any]) -> str:
    return json.dumps(found, separators=(",", ":"), sort_keys=True)


def _kind(urn: str, verb: str) -> ResourceType:
    token = type_of(urn)
    if token not in TYPES:
        raise PluginError(
            f"unrecognized resource type ({verb}): {token}. The offline Docker provider has "
            f"{', '.join(sorted([*TYPES, native.TOKEN]))}; for others put the official plugin on PATH"
        )
    return TYPES[token]


def _failures(reasons: list[str]) -> list[provider_pb2.CheckFailure]:
    return [provider_pb2.CheckFailure(reason=reason) for reason in reasons]


def _diff_message(found: Diff, *, detailed_only: bool = False) -> provider_pb2.DiffResponse:
    message = provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if found.changed else provider_pb2.DiffResponse.DIFF_NONE,
        deleteBeforeReplace=found.delete_first,
        hasDetailedDiff=not detailed_only or found.changed,
    )
    if not detailed_only:
        message.diffs.extend(found.properties)
        message.replaces.extend(found.replaces)
    for path, kind in found.kinds.items():
        message.detailedDiff[path].kind = provider_pb2.PropertyDiff.Kind.Value(kind)
    return message
