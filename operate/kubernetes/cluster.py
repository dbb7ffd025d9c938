"""The cluster that a stack is on: how it is reached, what the stack is called there, and its objects by label."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

from kubeapi import kubeconfig
from kubeapi.access import Access, KubeconfigError
from kubeapi.client import Client
from kubeapi.errors import FORBIDDEN, UNAUTHORIZED, ApiError, UnreachableError
from operate.kubernetes import local
from operate.kubernetes.kinds import Kind
from operate.request import Request
from setup.kubeconfig import LOCAL
from setup.places import NAME
from setup.problem import Problem

SERVICE = "app.kubernetes.io/name"
STACK = "app.kubernetes.io/instance"
PROJECT = "app.kubernetes.io/part-of"
RELEASE = "app.kubernetes.io/version"

PATIENCE_SECONDS = 30.0
PAUSE_SECONDS = 0.5

Object = dict[str, Any]
Answer = TypeVar("Answer")


def namespace_of(stack: str) -> str:
    """Return the namespace that a stack lives in."""
    return f"{NAME}-{stack}"


def labels(stack: str) -> dict[str, str]:
    """Return the labels that every object of a stack carries."""
    return {PROJECT: NAME, STACK: stack}


@dataclass(frozen=True)
class Cluster:
    """One stack's part of a cluster."""

    client: Client
    stack: str

    @property
    def namespace(self) -> str:
        """The stack's namespace."""
        return quote(namespace_of(self.stack), safe="")

    @property
    def selector(self) -> str:
        """What selects the stack's objects."""
        return ",".join(f"{key}={value}" for key, value in labels(self.stack).items())

    def objects(self, kind: Kind) -> list[Object]:
        """Return the stack's objects of a kind by name; none where the cluster does not serve the kind.

        Of a kind that only a setting asks for, none either to a user who may not see any: such a user makes none.
        """
        try:
            found = self.client.get(kind.collection(self.namespace), {"labelSelector": self.selector})
        except ApiError as error:
            if error.gone or (kind.needs and error.status == FORBIDDEN):
                return []
            raise
        items: list[Object] = found.get("items") or []
        return sorted(items, key=name_of)

    def pods(self) -> list[Object]:
        """Return the stack's pods by name."""
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        items: list[Object] = self.client.get(path, {"labelSelector": self.selector}).get("items") or []
        return sorted(items, key=name_of)

    def found(self, path: str) -> Object | None:
        """Return an object, or None where there is none."""
        try:
            answer: Object = self.client.get(path)
        except ApiError as error:
            if error.gone:
                return None
            raise
        return answer

    def seen(self, path: str) -> Object | None:
        """Return an object, or None where there is none, or none that this user may see."""
        try:
            return self.found(path)
        except ApiError as error:
            if error.status != FORBIDDEN:
                raise
            return None


def patiently(ask: Callable[[], Answer], seconds: float = PATIENCE_SECONDS) -> Answer:
    """Return what the cluster answers; an API server that is being replaced is asked again for a while."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except UnreachableError:
            if time.monotonic() > deadline:
                raise
        time.sleep(PAUSE_SECONDS)


def name_of(found: Object) -> str:
    """Return an object's name."""
    return str(found["metadata"]["name"])


def label_of(found: Object, label: str) -> str:
    """Return a label of an object, empty where it has none."""
    return str((found["metadata"].get("labels") or {}).get(label, ""))


def access_of(request: Request) -> Access:
    """Return the way to the stack's cluster; raise Problem where what is written of it cannot be used."""
    source = local.source_of(request)
    path = str(local.kubeconfig_of(request)) if source.kind == LOCAL else request.setting("kubeconfig") or ""
    try:
        return kubeconfig.load(path, request.setting("kubeContext") or "", request.environment)
    except KubeconfigError as error:
        raise unusable(request.stack, str(error)) from None


def unusable(stack: str, words: str) -> Problem:
    """Return what to do where a kubeconfig cannot be used."""
    return Problem(
        f"The way to the cluster of the stack {stack} cannot be used: {words}.",
        f"mend that, or name another file: make config STACK={stack} ARGS='set kubeconfig PATH' "
        "(and kubeContext, for another than its current context)",
    )


@contextlib.contextmanager
def reached(request: Request) -> Iterator[Cluster]:
    """Yield the stack's part of its cluster; raise Problem where the cluster does not answer, or refuses."""
    access = access_of(request)
    client = Client(access)
    try:
        yield Cluster(client, request.stack)
    except KubeconfigError as error:
        raise unusable(request.stack, str(error)) from None
    except UnreachableError as error:
        raise silent(request, access, str(error)) from None
    except ApiError as error:
        if error.status in (UNAUTHORIZED, FORBIDDEN):
            raise refusal(request.stack, access, error) from None
        raise Problem(
            f"The cluster at {access.server} refused: {error.message}.", "mend what it says and run this again"
        ) from None
    finally:
        client.close()


def silent(request: Request, access: Access, words: str) -> Problem:
    """Return what to do where no cluster answers."""
    if local.source_of(request).kind == LOCAL:
        return Problem(f"The local cluster does not answer: {words}.", f"make up STACK={request.stack} starts it")
    return Problem(
        f"No Kubernetes cluster answers at {access.server} (context {access.context}): {words}.",
        f"start it or mend the way to it; for another cluster: make config STACK={request.stack} "
        "ARGS='set kubeContext NAME', or kubeconfig",
    )


def refusal(stack: str, access: Access, error: ApiError) -> Problem:
    """Return what to do where the cluster knows who asks and refuses, or does not know."""
    if error.status == UNAUTHORIZED:
        return Problem(
            f"The cluster at {access.server} does not accept the credentials of context {access.context!r}.",
            f"sign in again, or use another context: make config STACK={stack} ARGS='set kubeContext NAME'",
        )
    return Problem(
        f"The user of context {access.context!r} may not do this: {error.message}.",
        f"have the cluster's administrator grant it, or use another context: make config STACK={stack} "
        "ARGS='set kubeContext NAME'",
    )
