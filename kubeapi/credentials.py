"""Credentials that change: tokens in files, and programs that print them."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from kubeapi.access import Access, CredentialProgram, KubeconfigError

PROGRAM_SECONDS = 60.0
FILE_SECONDS = 60.0
MARGIN_SECONDS = 30.0


@dataclass(frozen=True)
class Credential:
    """A token, or a client certificate with its key, and until when it may be used (seconds of the Unix clock)."""

    token: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    until: float = float("inf")


class Credentials:
    """What proves who we are, read again when it has run out. May be asked from many threads."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._lock = threading.Lock()
        self._known: Credential | None = None

    def current(self, *, refused: bool = False) -> Credential:
        """Return the credential to send; `refused` says that the last one was. Raise KubeconfigError."""
        with self._lock:
            if self._known is None or refused or time.time() > self._known.until:
                self._known = self._read()
            return self._known

    @property
    def renewable(self) -> bool:
        """Say whether asking again may give another credential."""
        return bool(self._access.program or self._access.token_file)

    def _read(self) -> Credential:
        access = self._access
        if access.program is not None:
            return asked(access.program, access)
        token, until = access.token, float("inf")
        if access.token_file:
            try:
                token = Path(access.token_file).read_text().strip()
            except OSError as error:
                raise KubeconfigError(f"the token file {access.token_file} cannot be read: {error.strerror}") from None
            until = time.time() + FILE_SECONDS
        return Credential(token, access.certificate, access.key, until)


def asked(program: CredentialProgram, access: Access) -> Credential:
    """Run a credential program and return what it printed, as client.authentication.k8s.io has it.

    Raises KubeconfigError when it is absent, fails, prints something else, or takes more than a minute.
    """
    spec: dict[str, object] = {"interactive": False}
    if program.provide_cluster:
        spec["cluster"] = {"server": access.server, "certificate-authority-data": access.authority}
    info = json.dumps({"apiVersion": program.api_version, "kind": "ExecCredential", "spec": spec})
    environment = {**os.environ, **program.environment, "KUBERNETES_EXEC_INFO": info}
    try:
        done = subprocess.run(
            [program.command, *program.arguments],
            capture_output=True, text=True, env=environment, timeout=PROGRAM_SECONDS, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError:
        hint = f": {program.install_hint}" if program.install_hint else ""
        raise KubeconfigError(f"the kubeconfig's credential program {program.command!r} is not here{hint}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KubeconfigError(f"the credential program {program.command!r} failed: {type(error).__name__}") from None
    if done.returncode != 0:
        raise KubeconfigError(
            f"the credential program {program.command!r} ended with exit code {done.returncode}: "
            f"{done.stderr.strip()[-500:]}"
        )
    try:
        status = json.loads(done.stdout)["status"]
        token, certificate = status.get("token") or "", status.get("clientCertificateData") or ""
        expires = status.get("expirationTimestamp")
        until = datetime.datetime.fromisoformat(expires).timestamp() - MARGIN_SECONDS if expires else float("inf")
        return Credential(str(token), str(certificate), str(status.get("clientKeyData") or ""), until)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise KubeconfigError(
            f"the credential program {program.command!r} printed no ExecCredential with a status"
        ) from None
