"""The few questions that starting a cluster asks of its API; standard library alone."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any

from cluster import authority
from cluster.layout import Layout

SECONDS = 10.0
MANAGER = "cluster"
APPLY = "application/apply-patch+yaml"
Object = dict[str, Any]
PLURALS = {
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "ConfigMap": "configmaps",
    "Deployment": "deployments",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
    "StorageClass": "storageclasses",
}


class Refused(Exception):  # noqa: N818 - an answer
    """The API refused a request; says which, with its status and words."""

    def __init__(self, what: str, status: int, words: str) -> None:
        super().__init__(f"{what}: {status} {words}")
        self.status = status


class Api:
    """The API of a cluster, asked as its administrator. Its calls raise Refused, or OSError when nothing answers."""

    def __init__(self, layout: Layout) -> None:
        certificates = layout.certificates
        self._address = ("127.0.0.1", layout.shape.api_port)
        self._context = ssl.create_default_context(cafile=str(authority.certificate(certificates, authority.API)))
        self._context.load_cert_chain(
            str(authority.certificate(certificates, "administrator")), str(authority.key(certificates, "administrator"))
        )

    def get(self, path: str) -> Any:
        """Return a JSON document, or the text of an answer that is none."""
        return self._ask("GET", path)

    def apply(self, found: Object) -> None:
        """Make an object as it is given; one that is so already is not changed."""
        self._ask("PATCH", f"{path_of(found)}?fieldManager={MANAGER}&force=true", json.dumps(found), APPLY)

    def _ask(self, method: str, path: str, body: str | None = None, kind: str = "") -> Any:
        connection = http.client.HTTPSConnection(*self._address, timeout=SECONDS, context=self._context)
        try:
            connection.request(method, path, body=body, headers={"Content-Type": kind} if kind else {})
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except http.client.HTTPException as error:
            raise ConnectionError(f"{type(error).__name__}: {error}") from error
        finally:
            connection.close()
        if answer.status >= http.client.BAD_REQUEST:
            raise Refused(f"{method} {path}", answer.status, text[:500])
        return json.loads(text) if answer.headers.get_content_type() == "application/json" else text


def path_of(found: Object) -> str:
    """Return the path of an object."""
    version, meta = str(found["apiVersion"]), found["metadata"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    within = f"/namespaces/{meta['namespace']}" if "namespace" in meta else ""
    return f"{root}{within}/{PLURALS[found['kind']]}/{meta['name']}"
