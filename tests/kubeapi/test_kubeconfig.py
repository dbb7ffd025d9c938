"""Kubeconfigs are read as kubectl reads them, and what is wrong with one is said without showing a secret."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeapi import kubeconfig
from kubeapi.access import KubeconfigError
from kubeapi.credentials import Credentials

TOKEN = "a-token-of-this-test"


def config(**changes: Any) -> dict[str, Any]:
    """Return a kubeconfig of one context, with some of its parts changed."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "https://one.example:6443"}}],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "web"}}],
        "current-context": "here",
        **changes,
    }


def written(folder: Path, name: str, content: object) -> Path:
    """Return a file with this content."""
    path = folder / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def test_a_context_joins_a_cluster_a_user_and_a_namespace(tmp_path: Path) -> None:
    found = kubeconfig.load(str(written(tmp_path, "config", config())))
    assert (found.server, found.context, found.namespace) == ("https://one.example:6443", "here", "web")
    assert found.token == TOKEN
    assert TOKEN not in repr(found)


def test_another_cluster_may_take_the_contexts_ones_place(tmp_path: Path) -> None:
    other = {"name": "d", "cluster": {"server": "https://two.example"}}
    path = str(written(tmp_path, "config", config(clusters=[*config()["clusters"], other])))
    assert kubeconfig.load(path, cluster="d").server == "https://two.example"
    with pytest.raises(KubeconfigError, match="names the cluster 'e', which is not in it"):
        kubeconfig.load(path, cluster="e")


def test_without_a_path_the_environment_says_which_files(tmp_path: Path) -> None:
    other = config(
        clusters=[{"name": "c", "cluster": {"server": "https://two.example"}}],
        contexts=[{"name": "there", "context": {"cluster": "c", "user": "u"}}],
    )
    names = os.pathsep.join(str(written(tmp_path, name, found)) for name, found in (("a", config()), ("b", other)))
    merged = kubeconfig.load("", "there", {"KUBECONFIG": names})
    assert merged.server == "https://one.example:6443", "of two clusters with one name the first file's counts"
    assert merged.namespace == "default"


def test_files_in_a_kubeconfig_lie_beside_it(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("AUTHORITY")
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    given = config(
        clusters=[{"name": "c", "cluster": {"server": "https://one.example", "certificate-authority": "ca.pem"}}],
        users=[{"name": "u", "user": {"tokenFile": "token", "client-key-data": base64.b64encode(b"KEY").decode()}}],
    )
    found = kubeconfig.load(str(written(tmp_path, "config", given)))
    assert found.authority == "AUTHORITY"
    assert found.key == "KEY"
    assert Credentials(found).current().token == TOKEN


def test_a_token_in_a_file_is_read_again_when_it_was_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("old")
    given = config(users=[{"name": "u", "user": {"tokenFile": "token"}}])
    credentials = Credentials(kubeconfig.load(str(written(tmp_path, "config", given))))
    assert credentials.current().token == "old"
    (tmp_path / "token").write_text("new")
    assert credentials.current().token == "old"
    assert credentials.current(refused=True).token == "new"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{", "is no YAML at line"),
        ("- a", "is no mapping"),
        (config(**{"current-context": ""}), "set `kubeContext` to one of them"),
        (config(**{"current-context": "elsewhere"}), "elsewhere"),
        (config(contexts=[{"name": "here", "context": {"cluster": "x", "user": "u"}}]), "names the cluster 'x'"),
        (config(clusters=[{"name": "c", "cluster": {"server": "one.example"}}]), "no address"),
        (config(users=[{"name": "u", "user": {"auth-provider": {"name": "gcp"}}}]), "auth-provider"),
        (config(users=[{"name": "u", "user": {"client-key-data": "%%%"}}]), "no base64"),
    ],
)  # fmt: skip
def test_a_kubeconfig_that_cannot_be_used_is_refused_with_what_is_wrong(
    tmp_path: Path, given: object, said: str
) -> None:
    path = written(tmp_path, "config", given)
    with pytest.raises(KubeconfigError) as raised:
        kubeconfig.load(str(path))
    assert said in str(raised.value)
    assert TOKEN not in str(raised.value)
    assert str(path) in str(raised.value)


def test_no_kubeconfig_at_all_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="set KUBECONFIG to the file"):
        kubeconfig.load("", "", {"KUBECONFIG": str(tmp_path / "absent")})
    with pytest.raises(KubeconfigError, match="cannot be read"):
        kubeconfig.load(str(tmp_path / "absent"))


def program(folder: Path, script: str) -> Path:
    """Return a credential program."""
    path = folder / "credential"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_program_is_asked_for_the_token_and_asked_again_when_it_has_run_out(tmp_path: Path) -> None:
    answer = {"kind": "ExecCredential", "status": {"token": TOKEN, "expirationTimestamp": "2000-01-01T00:00:00Z"}}
    made = program(tmp_path, f"echo run >> {tmp_path}/runs\necho '{json.dumps(answer)}'")
    given = config(users=[{"name": "u", "user": {"exec": {"command": f"./{made.name}", "args": ["get"]}}}])
    credentials = Credentials(kubeconfig.load(str(written(tmp_path, "config", given))))
    assert credentials.current().token == TOKEN
    assert credentials.current().token == TOKEN
    assert (tmp_path / "runs").read_text().split() == ["run", "run"]


@pytest.mark.parametrize(
    ("script", "said"),
    [("echo it says why >&2; exit 3", "exit code 3: it says why"), ("echo '{}'", "printed no ExecCredential")],
)
def test_a_program_that_gives_nothing_is_named(tmp_path: Path, script: str, said: str) -> None:
    made = program(tmp_path, script)
    given = config(users=[{"name": "u", "user": {"exec": {"command": f"./{made.name}"}}}])
    credentials = Credentials(kubeconfig.load(str(written(tmp_path, "config", given))))
    with pytest.raises(KubeconfigError) as raised:
        credentials.current()
    assert said in str(raised.value)
    assert "credential" in str(raised.value)


def test_a_program_that_is_absent_is_named_with_its_hint() -> None:
    entry = {"command": "no-such-program-of-this-test", "installHint": "install it so"}
    access = kubeconfig.parse(yaml.safe_dump(config(users=[{"name": "u", "user": {"exec": entry}}])))
    with pytest.raises(KubeconfigError, match="install it so"):
        Credentials(access).current()
