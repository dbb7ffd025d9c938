"""What is done on the cluster: create, read, update, delete."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import grpc

from kubeapi.client import APPLY, JSON_PATCH
from kubeapi.discovery import Resource
from kubeapi.errors import CONFLICT, FORBIDDEN, INVALID, NOT_FOUND, ApiError, UnreachableError
from offline.kubernetes import fields, ownership, path
from offline.kubernetes.annotations import FORCE, MANAGER, SKIP_AWAIT, annotation, is_set, propagation, seconds
from offline.kubernetes.awaiting import NotReadyError, reasons_now, until_ready
from offline.kubernetes.call import Call, CancelledError, Made
from offline.kubernetes.cluster import (
    Cluster,
    MissingKindError,
    UnreachableClusterError,
    identity,
    item,
    namespace_of,
)
from offline.kubernetes.configuration import Configuration
from offline.kubernetes.readiness.verdict import conditions_of
from offline.kubernetes.readiness.wait_for import WaitForError
from offline.plugin.errors import PluginError
from offline.plugin.log import INFO, WARNING, EngineLog
from offline.plugin.values import Properties, contains_unknown, reveal_properties

RETRY_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
POLL_SECONDS = 0.1
LONGEST_POLL_SECONDS = 1.0
LONGEST_STEM = 58
"""Of a name that gets four more characters and stays within the 63 of a label."""
FORGET = (
    "If the cluster was deleted, you can remove this resource from Pulumi state by rerunning the operation with the "
    'PULUMI_K8S_DELETE_UNREACHABLE environment variable set to "true"'
)
EXISTS = """

