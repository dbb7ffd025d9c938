"""What is decided before anything is touched: addresses, obstacles, files, commands, images."""

from __future__ import annotations

import io
import json
import os
import struct
import tarfile
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster import authority, build, commands, configuration, images, mounts, network, objects, obstacles, ready, root
from cluster.api import path_of
from cluster.keeper import Announcement, announced_from, node_ports, pods_from
from cluster.layout import Layout
from cluster.shape import Shape, shape_of, shape_of_tests
from setup import gobuild
from setup.places import Places
from setup.ports import Listener
from setup.problem import Problem
from setup.processes import Failed

SHAPE = shape_of_tests()
LAYOUT = Layout(SHAPE, Path("/state/clusters/tests"), Path("/cache/cluster"), Path("/venv/bin/python"), Path("/clone"))


@given(st.integers(0, 255))
def test_node_pods_and_services_share_a_network_and_no_address(second: int) -> None:
    shape = Shape("any", IPv4Network(f"10.{second}.0.0/16"), 6443, 5050)
    link = IPv4Network(f"{shape.host_address}/30", strict=False)
    parts = [link, shape.pods, shape.services]
    assert all(part.subnet_of(shape.network) for part in parts)
    assert not any(one.overlaps(other) for one in parts for other in parts if one is not other)
    assert shape.api_address in shape.services
    assert shape.dns_address in shape.services


@pytest.mark.parametrize("given_network", ["10.0.0.0/8", "8.8.0.0/16", "10.0.0.1/16", "words", "fd00::/16"])
def test_a_network_that_is_none_for_a_cluster_is_refused(given_network: str) -> None:
    with pytest.raises(Problem) as refusal:
        shape_of({"SCAFFOLD_CLUSTER_NETWORK": given_network})
    assert given_network in refusal.value.cause
    assert "SCAFFOLD_CLUSTER_NETWORK=" in refusal.value.fix


def test_the_clusters_of_a_user_and_of_the_tests_share_nothing() -> None:
    users, tests = shape_of({}), shape_of_tests()
    assert not users.network.overlaps(tests.network)
    names = [{each.node, each.cgroup, each.table, str(each.api_port), each.registry} for each in (users, tests)]
    assert not names[0] & names[1]
    assert all(len(each.node) < 16 for each in (users, tests)), "a link's name has at most 15 characters"


def test_every_obstacle_names_what_is_in_the_way_and_what_to_do() -> None:
    busy = [Listener("127.0.0.1", 6443, "1", 77, "other-server")]
    elsewhere = Listener("192.0.2.1", 6443, "2", 78, "no-matter")
    found = {
        "takes root": obstacles.root_problem(1000, sudo=False),
        "in /other, not in /mine": obstacles.owner_problem(SHAPE, "/other", Path("/mine"), running=True),
        "is not mounted": obstacles.groups_problem([]),
        "longer than a socket's": obstacles.path_problem(
            Layout(SHAPE, Path("/" + "long/" * 20), Path("/c"), Path("/p"), Path("/r"))
        ),
        "has 0.5 GB": obstacles.room_problem(Path("/full"), 2**29),
        "10.88.4.0/24, which is reached by tun0": obstacles.network_problem(SHAPE, [("10.88.4.0/24", "tun0")]),
        "process 77 (other-server": obstacles.port_problem(6443, "the API", [*busy, elsewhere]),
        "lacks what the cluster's keeper imports": obstacles.python_problem(Path("/none/bin/python")),
    }
    for words, problem in found.items():
        assert problem is not None, words
        assert words in problem.cause
        assert problem.fix
    assert "no-matter" not in str(found["process 77 (other-server"])


