"""A stack for which no cluster is named is on this user's own, and no file of theirs has to say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from operate import platforms
from operate.kubernetes import local
from operate.request import Request, request_from
from setup.daemon import Daemon, Endpoint
from setup.prepare import Prepared
from setup.toolchain import Tools


def request_of(folder: Path, **variables: str) -> Request:
    """A request of a user whose home is the folder, for a stack on Kubernetes."""
    environment = {"HOME": str(folder), "STACK": "k8s", **variables}
    request = request_from("up", [], environment)
    file = request.places.stack_file("k8s")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("config:\n  scaffold:platform: kubernetes\n")
    return request


def prepared(folder: Path) -> Prepared:
    return Prepared(Tools(folder / "pulumi", folder, official=False), Daemon(Endpoint(socket="/s")), {"PATH": "/bin"})


def test_the_way_to_the_local_cluster_is_handed_to_programs_once_there_is_one(tmp_path: Path) -> None:
    request = request_of(tmp_path)
    assert local.is_meant(request)
    assert "KUBECONFIG" not in platforms.of(request).handed(request, prepared(tmp_path)).environment
    way = local.kubeconfig_of(request)
    assert way.is_relative_to(tmp_path)
    way.parent.mkdir(parents=True)
    way.touch()
    assert platforms.of(request).handed(request, prepared(tmp_path)).environment == {
        "PATH": "/bin",
        "KUBECONFIG": str(way),
    }


@pytest.mark.parametrize("variable", ["/some/config", "/some/config:/other"])
def test_a_cluster_that_is_named_is_left_as_it_is(tmp_path: Path, variable: str) -> None:
    request = request_of(tmp_path, KUBECONFIG=variable)
    assert not local.is_meant(request)
    done = prepared(tmp_path)
    assert local.handed(request, done) is done
    assert local.ready(request, done) is done


def test_a_stack_on_docker_knows_nothing_of_clusters(tmp_path: Path) -> None:
    request = request_of(tmp_path)
    request.places.stack_file("k8s").write_text("config:\n  scaffold:platform: docker\n")
    done = prepared(tmp_path)
    assert platforms.of(request).handed(request, done) is done
    assert platforms.of(request).ready(request, done) is done