The resource already exists in the cluster. This can happen when:

  - Renaming a Pulumi resource: use an alias to preserve the identity,
    or use deleteBeforeReplace if the resource needs replacement.
  - Managing an existing resource: use a Patch resource (e.g. NamespacePatch)
    to manage specific fields without owning the resource lifecycle.
  - Adopting a resource into Pulumi: use `pulumi import`. Note that
    protected resources (e.g. kube-system) cannot be deleted on destroy.
  - Intentional upsert: set upsertExistingObjects on the provider to allow
    server-side apply to update existing objects on create."""
NO_KIND = (
    "failed because the Kubernetes API server reported that the apiVersion for this resource does not exist. Verify "
    "that any required CRDs have been created: "
)
CONFLICT_GUIDE = (
    "server-side apply field conflict detected, see https://www.pulumi.com/registry/packages/kubernetes/how-to-guides/"
    "managing-resources-with-server-side-apply/#handle-field-conflicts-on-existing-resources for troubleshooting help"
)
# Whose deletion `skipAwait` does not wait for.
LEFT_ALONE = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicationController", "Job", "Pod", "Namespace"})

Object = Mapping[str, Any]


class HalfDoneError(Exception):
    """The object exists, but the call failed: not ready in time, or the server refused the change."""

    def __init__(self, message: str, reasons: Sequence[str], made: Made) -> None:
        super().__init__(message)
        self.message = message
        self.reasons = [message, *reasons]
        self.made = made


class Lives:
    """The cluster that was configured, and what can be done on it."""

    def __init__(self, configuration: Configuration, log: EngineLog) -> None:
        self.configuration = configuration
        self.cancelled = threading.Event()
        self.cluster = Cluster(configuration)
        self._log = log

    def call(self, urn: str, seconds: float = 0) -> Call:
        """Return what one call works with; a time of 0 stands for none given."""
        return Call(urn, seconds, self._log, self.cancelled)

    def create(self, call: Call, inputs: Properties, *, patch: bool, preview: bool) -> Made | None:
        """Create an object, or with `patch` take fields of one that exists; None where a preview cannot tell.

        Raises PluginError when nothing was made and HalfDoneError when the object exists.
        """
        wanted: dict[str, Any] = reveal_properties(inputs)
        manager = _manager(wanted)
        if preview and (patch or contains_unknown(inputs)):
            return None
        try:
            live, resource = self._made(call, wanted, manager, patch=patch, preview=preview)
        except UnreachableClusterError as error:
            if preview:
                return None
            raise PluginError(str(error)) from None
        except (ApiError, MissingKindError, WaitForError) as error:
            if preview and _not_for_preview(error):
                return None
            call.status(f"Retry #0; creation failed: {_words(error, manager)}")
            if isinstance(error, MissingKindError):
                kind = f"{wanted.get('apiVersion')}/{wanted.get('kind')}"
                raise PluginError(f'creation of resource "{call.urn}" with kind {kind} {NO_KIND}{error}') from None
            raise PluginError(
                f'resource "{call.urn}" was not successfully created by the Kubernetes API server: '
                f"{_words(error, manager)}"
            ) from None
        except CancelledError:
            raise PluginError(f'the creation of resource "{call.urn}" was cancelled') from None
        made = Made(identity(resource, live), live, inputs, manager)
        if preview or patch:
            return made
        failed = (
            f'resource "{call.urn}" was successfully created, but the Kubernetes API server reported that it '
            f"failed to fully initialize or become live: "
        )
        return self._until_ready(call, resource, made, failed)

    def _until_ready(self, call: Call, resource: Resource, made: Made, failed: str) -> Made:
        """Return an object once it is ready; raise HalfDoneError, whatever keeps it: it exists, and has a state."""
        try:
            ready = until_ready(self.cluster, call, resource, reveal_properties(made.inputs), made.live)
        except NotReadyError as error:
            raise HalfDoneError(f"{failed}{error.message}", error.reasons, replace(made, live=error.live)) from None
        except (ApiError, UnreachableError, WaitForError) as error:
            raise HalfDoneError(f"{failed}{error}", [], made) from None
        return replace(made, live=ready)

    def _made(
        self, call: Call, wanted: dict[str, Any], manager: str, *, patch: bool, preview: bool
    ) -> tuple[Object, Resource]:
        from offline.kubernetes.awaiting import judge_of

        judge_of(wanted)  # an annotation that says nothing is refused before anything is made
        attempts = iter(RETRY_SECONDS)
        while True:
            try:
                resource = self.cluster.place(wanted, fresh=True)
                if preview and self.configuration.upsert:
                    return self._foreseen(resource, wanted, manager), resource
                if patch or self.configuration.upsert:
                    force = self._forces(wanted)
                    return self._apply(resource, wanted, manager, preview=False, force=force), resource
                query = {"fieldManager": ownership.CREATOR, "fieldValidation": "Strict"}
                if preview:
                    query["dryRun"] = "All"
                namespace = namespace_of(wanted) or "default"
                return self.cluster.client.post(resource.collection(namespace), wanted, query), resource
            except (ApiError, MissingKindError) as error:
                pause = next(attempts, None)
                late = call.seconds > 0 and pause is not None and call.spent() + pause > call.seconds
                if preview or pause is None or late or not _comes_later(error):
                    raise
                call.status(f"Retry in {pause:.0f} s; creation failed: {error}")
                call.wait(pause)

    def _foreseen(self, resource: Resource, wanted: dict[str, Any], manager: str) -> Object:
        """Return what applying would make.

        The preview of a replacement meets the object that is to be replaced. That is no conflict, and where a field of
        it cannot change, the server is asked about the same object of another name.
        """
        try:
            return self._apply(resource, wanted, manager, preview=True, force=True)
        except ApiError as error:
            if error.status != INVALID:
                raise
            metadata = wanted["metadata"]
            name, other = metadata["name"], f"{metadata['name'][:LONGEST_STEM]}{os.urandom(2).hex()}"
            renamed = {**wanted, "metadata": {**metadata, "name": other}}
            try:
                live = self._apply(resource, renamed, manager, preview=True, force=True)
            except ApiError as refused:
                words = refused.message.replace(other, name)
                raise ApiError(refused.status, refused.reason, words, refused.details) from None
            return {**live, "metadata": {**live["metadata"], "name": name}}

    def read(self, call: Call, identifier: str, wanted: Object) -> Made | None:
        """Return an object as it is, or None when it is gone or its kind is.

        `wanted` names apiVersion and kind. Raises PluginError, and HalfDoneError for one that is not ready.
        """
        namespace, _, name = identifier.rpartition("/")
        if not name:
            raise PluginError(
                f"failed to read resource because of a failure to parse resource name from request ID: {identifier}"
            )
        try:
            resource = self.cluster.place(wanted)
            live = self.cluster.client.get(resource.item(name, namespace))
        except UnreachableClusterError as error:
            self._unreachable(call, error, "failed to read resource state due to unreachable cluster. ")
            return None
        except MissingKindError:
            return None
        except ApiError as error:
            if error.status == NOT_FOUND:
                return None
            raise PluginError(f"{identifier} could not be read: {error.message}") from None
        return Made(identity(resource, live), live, {}, "")

    def unready(self, made: Made) -> tuple[str, ...] | None:
        """Return why an object that was read is not ready, None when it is; raise PluginError."""
        try:
            return reasons_now(self.cluster, self.cluster.place(made.live), made.live, made.live)
        except (ApiError, WaitForError) as error:
            raise PluginError(f"{made.id} could not be looked at: {error}") from None

    def is_complete(self, made: Made) -> bool:
        """Say whether a Job that was read has done its work."""
        return (conditions_of(made.live).get("Complete") or {}).get("status") == "True"

    def _unreachable(self, call: Call, error: Exception, what: str) -> None:
        """Say that the cluster cannot be asked; raise PluginError unless the object shall be forgotten then."""
        self._log.write(WARNING, str(error), call.urn)
        if self.configuration.delete_unreachable:
            self._log.write(
                INFO,
                "configured Kubernetes cluster is unreachable and the `deleteUnreachable` option is enabled. "
                "Deleting the unreachable resource from Pulumi state",
                call.urn,
            )
            return
        raise PluginError(f"{what}{FORGET}")

    def update(
        self, call: Call, identifier: str, inputs: Properties, manager: str, ignore: Sequence[str], *, preview: bool,
        patch: bool = False, former: str = "",
    ) -> Made | None:  # fmt: skip
        """Change an object to new inputs; None where a preview cannot tell.

        `former` is who applied it until now: another one than `manager` gives up its fields.

        Raises PluginError when the object is gone, HalfDoneError when the change was refused or it did not get ready.
        """
        if preview and contains_unknown(inputs):
            return None
        wanted: dict[str, Any] = reveal_properties(inputs)
        try:
            resource = self.cluster.place(wanted)
            live = self.cluster.client.get(item(resource, wanted))
        except UnreachableClusterError as error:
            if preview:
                return None
            raise PluginError(str(error)) from None
        except (ApiError, MissingKindError) as error:
            if preview and (isinstance(error, MissingKindError) or error.status == FORBIDDEN):
                return None
            if isinstance(error, MissingKindError):
                raise PluginError(f'update of resource "{call.urn}" {NO_KIND}{error}') from None
            raise PluginError(
                f'update of resource "{call.urn}" failed: {error}\nunable to get cluster state: {error}'
            ) from None
        written = inputs
        if ignore:
            inputs = reveal_properties(inputs)
            for text in ignore:
                inputs = _with_ignored(inputs, live, manager, text)
            inputs = fields.without_read_only(inputs)
        wanted = reveal_properties(inputs)
        failed = f'the Kubernetes API server reported that "{identifier}" failed to fully initialize or become live: '
        try:
            if not preview and not patch:
                live = self._hand_over(resource, live, manager)
            # What a preview leaves with its creator is ours all the same.
            force = self._forces(wanted) or ownership.is_of_nobody(live) or (preview and ownership.is_as_created(live))
            live = self._apply(resource, wanted, manager, preview=preview, force=force)
        except ApiError as error:
            if preview and error.status == FORBIDDEN:
                return None
            made = Made(identifier, live, inputs, manager, written)
            raise HalfDoneError(f"{failed}{_words(error, manager)}", [], made) from None
        made = Made(identifier, live, inputs, manager, written)
        if preview:
            return made
        if not patch:
            made = self._until_ready(call, resource, made, failed)
        if former and former != manager:
            self._give_up(resource, wanted, former)
        return made

    def _hand_over(self, resource: Resource, live: Object, manager: str) -> Object:
        """Make the fields of the creation those of the manager that applies; as often as others write meanwhile."""
        for last in (False, False, False, True):
            metadata = live["metadata"]
            entries = ownership.handed_over(metadata.get("managedFields") or [], manager)
            if entries is None:
                return live
            steps = [
                {"op": "replace", "path": "/metadata/managedFields", "value": entries},
                {"op": "replace", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},
            ]
            try:
                moved: Object = self.cluster.client.patch(item(resource, live), steps, JSON_PATCH)
            except ApiError as error:
                if last or error.status != CONFLICT:
                    raise
                live = self.cluster.client.get(item(resource, live))
            else:
                return moved
        return live

    def _forces(self, wanted: Object) -> bool:
        return self.configuration.force or is_set(wanted, FORCE)

    def _apply(self, resource: Resource, wanted: Object, manager: str, *, preview: bool, force: bool) -> Object:
        query: dict[str, str | int | bool] = {"fieldManager": manager, "force": force, "fieldValidation": "Strict"}
        if preview:
            query["dryRun"] = "All"
        found: Object = self.cluster.client.patch(item(resource, wanted), wanted, APPLY, query)
        return found

    def delete(self, call: Call, identifier: str, given: Properties, manager: str, *, patch: bool) -> None:
        """Delete an object and wait until it is gone, or with `patch` give up its fields.

        Raises PluginError, and HalfDoneError when it is still there after the time.
        """
        if call.cancelled.is_set():
            message = "client rate limiter Wait returned an error: context canceled"
            raise PluginError(message, grpc.StatusCode.CANCELLED)
        inputs: dict[str, Any] = reveal_properties(given)
        namespace, _, name = identifier.rpartition("/")
        try:
            resource = self.cluster.place(inputs)
            where = resource.item(name, namespace)
            if patch:
                self._give_up(resource, inputs, manager)
                return
            policy = propagation(inputs)
            found = self.cluster.client.delete(where, {"propagationPolicy": policy})
        except UnreachableClusterError as error:
            self._unreachable(call, error, "configured Kubernetes cluster is unreachable. ")
            return
        except MissingKindError:
            return
        except ApiError as error:
            if error.status == NOT_FOUND:
                return
            raise PluginError(f"{identifier} could not be deleted: {error.message}") from None
        if is_set(inputs, SKIP_AWAIT) and inputs.get("kind") in LEFT_ALONE:
            call.status("Skipping await logic")
            return
        call.status("Resource scheduled for deletion")
        uid = (found.get("details") or {}).get("uid") or (found.get("metadata") or {}).get("uid")
        self._until_gone(call, where, seconds(inputs, call.seconds), uid, Made(identifier, {}, given, manager))

    def _until_gone(self, call: Call, where: str, limit: float, uid: object, made: Made) -> None:
        ends = time.monotonic() + limit
        pause = POLL_SECONDS
        live: Object = {"metadata": {}}
        while True:
            try:
                live = self.cluster.client.get(where)
            except UnreachableError:
                if time.monotonic() > ends:
                    raise  # until then it may be an API server that restarts
            except ApiError as error:
                if error.status == NOT_FOUND:
                    return
                raise PluginError(f"{made.id} could not be watched while it goes: {error.message}") from None
            if uid and live["metadata"].get("uid", uid) != uid:
                return  # another object of that name by now
            left = ends - time.monotonic()
            if left <= 0 or call.cancelled.is_set():
                self._stuck(call, live)
                message = "timed out waiting for the condition"
                raise HalfDoneError(message, [], replace(made, live=live))
            call.cancelled.wait(min(pause, left))
            pause = min(pause * 1.5, LONGEST_POLL_SECONDS)

    def _stuck(self, call: Call, live: Object) -> None:
        holders = [name for name in live["metadata"].get("finalizers") or [] if name != "foregroundDeletion"]
        if holders:
            self._log.write(WARNING, f"finalizers might be preventing deletion ({', '.join(holders)})", call.urn)

    def _give_up(self, resource: Resource, inputs: Object, manager: str) -> None:
        metadata = {key: value for key in ("name", "namespace") if (value := (inputs.get("metadata") or {}).get(key))}
        bare = {"apiVersion": inputs.get("apiVersion"), "kind": inputs.get("kind"), "metadata": metadata}
        try:
            self.cluster.client.get(item(resource, bare))  # applying would make one that is gone
        except ApiError as error:
            if error.status == NOT_FOUND:
                return
            raise
        self._apply(resource, bare, manager, preview=False, force=True)


def _manager(wanted: Object) -> str:
    return annotation(wanted, MANAGER) or f"{ownership.CREATOR}-{os.urandom(4).hex()}"


def _with_ignored(inputs: Properties, live: Object, manager: str, text: str) -> Properties:
    """Return the inputs with an ignored field as it is, or without it where another manager owns it alone.

    Applying another's field would be a conflict, and leaving out one's own would unset it.
    """
    try:
        steps = path.parse(text)
    except ValueError:
        return inputs
    names = [step for step in steps if isinstance(step, str)]
    if len(names) != len(steps):
        return inputs
    entries = live["metadata"].get("managedFields") or []
    found: Properties
    if ownership.others_own(entries, manager, names):
        found = path.without(inputs, steps)
    else:
        found = path.replaced(inputs, names, live)
    return found


def _comes_later(error: Exception) -> bool:
    """Say whether waiting may help: a namespace or a kind that something else in the program makes."""
    if isinstance(error, MissingKindError):
        return True
    return isinstance(error, ApiError) and error.status == NOT_FOUND


def _not_for_preview(error: Exception) -> bool:
    if isinstance(error, MissingKindError):
        return True
    if not isinstance(error, ApiError):
        return False
    return error.status in (NOT_FOUND, FORBIDDEN) or error.reason == "AlreadyExists"


def _words(error: Exception, manager: str) -> str:
    if not isinstance(error, ApiError):
        return str(error)
    if error.reason == "AlreadyExists":
        return f"{error.message}{EXISTS}"
    causes = error.details.get("causes") or []
    if error.status == CONFLICT and any(cause.get("reason") == "FieldManagerConflict" for cause in causes):
        return (
            f'{CONFLICT_GUIDE}\nThe resource managed by field manager "{manager}" had an apply conflict: '
            f"{error.message}"
        )
    return error.message