def test_an_environment_with_what_the_keeper_imports_is_no_obstacle(tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.touch()
    assert obstacles.python_problem(python)
    (tmp_path / "lib" / "python3.13" / "site-packages" / "yaml").mkdir(parents=True)
    assert obstacles.python_problem(python) is None


def test_what_is_not_in_the_way_is_no_obstacle() -> None:
    assert obstacles.root_problem(0, sudo=False) is None
    assert obstacles.root_problem(1000, sudo=True) is None
    assert obstacles.owner_problem(SHAPE, "/other", Path("/mine"), running=False) is None
    assert obstacles.owner_problem(SHAPE, "/mine", Path("/mine"), running=True) is None
    assert obstacles.path_problem(LAYOUT) is None
    routes = [("default", "eth0"), ("10.88.0.0/16", SHAPE.node), ("10.88.0.0/30", SHAPE.node), ("172.17.0.0/16", "d")]
    assert obstacles.network_problem(SHAPE, routes) is None
    assert obstacles.port_problem(6443, "the API", []) is None


def test_every_command_names_a_process_and_reads_files_that_are_written() -> None:
    made = [
        commands.store(LAYOUT), commands.runtime(LAYOUT), commands.api(LAYOUT), commands.registry(LAYOUT),
        commands.keeper(LAYOUT, ""), commands.controllers(LAYOUT), commands.scheduler(LAYOUT), commands.agent(LAYOUT),
        commands.proxy(LAYOUT), commands.storage(LAYOUT),
    ]  # fmt: skip
    assert tuple(each.name for each in made) == commands.NAMES
    written = set(configuration.files(LAYOUT, 1500, "/etc/resolv.conf"))
    named = {
        Path(word.rpartition("=")[2]).name
        for each in made
        for word in each.command
        if str(LAYOUT.configuration) in word and not word.endswith(".kubeconfig")
    }
    assert named
    assert named <= written


def test_root_works_in_the_places_of_whoever_asks() -> None:
    places = Places(Path("/clone"), Path("/cache"), Path("/state"), Path("/venv"))
    environment = {"PATH": "/usr/bin", "A_SECRET": "words", "SCAFFOLD_CLUSTER_NETWORK": "10.90.0.0/16"}
    command = root.command_of("down", LAYOUT, places, environment, "delete-data")
    assert command[0] == "env"
    assert {"SCAFFOLD_STATE_DIR=/state", "SCAFFOLD_CACHE_DIR=/cache", "SCAFFOLD_VENV=/venv"} <= set(command)
    assert "SCAFFOLD_CLUSTER_NETWORK=10.90.0.0/16" in command
    assert command[-4:] == ["cluster", "down", "tests", "delete-data"]
    assert "words" not in " ".join(command)


def test_only_what_is_durable_waits_for_the_disk() -> None:
    user = Layout(shape_of({}), LAYOUT.folder, LAYOUT.programs, LAYOUT.python, LAYOUT.repository)
    assert "--unsafe-no-fsync=true" in commands.store(LAYOUT).command
    assert not any("fsync" in word for word in commands.store(user).command)


def test_every_file_for_a_program_in_json_is_json() -> None:
    for name, text in configuration.files(LAYOUT, 1400, "/etc/resolv.conf").items():
        if name.endswith((".json", ".conflist")):
            assert json.loads(text)


def test_name_servers_that_lead_back_to_the_machine_are_passed_over(tmp_path: Path) -> None:
    stub, real = tmp_path / "stub", tmp_path / "real"
    stub.write_text("nameserver 127.0.0.53\n")
    real.write_text("search example.org\nnameserver 192.0.2.53\n")
    assert configuration.resolver([stub, real]) == str(real)
    assert configuration.resolver([stub, tmp_path / "none"]) == str(stub)


def test_certificates_are_for_clients_except_where_somebody_is_called() -> None:
    found = {each.name: authority.extensions_of(each) for each in authority.identities(SHAPE)}
    assert "IP:10.88.0.2" in found["apiserver"]
    assert "IP:10.88.128.1" in found["apiserver"]
    assert "DNS:kubernetes.default.svc" in found["apiserver"]
    assert {name for name, text in found.items() if "serverAuth" in text} == {"apiserver", "kubelet", "store-server"}


def test_an_image_is_what_its_programs_are(tmp_path: Path) -> None:
    program = tmp_path / "run"
    program.write_bytes(b"a program")
    image = images.Image("cluster.invalid/any:1", [program], "/run", "65532")
    made = images.archive(image)
    assert made == images.archive(image)
    with tarfile.open(fileobj=io.BytesIO(made)) as archive:
        contents = {entry.name: file.read() for entry in archive if (file := archive.extractfile(entry))}
    manifest = json.loads(contents["index.json"])["manifests"][0]
    assert manifest["annotations"]["io.containerd.image.name"] == image.name
    blob = json.loads(contents[f"blobs/sha256/{manifest['digest'].removeprefix('sha256:')}"])
    for part in (blob["config"], *blob["layers"]):
        assert len(contents[f"blobs/sha256/{part['digest'].removeprefix('sha256:')}"]) == part["size"]


def test_the_objects_have_paths_and_nothing_is_pulled() -> None:
    made = objects.objects(LAYOUT)
    assert len({path_of(each) for each in made}) == len(made)
    pods = [each["spec"]["template"]["spec"] for each in made if each["kind"] == "Deployment"]
    assert all(one["imagePullPolicy"] == "Never" for pod in pods for one in pod["containers"])


def test_no_image_that_only_this_cluster_has_is_ever_unused_and_deleted() -> None:
    deployments = [each for each in objects.objects(LAYOUT) if each["kind"] == "Deployment"]
    used = {one["image"] for each in deployments for one in each["spec"]["template"]["spec"]["containers"]}
    assert {image.name for image in images.images(LAYOUT)} <= used


def test_a_large_disk_is_not_full_at_some_percent() -> None:
    settings = configuration.kubelet(LAYOUT, "/etc/resolv.conf")
    assert settings["imageGCHighThresholdPercent"] == 100
    assert not any("%" in bound for bound in settings["evictionHard"].values())


def test_mounts_are_released_from_the_inside_out(tmp_path: Path) -> None:
    root = os.path.realpath(tmp_path)
    rows = [root, f"{root}/pods/a", f"{root}/pods/a/volumes/with\\040space", f"{root}-other", "/"]
    table = "\n".join(f"36 35 98:0 / {row} rw shared:1 - tmpfs tmpfs rw" for row in rows)
    assert mounts.below([tmp_path], table) == [f"{root}/pods/a/volumes/with space", f"{root}/pods/a", root]


def test_links_are_no_larger_than_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "eth7").mkdir()
    (tmp_path / "eth7" / "mtu").write_text("1400\n")
    assert network.mtu_of([("192.0.2.0/24", "eth0"), ("default", "eth7")], tmp_path) == 1400
    assert network.mtu_of([], tmp_path) == 1500


