"""The parts of the Kubernetes plugin that decide without a cluster, each by itself."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline.kubernetes import fields, kinds, lifecycle, ownership, path, quantity, state
from offline.kubernetes.annotations import FORCE, SKIP_AWAIT, WAIT_FOR, is_set
from offline.kubernetes.awaiting import judge_of
from offline.kubernetes.check import Autonaming, check
from offline.kubernetes.diff import diff
from offline.kubernetes.secrecy import marked
from offline.kubernetes.shape import pruned
from offline.kubernetes.spelling import dashed, underscored
from offline.kubernetes.suffix import suffix
from offline.plugin.errors import PluginError
from offline.plugin.values import Properties, Secret, contains_secret, reveal_properties
from tests.offline.conftest import ROOT

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"

KEYS = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=6)
SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12
)
MAPS = st.dictionaries(KEYS, JSON, max_size=4)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("1000m", "1"), ("0.5", "500m"), (1, "1"), (0.25, "250m"), ("1024Mi", "1Gi"), ("1536Mi", "1536Mi"),
        ("1.5Gi", "1536Mi"), ("1023Ki", "1023Ki"), ("512", "512"), ("0.1Ki", "102400m"), ("1e3", "1e3"),
        ("12e2", "1200"), ("1E", "1E"), ("1E3", "1E3"), ("-5", "-5"), ("+2k", "+2k"), ("0Mi", "0"), ("1n", "1n"),
        ("0.1n", "1n"), ("100Mi", "100Mi"), ("1000000", "1M"), (".5", "500m"), ("5.", "5."), ("1.250", "1.250"),
        ("1.25", "1250m"), ("1.000", "1"), ("1.024G", "1.024G"), ("007", "007"), ("+0.5", "500m"), ("+4Ki", "+4Ki"),
        ("+8Ki", "8Ki"), ("+1.0Ki", "1Ki"), ("12E", "12E"), ("1e19", "10e18"), ("8Ei", "9223372036854775807"),
    ],
)  # fmt: skip
def test_an_amount_is_written_as_the_server_writes_it(written: str | float, kept: str) -> None:
    assert quantity.canonical(written) == kept


@pytest.mark.parametrize("written", ["", "m", "1 Gi", "1gi", "1e", "--1", "1.2.3", "Gi"])
def test_what_is_no_amount_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is no amount"):
        quantity.canonical(written)


@given(st.integers(-(10**15), 10**15), st.sampled_from(["n", "u", "m", "", "k", "M", "Ki", "Mi", "Gi"]))
def test_an_amount_once_canonical_stays_so_and_keeps_its_value(number: int, unit: str) -> None:
    once = quantity.canonical(f"{number}{unit}")
    assert quantity.canonical(once) == once
    assert _value(once) == _value(f"{number}{unit}") or abs(_value(once)) >= 2**63 - 1


def _value(text: str) -> Decimal:
    units = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
    binary = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
    if text[-2:] in binary:
        return Decimal(text[:-2]) * Decimal(1024) ** binary[text[-2:]]
    if text[-1] in units:
        return Decimal(text[:-1]).scaleb(units[text[-1]])
    return Decimal(text)


@given(MAPS, MAPS)
def test_what_is_cut_down_has_the_other_ones_shape(source: dict[str, Any], target: dict[str, Any]) -> None:
    found = pruned(source, target)
    assert found.keys() == source.keys() & target.keys()
    assert pruned(found, target) == found
    assert pruned(source, source).keys() == source.keys()


@given(MAPS)
def test_no_secret_is_lost_on_the_way(written: dict[str, Any]) -> None:
    secret: Properties = {key: Secret(value) for key, value in written.items()}
    found = marked(reveal_properties(secret), secret)
    assert reveal_properties(found) == written
    assert all(isinstance(value, Secret) for key, value in found.items())


def test_a_secret_in_a_list_makes_the_list_secret_and_one_in_a_map_itself() -> None:
    written: Properties = {"map": {"a": Secret("x"), "b": "y"}, "list": [{"a": Secret("x")}, {"a": "y"}]}
    found = marked(reveal_properties(written), written)
    assert found == {"map": {"a": Secret("x"), "b": "y"}, "list": Secret([{"a": "x"}, {"a": "y"}])}


@given(st.lists(KEYS | st.integers(0, 9) | st.sampled_from(["*", "a.b", 'q"', "x[1]", "pulumi.com/x"]), min_size=1))
def test_a_path_is_read_as_it_is_written(steps: list[str | int]) -> None:
    first = next((step for step in steps if isinstance(step, str)), "x")
    whole = [first, *steps]
    assert path.parse(path.written(whole)) == whole


def test_a_star_in_a_path_is_read_in_brackets_and_without() -> None:
    assert path.parse("spec.containers[*].image") == path.parse("spec.containers.*.image")


@given(MAPS)
def test_nothing_changes_where_nothing_changed(spec: dict[str, Any]) -> None:
    """Whatever a custom object holds, against a state made of it there is nothing to do."""
    token = "kubernetes:example.com/v1:Thing"
    wanted: Properties = {
        "apiVersion": "example.com/v1", "kind": "Thing", "spec": spec,
        "metadata": {"name": "a", "namespace": "default"},
    }  # fmt: skip
    known = state.state_of(wanted, wanted, "pulumi-kubernetes-12345678", "example.com/v1")
    found = diff(token, state.inputs_of(known), known, wanted, namespaced=True)
    assert not found.changed
    assert not found.replaces


@given(MAPS, MAPS)
def test_a_change_names_paths_that_are_there(before: dict[str, Any], after: dict[str, Any]) -> None:
    token = "kubernetes:example.com/v1:Thing"
    head: Properties = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a", "namespace": "n"}}
    old: Properties = {**head, "spec": before}
    known = state.state_of(old, old, "m", "example.com/v1")
    found = diff(token, old, known, {**head, "spec": after}, namespaced=True)
    assert found.changed == bool(found.changes)
    assert not found.replaces, "of a custom object only its name and its namespace replace it"
    for name in found.changes:
        assert path.parse(name)[0] == "spec"


@pytest.mark.parametrize("fixed", [True, False])
def test_a_config_map_of_a_fixed_name_goes_before_its_successor_comes(fixed: bool) -> None:
    given_metadata: Properties = {"name": "settings"} if fixed else {}
    old = _checked(CONFIG_MAP, {"metadata": given_metadata, "data": {"a": "b"}})
    new = _checked(CONFIG_MAP, {"metadata": given_metadata, "data": {"a": "c"}}, olds=old)
    known = state.state_of(reveal_properties(old), old, "m", "v1")
    found = diff(CONFIG_MAP, old, known, new, namespaced=True)
    assert found.replaces == ["data.a"]
    assert found.delete_first is fixed


def test_a_mutable_config_map_is_updated_in_place() -> None:
    old = _checked(CONFIG_MAP, {"metadata": {"name": "settings"}, "data": {"a": "b"}})
    new = _checked(CONFIG_MAP, {"metadata": {"name": "settings"}, "data": {"a": "c"}})
    known = state.state_of(reveal_properties(old), old, "m", "v1")
    found = diff(CONFIG_MAP, old, known, new, namespaced=True, mutable_config_maps=True)
    assert {name: change.kind for name, change in found.changes.items()} == {"data.a": "UPDATE"}
    immutable = {**new, "immutable": True}
    assert diff(CONFIG_MAP, old, known, immutable, namespaced=True, mutable_config_maps=True).replaces


def test_fields_that_the_server_drops_when_they_are_empty_do_not_come_back_as_changes() -> None:
    """hostNetwork vanishes when it is false, allowPrivilegeEscalation does not: only the types tell."""
    container: Properties = {
        "name": "main", "image": "x", "stdin": False, "args": [],
        "securityContext": {"allowPrivilegeEscalation": False, "runAsUser": 0},
    }  # fmt: skip
    wanted: Properties = {
        "metadata": {"name": "app", "labels": {}},
        "spec": {"replicas": 0, "template": {"spec": {"hostNetwork": False, "containers": [container]}}},
    }
    spec = _checked(DEPLOYMENT, wanted)["spec"]
    assert spec == {
        "replicas": 0,
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "main", "image": "x",
                        "securityContext": {"allowPrivilegeEscalation": False, "runAsUser": 0},
                    }
                ]
            }
        },
    }  # fmt: skip


def test_a_value_of_the_wrong_type_leaves_all_as_it_is() -> None:
    wanted: Properties = {"metadata": {"name": "app"}, "spec": {"replicas": "two", "nonsense": 1}}
    assert _checked(DEPLOYMENT, wanted)["spec"] == {"replicas": "two", "nonsense": 1}


def test_every_kind_of_the_table_takes_an_empty_object_and_one_of_what_it_has() -> None:
    table = fields._table()
    assert len(table["kinds"]) > 100
    for name in table["kinds"]:
        api_version, _, kind = name.rpartition("/")
        thing = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a", "uid": "x"}, "nonsense": 1}
        found = fields.normalized(thing)
        assert found["metadata"] == {"name": "a"}, name
        assert ("nonsense" in found) == (kind == "Secret"), name
    for described in table["types"]:
        for written in described.values():
            assert written.removesuffix("?").lstrip("*[{").isdigit() or written.removesuffix("?")[-1] in "sbifqxtya"


def test_a_name_follows_from_the_seed_and_differs_without_one() -> None:
    assert suffix(bytes(range(32))) == "b793e341", "the official provider's"
    assert suffix(b"") != suffix(b"")
    assert all(character in "0123456789abcdef" for character in suffix(b""))


def test_a_name_that_the_engine_proposes_is_taken_and_none_is_made_where_it_forbids() -> None:
    proposed = check(
        CONFIG_MAP, "a", {}, {}, b"", namespaced=True, default_namespace="x", autonaming=Autonaming("mine", 0)
    )
    assert proposed.inputs["metadata"] == {
        "name": "mine", "namespace": "x", "annotations": {"pulumi.com/autonamed": "true"},
    }  # fmt: skip
    with pytest.raises(PluginError, match="autonaming is disabled"):
        check(CONFIG_MAP, "a", {}, {}, b"", namespaced=True, default_namespace="x", autonaming=Autonaming("", 2))


@pytest.mark.parametrize(
    ("token", "api_version", "kind", "patch"),
    [
        ("kubernetes:core/v1:ConfigMapPatch", "v1", "ConfigMap", True),
        ("kubernetes:apps/v1:Deployment", "apps/v1", "Deployment", False),
        ("kubernetes:example.com/v1:SecurityPatch", "example.com/v1", "SecurityPatch", False),
    ],
)
def test_a_type_names_a_kind(token: str, api_version: str, kind: str, patch: bool) -> None:
    assert kinds.named(token) == {"apiVersion": api_version, "kind": kind}
    assert kinds.is_patch(token) is patch


def test_versions_that_end_are_told_from_those_that_stay() -> None:
    assert lifecycle.is_stable("apps/v1", "Deployment")
    assert not lifecycle.is_stable("policy/v1beta1", "PodDisruptionBudget")
    old = ("policy/v1beta1", "PodDisruptionBudget")
    assert "is deprecated by policy/v1/PodDisruptionBudget and not supported by" in lifecycle.warning(*old, (1, 24))
    assert "was removed in Kubernetes 1.25" in lifecycle.warning(*old, (1, 34))
    assert lifecycle.warning(*old, (1, 20)) == "", "its successor is not there yet"


def test_only_the_word_true_makes_an_annotation_true() -> None:
    assert is_set(_annotated(FORCE, "true"), FORCE)
    assert not is_set(_annotated(FORCE, "True"), FORCE), "a boolean of Python's"


def test_what_is_not_to_be_waited_for_is_not_waited_for_whatever_else_is_asked() -> None:
    asked = _annotated(WAIT_FOR, "jsonpath={.status.phase}=Ready")
    assert judge_of(asked) is not None
    asked["metadata"]["annotations"][SKIP_AWAIT] = "true"
    assert judge_of(asked) is None


def _annotated(name: str, value: str) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "annotations": {name: value}}}


@pytest.mark.parametrize(
    "manager",
    ["pulumi-kubernetes", "pulumi-kubernetes.exe", "pulumi-resource-kubernetes", "before-first-apply", "kubectl-edit"],
)
def test_fields_of_who_wrote_before_become_those_of_who_applies(manager: str) -> None:
    theirs = {"manager": manager, "operation": "Update", "apiVersion": "v1", "fieldsV1": {"f:data": {"f:a": {}}}}
    other = {**theirs, "manager": "autoscaler"}
    status = {**theirs, "subresource": "status"}
    found = ownership.handed_over([theirs, other, status], "pulumi-kubernetes-12345678")
    assert found is not None
    assert [(entry["manager"], entry["operation"]) for entry in found] == [
        ("pulumi-kubernetes-12345678", "Apply"), ("autoscaler", "Update"), (manager, "Update"),
    ]  # fmt: skip
    assert found[0]["fieldsV1"] == theirs["fieldsV1"]


def test_names_with_dashes_are_spelled_both_ways() -> None:
    program: Properties = {"spec": [{"x_kubernetes_int_or_string": Secret({"x_kubernetes_map_type": "atomic"})}]}
    server: Properties = {"spec": [{"x-kubernetes-int-or-string": Secret({"x-kubernetes-map-type": "atomic"})}]}
    assert dashed(program) == server
    assert underscored(server) == program


def test_import_takes_what_a_program_could_have_written() -> None:
    live = {
        "apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 1}, "status": {"replicas": 1},
        "metadata": {
            "name": "a", "uid": "x", "resourceVersion": "1", "managedFields": [],
            "annotations": {"deployment.kubernetes.io/revision": "1", "mine": "yes"},
        },
    }  # fmt: skip
    assert state.imported_inputs(live) == {
        "apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 1},
        "metadata": {"name": "a", "annotations": {"mine": "yes"}},
    }  # fmt: skip
    secret = state.imported_inputs({"apiVersion": "v1", "kind": "Secret", "metadata": {}, "data": {"a": "Yg=="}})
    assert contains_secret(secret["data"])


def test_who_manages_an_objects_fields_is_not_kept() -> None:
    live = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "uid": "x", "managedFields": [{"a": 1}]}}
    known = state.state_of(live, {}, "pulumi-kubernetes-12345678", "v1")
    assert known["metadata"] == {"name": "a", "uid": "x"}
    assert live["metadata"] == {"name": "a", "uid": "x", "managedFields": [{"a": 1}]}, "whoever applies still needs it"


def test_an_ignored_field_belongs_to_others_only_where_none_of_ours_holds_it() -> None:
    field: dict[str, Any] = {"f:spec": {"f:replicas": {}}}
    theirs = {"manager": "autoscaler", "operation": "Update", "fieldsV1": field}
    ours = {"manager": "pulumi-kubernetes-12345678", "operation": "Apply", "fieldsV1": field}
    assert ownership.others_own([theirs], "pulumi-kubernetes-12345678", ["spec", "replicas"])
    assert not ownership.others_own([theirs, ours], "pulumi-kubernetes-12345678", ["spec", "replicas"])
    assert not ownership.others_own([], "pulumi-kubernetes-12345678", ["spec", "replicas"])


def test_starting_loads_neither_the_sdk_nor_the_client() -> None:
    """A plugin is started twice by every `pulumi up`; the client comes on a thread of its own."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from offline.plugin import lean\n"
        "lean.skip_sdk()\n"
        "lean.skip_asyncio()\n"
        "import offline.kubernetes.provider, offline.plugin.serve\n"
        "unwanted = ('asyncio', 'http.client', 'pulumi_kubernetes', 'pulumi.output')\n"
        "print([name for name in unwanted if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program, ROOT], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_asyncio_runs_where_grpc_was_loaded_without_it() -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from offline.plugin import lean\n"
        "lean.skip_asyncio()\n"
        "import asyncio, grpc\n"
        "async def answer(): return grpc.StatusCode.OK.name\n"
        "print(asyncio.run(answer()))"
    )
    done = subprocess.run([sys.executable, "-c", program, ROOT], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "OK\n"


def _checked(token: str, news: Properties, olds: Properties | None = None) -> Properties:
    given = {**kinds.named(token), **news}
    return check(token, "app", olds or {}, given, b"seed", namespaced=True, default_namespace="default").inputs
