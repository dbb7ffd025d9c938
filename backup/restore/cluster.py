"""The cluster's API as a pod reaches it: by the token and the authority that the cluster puts into it."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backup.error import StopError
from restore.switchboard import SwitchboardError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
SECONDS = 10.0
ANSWER_BYTES = 32 << 20
MERGE_PATCH = "application/merge-patch+json"
WORDS = 300


@dataclass(frozen=True)
class Cluster:
    """A cluster's API and the namespace of the stack."""

    host: str
    port: int
    namespace: str
    token: Path
    authority: ssl.SSLContext | None = field(repr=False)

    def get(self, path: str) -> dict[str, Any] | None:
        """Return an object, None where there is none; raise SwitchboardError."""
        return self._ask("GET", path, None)

    def patch(self, path: str, change: Mapping[str, Any]) -> dict[str, Any] | None:
        """Change an object and return it, None where there is none; raise SwitchboardError."""
        return self._ask("PATCH", path, json.dumps(change).encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> dict[str, Any] | None:
        # Read each time: the cluster renews it while the pod runs.
        headers = {"Authorization": f"Bearer {self._token()}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = MERGE_PATCH
        connection = (
            http.client.HTTPSConnection(self.host, self.port, timeout=SECONDS, context=self.authority)
            if self.authority
            else http.client.HTTPConnection(self.host, self.port, timeout=SECONDS)
        )
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            found: Any = json.loads(answer.read(ANSWER_BYTES))
        except (OSError, http.client.HTTPException, ValueError) as error:
            # Its text may hold what was sent; its kind says enough.
            why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            raise SwitchboardError(
                f"the cluster's API at {self.host}:{self.port} does not answer: {why}",
                "Wait for it, or let the restore's pod reach it: it needs a policy for that",
                transient=True,
            ) from None
        finally:
            connection.close()
        if answer.status == http.client.NOT_FOUND:
            return None
        if answer.status >= http.client.BAD_REQUEST or not isinstance(found, dict):
            raise refused(method, path, answer.status, found)
        return found

    def _token(self) -> str:
        try:
            return self.token.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            raise SwitchboardError(
                f"{self.token} cannot be read, wanted the token of the pod's service account",
                "Let the pod have it: automountServiceAccountToken",
                transient=False,
            ) from None


def refused(method: str, path: str, status: int, body: object) -> SwitchboardError:
    """Return the error that a refusal means."""
    said = str(body.get("message", "")) if isinstance(body, dict) else ""
    what = f"the cluster refused {method} {path.partition('?')[0]} with status {status}"
    if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
        hint = "Let the restore's service account do that: `make up` makes its role"
    else:
        hint = "Look at what the cluster says of it: kubectl get events"
    return SwitchboardError(
        f"{what}: {said[:WORDS]}" if said else what,
        hint,
        transient=status in (http.client.CONFLICT, http.client.TOO_MANY_REQUESTS) or status >= 500,
    )


def found(environ: Mapping[str, str], account: Path = ACCOUNT) -> Cluster:
    """Return the cluster that this pod is in; raise StopError where it does not say."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
    try:
        namespace = (account / "namespace").read_text(encoding="utf-8").strip()
        context = ssl.create_default_context(cafile=str(account / "ca.crt"))
    except (OSError, UnicodeDecodeError) as error:
        raise StopError(
            f"{account}: cannot be read: {error}, wanted the pod's service account with token, ca.crt and namespace. "
            "Let the pod have it: automountServiceAccountToken"
        ) from None
    if not port.isascii() or not port.isdigit() or not host:
        raise StopError("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT: wanted both, as a cluster sets them")
    # Authorities of clusters often lack the key usage that newer Pythons ask for by default (RFC 5280, 4.2.1.3).
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    return Cluster(host, int(port), namespace, account / "token", context)