def test_node_ports_are_put_in_the_place_of_those_before() -> None:
    assert network.node_ports_rules(SHAPE, []) == "flush set ip cluster_tests node_ports\n"
    assert "{ 30080, 30443 }" in network.node_ports_rules(SHAPE, [30080, 30443])


def test_an_answer_of_dns_is_told_from_others() -> None:
    asked = ready.question("kubernetes.default.svc.cluster.local", 7)
    answer = struct.pack(">HHHHHH", 7, 0x8180, 1, 1, 0, 0) + asked[12:] + bytes(12) + bytes([10, 88, 128, 1])
    assert ready.answered(answer, 7) == IPv4Address("10.88.128.1")
    assert ready.answered(answer, 8) is None
    assert ready.answered(struct.pack(">HHHHHH", 7, 0x8183, 1, 0, 0, 0) + asked[12:], 7) is None
    assert ready.answered(b"short", 7) is None


def pod(uid: str, **more: object) -> dict[str, object]:
    meta = {"uid": uid, "namespace": "shop", "name": uid, "labels": {"app": uid}}
    return {"metadata": meta, "spec": more.get("spec", {}), "status": more.get("status", {})}


def test_an_announced_address_goes_before_what_a_status_still_says() -> None:
    told = [Announcement("shop", "new", "new", "10.88.1.7")]
    found = pods_from(
        [pod("old", status={"podIP": "10.88.1.7"}), pod("new"), pod("other", status={"podIP": "10.88.1.8"})],
        told, SHAPE.pods,
    )  # fmt: skip
    assert {str(each.address): each.name for each in found} == {"10.88.1.7": "new", "10.88.1.8": "other"}


