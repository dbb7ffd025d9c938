"""What it takes to speak to one cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


class KubeconfigError(Exception):
    """A kubeconfig that cannot be used; says which file or entry, what it has, and what was wanted."""


@dataclass(frozen=True)
class CredentialProgram:
    """A program that prints credentials: an `exec` entry of a kubeconfig."""

    command: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    api_version: str = "client.authentication.k8s.io/v1"
    folder: str = ""
    provide_cluster: bool = False
    install_hint: str = ""


@dataclass(frozen=True)
class Access:
    """One cluster and one user of it; texts are PEM, and never shown by `repr`."""

    server: str
    context: str = ""
    namespace: str = "default"
    authority: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    token_file: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    insecure: bool = False
    server_name: str = ""
    proxy: str = ""
    program: CredentialProgram | None = None
