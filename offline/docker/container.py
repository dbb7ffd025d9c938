"""A container's life: created, read, updated in place, deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from offline.docker.call import Call, Made, failed, half_done, refused
from offline.docker.container_run import connect, finish, start, upload
from offline.docker.container_spec import create_body, update_body
from offline.docker.container_state import found_in
from offline.docker.daemon import DaemonError, quoted
from offline.docker.pull import Auths, ImageMissingError, find_image
from offline.docker.reading import flag_of, number_of, text_of
from offline.docker.resource import CONTAINER_TYPE
from offline.docker.settling import as_foretold, refreshed, settle
from offline.plugin.errors import PluginError
from offline.plugin.values import Properties, Value

FIELDS = CONTAINER_TYPE.fields
STOP_SLACK_SECONDS = 60.0

IN_PLACE = (
    "restart", "maxRetryCount", "cpuShares", "memory", "memoryReservation", "cpuSet", "memorySwap",
    "deviceReadBps", "deviceReadIops", "deviceWriteBps", "deviceWriteIops",
)  # fmt: skip


def create(call: Call, foretold: Properties, auths: Auths) -> Made:
    """Create a container, run it as asked, and return its state.

    Raises PluginError when nothing is left behind, InitFailedError when a container is, which keeps running.
    """
    wanted = as_foretold(FIELDS, foretold)
    image = text_of(wanted, "image")
    try:
        find_image(call, image, auths)
        body = create_body(wanted, call.daemon.api)
        query = {"name": text_of(wanted, "name")}
        if text_of(wanted, "platform"):
            query["platform"] = text_of(wanted, "platform")
        container = str(call.daemon.post("/containers/create", body, query, seconds=call.seconds)["Id"])
    except ImageMissingError as error:
        raise refused(f"Unable to create container with image {image}: {error}") from None
    except DaemonError as error:
        raise refused(f"Unable to create container: {error}") from None
    except PluginError as error:
        raise refused(error.message) from None
    try:
        connect(call, container, wanted)
        upload(call, container, wanted)
        # One that removes itself may be gone before it can be asked, so it is asked beforehand.
        early = _found(call, container, wanted) if flag_of(wanted, "rm") and flag_of(wanted, "attach") else None
        told = finish(call, container, wanted)
        found = _found(call, container, wanted) or early or {}
    except PluginError as error:
        state = {**wanted, "id": container}
        raise half_done("creating", call.urn, error.message, id=container, state=state) from None
    return Made(container, {**settle(FIELDS, foretold, {**found, **told}), "id": container})


def read(call: Call, id: str, prior: Mapping[str, Value]) -> Made | None:  # noqa: A002
    """Return a container's present state, or None when there is none of this id; a name or a short id is not one."""
    try:
        found = _found(call, id, prior)
    except DaemonError as error:
        raise failed("refreshing", call.urn, str(error)) from None
    if found is None:
        return None
    return Made(id, {**refreshed(FIELDS, prior, found), "id": id})


def _found(call: Call, container: str, before: Mapping[str, Value]) -> Properties | None:
    try:
        inspected: dict[str, Any] = call.daemon.get(f"/containers/{quoted(container)}/json")
    except DaemonError as error:
        if error.status == 404:
            return None
        raise
    return found_in(inspected, before) if inspected["Id"] == container else None


def update(call: Call, id: str, prior: Mapping[str, Value], foretold: Properties) -> Properties:  # noqa: A002
    """Apply what can change while the container lives; raise InitFailedError, the new state recorded all the same."""
    state = {**as_foretold(FIELDS, foretold), "id": id}
    try:
        if not flag_of(prior, "mustRun") and flag_of(state, "mustRun") and flag_of(state, "start"):
            start(call, id)
        if any(_differs(prior.get(name), state.get(name)) for name in IN_PLACE):
            call.daemon.post(f"/containers/{quoted(id)}/update", update_body(state))
    except DaemonError as error:
        message = f"Unable to update a container: {error}"
        raise half_done("updating", call.urn, message, id=id, state=state) from None
    except PluginError as error:
        raise half_done("updating", call.urn, error.message, id=id, state=state) from None
    return state


def _differs(old: Value, new: Value) -> bool:
    return (old or None) != (new or None)


def delete(call: Call, id: str, state: Mapping[str, Value]) -> None:  # noqa: A002
    """Stop a container with the grace its state gives it, and remove it; one that is gone is no error."""
    path = f"/containers/{quoted(id)}"
    grace = max(0, number_of(state, "destroyGraceSeconds"))
    if not flag_of(state, "attach"):
        try:
            call.daemon.post(f"{path}/stop", query={"t": grace}, seconds=grace + STOP_SLACK_SECONDS)
        except DaemonError as error:
            if "No such container" not in error.message:
                raise failed("deleting", call.urn, f"Error stopping container {id}: {error}") from None
    try:
        call.daemon.delete(path, {"v": flag_of(state, "removeVolumes"), "force": True}, seconds=call.seconds)
    except DaemonError as error:
        if "No such container" not in error.message and "is already in progress" not in error.message:
            raise failed("deleting", call.urn, f"Error deleting container {id}: {error}") from None
    _await_removal(call, path, id)


def _await_removal(call: Call, path: str, id: str) -> None:  # noqa: A002
    try:
        call.daemon.post(f"{path}/wait", query={"condition": "removed"}, seconds=STOP_SLACK_SECONDS)
    except DaemonError as error:
        if error.status != 404 and "is already in progress" not in error.message:
            raise failed("deleting", call.urn, f"Error waiting for container removal '{id}': {error}") from None