def test_who_has_no_address_of_its_own_is_no_pod_of_the_policies() -> None:
    of_the_node = pod("agent", spec={"hostNetwork": True}, status={"podIP": "10.88.1.9"})
    ended = pod("job", status={"podIP": "10.88.1.10", "phase": "Succeeded"})
    elsewhere = pod("far", status={"podIP": "10.99.0.1"})
    assert pods_from([of_the_node, ended, elsewhere, pod("starting")], [], SHAPE.pods) == []


def test_announcements_outlive_the_keeper_and_a_broken_file_is_none() -> None:
    told = Announcement("shop", "web", "uid", "10.88.1.7")
    assert announced_from(json.dumps({"c": vars(told)})) == {"c": told}
    assert announced_from(None) == announced_from("{broken") == announced_from('{"c": {"odd": 1}}') == {}


def test_only_tcp_ports_on_the_node_lead_there() -> None:
    tcp, udp = {"nodePort": 30080, "protocol": "TCP"}, {"nodePort": 30053, "protocol": "UDP"}
    specs: list[dict[str, Any]] = [{"ports": [tcp, udp]}, {"ports": [{"port": 80}]}, {}]
    services: list[dict[str, Any]] = [{"metadata": {}, "spec": spec} for spec in specs]
    assert node_ports(services) == [30080]


def test_programs_are_built_in_one_go_where_their_names_allow_it() -> None:
    kubernetes = next(module for module in build.MODULES if module.name == "kubernetes")
    groups = build.together(kubernetes)
    assert sorted(len(group) for group in groups) == [1, 1, 6]
    assert {"etcd": "go.etcd.io/etcd/server/v3"} in groups
    line = build.command(kubernetes, "go", Path("/made"), ["one"])
    assert f"-X k8s.io/component-base/version.gitVersion={build.version_of(kubernetes)}" in " ".join(line)
    assert build.version_of(kubernetes).startswith("v1.34.")


@pytest.mark.parametrize(
    ("words", "cause", "fix"),
    [
        ("write: no space left on device", "disk became full", "GOCACHE"),
        ("verifying m@v1: checksum mismatch", "something else than", "GOPROXY"),
        ("dial tcp: lookup mirror: no such host", "could not be fetched", "GOPROXY"),
        (
            "go: download go1.99: toolchain not available",
            "is wanted for the cluster's programs",
            "golang.org/toolchain",
        ),
        ("undefined: x", "The cluster's programs of node could not be built", "go build"),
    ],
)
def test_a_build_that_fails_says_why_and_what_to_do(words: str, cause: str, fix: str) -> None:
    problem = gobuild.explained(Failed(["go"], 1, words), build.MODULES[0].build)
    assert cause in problem.cause
    assert fix in problem.fix
    late = gobuild.explained(Failed(["go"], None, ""), build.MODULES[0].build)
    assert "60 minutes" in late.cause


def test_a_module_is_built_again_when_any_of_its_files_is_another(tmp_path: Path) -> None:
    missing = build.missing(tmp_path)
    assert [module.name for module in missing] == [module.name for module in build.MODULES]
    node = build.MODULES[0]
    for program in node.programs:
        (tmp_path / program).touch(mode=0o755)
    (tmp_path / f"{node.name}.source").write_text(build.digest(node))
    assert node not in build.missing(tmp_path)
    (tmp_path / f"{node.name}.source").write_text("another")
    assert node in build.missing(tmp_path)
