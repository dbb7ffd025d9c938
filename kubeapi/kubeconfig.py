"""Reads kubeconfigs: files that name clusters, users, and contexts that join the two (kubectl merges them so)."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from kubeapi.access import Access, CredentialProgram, KubeconfigError

DEFAULT_PATH = "~/.kube/config"
# The one in C, where PyYAML has it: a kubeconfig is read by every process that speaks to a cluster.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(
    path: str = "", context: str = "", environment: Mapping[str, str] | None = None, *, cluster: str = ""
) -> Access:
    """Return the access that a kubeconfig file describes; without a path `KUBECONFIG` or the home folder's is read.

    A `cluster` takes the place of the one its context names.
    Raises KubeconfigError for a file that is absent or cannot be used.
    """
    given = os.environ if environment is None else environment
    if path:
        file = Path(path).expanduser()
        return parse(_read(file), context, file.parent, f"kubeconfig {path}", cluster=cluster)
    names = [name for name in given.get("KUBECONFIG", "").split(os.pathsep) if name]
    files = [Path(name).expanduser() for name in names] or [Path(DEFAULT_PATH).expanduser()]
    present = [file for file in files if file.is_file()]
    if not present:
        told = "KUBECONFIG" if names else "the setting `kubeconfig`"
        raise KubeconfigError(
            f"no kubeconfig at {', '.join(map(str, files))}: set {told} to the file of the cluster that is meant"
        )
    merged: dict[str, Any] = {}
    for file in present:
        _merge(merged, _mapping(_read(file), str(file)), file.parent)
    return _access(merged, context, cluster, " and ".join(map(str, present)))


def parse(
    text: str, context: str = "", folder: Path | None = None, origin: str = "kubeconfig", *, cluster: str = ""
) -> Access:
    """Return the access that a kubeconfig's text describes; relative files in it count from `folder`.

    Raises KubeconfigError.
    """
    merged: dict[str, Any] = {}
    _merge(merged, _mapping(text, origin), folder or Path())
    return _access(merged, context, cluster, origin)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise KubeconfigError(f"the kubeconfig {path} cannot be read: {error}") from None


def _mapping(text: str, origin: str) -> dict[str, Any]:
    try:
        found = yaml.load(text, LOADER)  # noqa: S506  either is a safe one
    except yaml.YAMLError as error:
        # The error's own text would quote the line, and the line may be a key.
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise KubeconfigError(f"{origin} is no YAML{where}") from None
    if not isinstance(found, dict):
        raise KubeconfigError(f"{origin} is no mapping with clusters, users and contexts")
    return found


def _merge(merged: dict[str, Any], found: Mapping[str, Any], folder: Path) -> None:
    """Take in another file's entries; the first to name something wins, as kubectl has it."""
    for kind in ("clusters", "users", "contexts"):
        known = merged.setdefault(kind, {})
        for entry in found.get(kind) or []:
            if isinstance(entry, dict) and isinstance(entry.get(kind[:-1]) or {}, dict):
                known.setdefault(str(entry.get("name", "")), (entry.get(kind[:-1]) or {}, folder))
    merged["current-context"] = merged.get("current-context") or found.get("current-context") or ""


def _access(merged: Mapping[str, Any], context: str, other_cluster: str, origin: str) -> Access:
    wanted = context or merged["current-context"]
    contexts = merged["contexts"]
    if not wanted or wanted not in contexts:
        there = ", ".join(sorted(contexts)) or "none"
        what = f"no context {wanted!r}" if wanted else "no current context"
        raise KubeconfigError(f"{origin} has {what}; it has {there}: set `kubeContext` to one of them")
    chosen, _ = contexts[wanted]
    cluster, cluster_folder = _named(merged, "clusters", other_cluster or chosen.get("cluster"), wanted, origin)
    user, user_folder = (
        _named(merged, "users", chosen.get("user"), wanted, origin) if chosen.get("user") else ({}, None)
    )
    server = str(cluster.get("server") or "")
    if not server.startswith(("https://", "http://")):
        raise KubeconfigError(f"{origin}: the cluster of context {wanted!r} has the server {server!r}, no address")
    if "auth-provider" in user:
        raise KubeconfigError(
            f"{origin}: the user of context {wanted!r} signs in by `auth-provider`, which Kubernetes removed: "
            "make a kubeconfig with an `exec` entry or a token"
        )
    folder = user_folder or Path()
    return Access(
        server=server.rstrip("/"),
        context=wanted,
        namespace=str(chosen.get("namespace") or "default"),
        authority=_material(cluster, "certificate-authority", cluster_folder, origin),
        certificate=_material(user, "client-certificate", folder, origin),
        key=_material(user, "client-key", folder, origin),
        token=str(user.get("token") or ""),
        token_file=str(folder / user["tokenFile"]) if user.get("tokenFile") else "",
        username=str(user.get("username") or ""),
        password=str(user.get("password") or ""),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        server_name=str(cluster.get("tls-server-name") or ""),
        proxy=str(cluster.get("proxy-url") or ""),
        program=_program(user.get("exec"), folder),
    )


def _named(
    merged: Mapping[str, Any], kind: str, name: object, context: str, origin: str
) -> tuple[dict[str, Any], Path]:
    found: tuple[dict[str, Any], Path] | None = merged[kind].get(str(name or ""))
    if found is None:
        raise KubeconfigError(f"{origin}: context {context!r} names the {kind[:-1]} {name!r}, which is not in it")
    return found


def _material(entry: Mapping[str, Any], key: str, folder: Path, origin: str) -> str:
    data = entry.get(f"{key}-data")
    if data:
        try:
            return base64.b64decode("".join(str(data).split()), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise KubeconfigError(f"{origin}: `{key}-data` is no base64 of a PEM text") from None
    return _read(folder / str(entry[key])) if entry.get(key) else ""


def _program(entry: object, folder: Path) -> CredentialProgram | None:
    if not isinstance(entry, dict):
        return None
    command = str(entry.get("command") or "")
    # As kubectl does: a path with a slash counts from the kubeconfig's folder, a bare name is looked for on PATH.
    return CredentialProgram(
        command=str(folder / command) if os.sep in command else command,
        arguments=tuple(str(argument) for argument in entry.get("args") or []),
        environment={str(item["name"]): str(item.get("value", "")) for item in entry.get("env") or []},
        api_version=str(entry.get("apiVersion") or "client.authentication.k8s.io/v1"),
        folder=str(folder),
        provide_cluster=bool(entry.get("provideClusterInfo")),
        install_hint=str(entry.get("installHint") or ""),
    )
