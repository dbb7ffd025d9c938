# ruff: noqa: ARG002, N802  the protocol names the methods and gives each a context
"""The provider: answers the engine's calls with what the other modules decide and do."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from offline.kubernetes import configuration, kinds, lifecycle, scope, state
from offline.kubernetes.annotations import REPLACE_UNREADY, is_set
from offline.kubernetes.check import Autonaming, check
from offline.kubernetes.configuration import Configuration
from offline.kubernetes.diff import diff
from offline.kubernetes.spelling import dashed
from offline.plugin.errors import InitFailedError, PluginError, abort
from offline.plugin.log import INFO, WARNING, EngineLog
from offline.plugin.urn import name_of, type_of
from offline.plugin.values import Properties, decode, encode, reveal_properties

if TYPE_CHECKING:
    from offline.kubernetes.call import Made
    from offline.kubernetes.lives import HalfDoneError, Lives

VERSION = "4.32.0"
SKIPPED = "Cluster is unreachable but skipUpdateUnreachable flag is set to true, skipping..."
ELSEWHERE = "the offline Kubernetes provider has {what}; put the official plugin on PATH for it"

Answer = TypeVar("Answer")


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """One provider process. The engine may call it from many threads at once."""

    def __init__(self, engine: str | None) -> None:
        self._log = EngineLog(engine)
        self._configuration = Configuration()
        self._lives: Lives | None = None
        self._lock = threading.Lock()

    # What it is

    def GetPluginInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Return the version whose answers are mirrored."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(
        self, request: provider_pb2.GetSchemaRequest, context: grpc.ServicerContext
    ) -> provider_pb2.GetSchemaResponse:
        """Return a schema that names the package: which kinds there are is the cluster's to say."""
        return provider_pb2.GetSchemaResponse(schema=json.dumps({"name": "kubernetes", "version": VERSION}))

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
        inputs, complaints = configuration.check(decode(request.news))
        return provider_pb2.CheckResponse(inputs=encode(inputs), failures=_failures(complaints))

    def DiffConfig(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Compare two configurations; another cluster needs another provider, and all under it made anew."""
        olds = reveal_properties(decode(request.old_inputs if request.old_inputs.fields else request.olds))
        news = reveal_properties(decode(request.news))
        changed, replacing = configuration.changed(olds, news)
        some = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=some, diffs=changed, replaces=replacing)

    def Configure(
        self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        """Take the configuration; the cluster is asked when something is first done on it."""

        def answer() -> provider_pb2.ConfigureResponse:
            self._configuration = configuration.read(decode(request.args))
            return provider_pb2.ConfigureResponse(
                acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
            )

        return _answered(context, answer)

    # What it does

    def Check(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        """Check an object's inputs."""

        def answer() -> provider_pb2.CheckResponse:
            olds, news = _decoded(request.olds), _decoded(request.news)
            token = type_of(request.urn)
            if self._configuration.skip_update_unreachable and not self._reachable():
                self._log.write(WARNING, SKIPPED, request.urn)
                return provider_pb2.CheckResponse(inputs=request.olds)
            naming = None
            if request.HasField("autonaming"):
                naming = Autonaming(request.autonaming.proposed_name, int(request.autonaming.mode))
            checked = check(
                token,
                name_of(request.urn),
                olds,
                news,
                request.randomSeed,
                namespaced=self._is_namespaced(token, news),
                default_namespace=self._configuration.default_namespace,
                autonaming=naming,
            )
            for words in [*checked.warnings, *self._about_version(token)]:
                self._log.write(WARNING, words, request.urn)
            return provider_pb2.CheckResponse(inputs=encode(checked.inputs), failures=_failures(checked.failures))

        return _answered(context, answer)

    def Diff(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Say what new inputs would do to an object."""

        def answer() -> provider_pb2.DiffResponse:
            old_state, news = _decoded(request.olds), _decoded(request.news)
            token = type_of(request.urn)
            found = diff(
                token,
                state.inputs_of(old_state),
                old_state,
                news,
                namespaced=self._is_namespaced(token, news),
                ignore=list(request.ignoreChanges),
                mutable_config_maps=self._configuration.mutable_config_maps,
                mutable_secrets=self._configuration.mutable_secrets,
                unready=self._shall_be_replaced(request.urn, request.id, old_state, reveal_properties(news)),
            )
            message = provider_pb2.DiffResponse(
                changes=provider_pb2.DiffResponse.DIFF_SOME if found.changed else provider_pb2.DiffResponse.DIFF_NONE,
                deleteBeforeReplace=found.delete_first,
                hasDetailedDiff=True,
                replaces=found.replaces,
            )
            for path, change in found.changes.items():
                message.detailedDiff[path].kind = provider_pb2.PropertyDiff.Kind.Value(change.kind)
                message.detailedDiff[path].inputDiff = change.from_inputs
            return message

        return _answered(context, answer)

    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:
        """Make an object, or in a preview ask the server what it would make."""

        def answer() -> provider_pb2.CreateResponse:
            inputs = _decoded(request.properties)
            lives = self._ready()
            call = lives.call(request.urn, request.timeout)
            made = lives.create(call, inputs, patch=_is_patch(request.urn), preview=request.preview)
            if made is None:
                return provider_pb2.CreateResponse(properties=encode(inputs))
            properties = _state(made, inputs)
            if request.preview:
                properties.pop("status", None)
            return provider_pb2.CreateResponse(id="" if request.preview else made.id, properties=encode(properties))

        return _answered(context, answer)

    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        """Look an object up, for a refresh or an import."""

        def answer() -> provider_pb2.ReadResponse:
            old_state, old_inputs = _decoded(request.properties), decode(request.inputs)
            lives = self._ready()
            call = lives.call(request.urn)
            wanted = {**kinds.named(type_of(request.urn)), **reveal_properties(old_inputs)}
            if self._configuration.skip_update_unreachable and old_state and not self._reachable(request.urn):
                words = (
                    "configured Kubernetes cluster is unreachable and the `skipUnreachable` option is enabled. "
                    "Returned data could not reflect the actual cluster configuration."
                )
                self._log.write(INFO, words, request.urn)
                return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)
            made = lives.read(call, request.id, wanted)
            if made is None:
                return provider_pb2.ReadResponse()
            inputs = (
                state.inputs_after_refresh(old_inputs, made.live) if old_inputs else state.imported_inputs(made.live)
            )
            properties = state.state_of(
                made.live,
                inputs,
                state.manager_of(old_state, old_inputs) or state.applied_by(made.live) or state.new_manager(),
                state.initial_api_version_of(old_state) or str(made.live.get("apiVersion", "")),
            )
            reasons = lives.unready(made)
            if reasons is not None:
                message = f"Resource '{made.live['metadata']['name']}' was created but failed to initialize"
                raise InitFailedError(
                    message, id=made.id, properties=properties, inputs=inputs, reasons=[message, *reasons]
                )
            return provider_pb2.ReadResponse(id=made.id, properties=encode(properties), inputs=encode(inputs))

        return _answered(context, answer)

    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:
        """Change an object in place, or in a preview ask the server what would come of it."""

        def answer() -> provider_pb2.UpdateResponse:
            old_state, news = _decoded(request.olds), _decoded(request.news)
            lives = self._ready()
            made = lives.update(
                lives.call(request.urn, request.timeout),
                request.id,
                news,
                state.manager_of(old_state, news) or state.new_manager(),
                list(request.ignoreChanges),
                preview=request.preview,
                patch=_is_patch(request.urn),
                former=state.manager_of(old_state, state.inputs_of(old_state)),
            )
            if made is None:
                return provider_pb2.UpdateResponse(properties=encode(news))
            return provider_pb2.UpdateResponse(properties=encode(_state(made, made.inputs, old_state)))

        return _answered(context, answer)

    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Remove an object."""

        def answer() -> empty_pb2.Empty:
            old_state = _decoded(request.properties)
            lives = self._ready()
            inputs = state.inputs_of(old_state)
            lives.delete(
                lives.call(request.urn, request.timeout),
                request.id,
                {**kinds.named(type_of(request.urn)), **inputs},
                state.manager_of(old_state, inputs),
                patch=_is_patch(request.urn),
            )
            return empty_pb2.Empty()

        return _answered(context, answer)

    def Invoke(self, request: provider_pb2.InvokeRequest, context: grpc.ServicerContext) -> provider_pb2.InvokeResponse:
        """Refuse what needs another program's code: YAML files, charts, Kustomize."""
        return abort(context, PluginError(f"{request.tok}: {ELSEWHERE.format(what='no functions')}"))

    def Construct(
        self, request: provider_pb2.ConstructRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConstructResponse:
        """Refuse components: they need other programs' code."""
        return abort(context, PluginError(f"{request.type}: {ELSEWHERE.format(what='no components')}"))

    def _ready(self) -> Lives:
        """Return what is done on the cluster; made at the first call, because its client takes time to load."""
        with self._lock:
            if self._lives is None:
                from offline.kubernetes.lives import Lives

                self._lives = Lives(self._configuration, self._log)
            return self._lives

    def _reachable(self, urn: str = "") -> bool:
        """Say whether the cluster answers; why it does not is logged where a resource is named."""
        from offline.kubernetes.cluster import UnreachableClusterError

        try:
            _ = self._ready().cluster.client
        except UnreachableClusterError as error:
            if urn:
                self._log.write(WARNING, str(error), urn)
            return False
        return True

    def _about_version(self, token: str) -> list[str]:
        """Return a warning where the cluster does not, or soon will not, serve a kind."""
        named = kinds.named(token)
        api_version, kind = str(named["apiVersion"]), str(named["kind"])
        if lifecycle.is_stable(api_version, kind) or not self._reachable():
            return []
        words = lifecycle.warning(api_version, kind, self._ready().cluster.version())
        return [words] if words else []

    def _shall_be_replaced(self, urn: str, identifier: str, old_state: Properties, wanted: Properties) -> bool:
        """Say whether a program wants another object in place of one that failed, and it has."""
        if not is_set(wanted, REPLACE_UNREADY):
            return False
        if wanted.get("kind") != "Job":
            self._log.write(WARNING, "replaceUnready annotation is not supported for this resource", urn)
            return False
        if not self._reachable():
            self._log.write(WARNING, "Cluster is unreachable, skipping replaceUnready check", urn)
            return False
        lives = self._ready()
        made = lives.read(lives.call(urn), identifier, reveal_properties(old_state))
        return made is not None and not lives.is_complete(made)

    def _is_namespaced(self, token: str, news: Properties) -> bool:
        named = kinds.named(token)
        api_version = str(news.get("apiVersion") or named["apiVersion"])
        kind = str(news.get("kind") or named["kind"])
        if scope.is_built_in(api_version):
            return not scope.is_cluster_wide(api_version, kind)
        from offline.kubernetes.cluster import MissingKindError, UnreachableClusterError

        try:
            return self._ready().cluster.resource(api_version, kind).namespaced
        except (MissingKindError, UnreachableClusterError):
            return True


def _answered(context: grpc.ServicerContext, answer: Callable[[], Answer]) -> Answer:
    """Return an answer, errors being sent as the engine reads them; none shows more than its own words."""
    try:
        return answer()
    except PluginError as error:
        return abort(context, error)
    except Exception as error:
        from kubeapi.errors import ApiError, UnreachableError
        from offline.kubernetes.lives import HalfDoneError

        if isinstance(error, HalfDoneError):
            return abort(context, _half_done(error))
        if isinstance(error, ApiError | UnreachableError):
            return abort(context, PluginError(str(error)))
        raise


def _half_done(error: HalfDoneError) -> InitFailedError:
    made = error.made
    return InitFailedError(
        error.message, id=made.id, properties=_state(made, made.inputs), inputs={}, reasons=error.reasons
    )


def _state(made: Made, inputs: Properties, old_state: Properties | None = None) -> Properties:
    first = state.initial_api_version_of(old_state or {}) or str(made.live.get("apiVersion", ""))
    return state.state_of(made.live, inputs, made.manager, first, made.written)


def _decoded(struct: struct_pb2.Struct) -> Properties:
    return dashed(decode(struct))


def _is_patch(urn: str) -> bool:
    return kinds.is_patch(type_of(urn))


def _failures(complaints: list[tuple[str, str]]) -> list[provider_pb2.CheckFailure]:
    return [provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in complaints]
