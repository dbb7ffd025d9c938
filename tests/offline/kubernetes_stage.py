"""Plays recorded scenarios on a real cluster, each in a namespace of its own, and compares what comes of them.

What volatile texts stand for in a request is what the step before returned; how answers are compared, the recordings'
own description says.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import run_docker
from tests.offline.kubernetes_plugin import SECRET, Plugin
from tests.offline.kubernetes_recordings import PLACEHOLDER, Case, differences, is_same

BASE = "debian:trixie-slim"
RECORDED_IMAGE = "demo/app:1"
KUBECTL_SECONDS = 90
CANCEL_SECONDS = 4.0
PATIENCE = 5
SHARED_KINDS = frozenset({"PersistentVolume", "StorageClass"})
# Times and counters that no two runs share, and those who write them.
VOLATILE = frozenset(
    {
        "status", "managedFields", "generation", "creationTimestamp", "resourceVersion", "uid", "reasons",
        "deployment.kubernetes.io/revision",
    }
)  # fmt: skip
POD = re.compile(r"\[Pod [^\]]*\]")
PREFIX = re.compile(r"^(?:\[[^\]]*\])+")


def sleeper(registry: str) -> str:
    """Return an image in a cluster's registry whose programs are the base image's."""
    name = f"{registry}/tests/sleeper:1"
    run_docker("tag", BASE, name)
    run_docker("push", "--quiet", name)
    run_docker("rmi", name)
    return name


@dataclass
class Kubectl:
    """The cluster as kubectl sees it."""

    program: Path
    kubeconfig: Path

    def run(self, *arguments: str, manifest: object = None) -> str:
        """Run a command; raise AssertionError with its words if it fails."""
        done = subprocess.run(
            [self.program, "--kubeconfig", self.kubeconfig, *arguments], capture_output=True, text=True, check=False,
            timeout=KUBECTL_SECONDS, input=None if manifest is None else json.dumps(manifest),
        )  # fmt: skip
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def found(self, thing: Mapping[str, Any]) -> dict[str, Any]:
        """Return an object as the cluster has it, with who manages its fields."""
        asked = ("get", "--filename=-", "--output=json", "--show-managed-fields")
        head = {key: thing["metadata"][key] for key in ("name", "namespace") if key in thing["metadata"]}
        bare = {"apiVersion": thing["apiVersion"], "kind": thing["kind"], "metadata": head}
        found: dict[str, Any] = json.loads(self.run(*asked, manifest=bare))["items"][0]
        return found


@dataclass
class Played:
    """A case as it went: what differs from the recording, and how long it took."""

    case: Case
    found: list[str]
    answer: dict[str, Any]
    seconds: float


@dataclass
class Scenario:
    """One scenario: cases that run in their order, the answers of earlier ones being remembered."""

    cases: Sequence[Case]
    kubectl: Kubectl
    plugin: Plugin
    suffix: str
    image: str
    default_class: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    states: dict[str, Any] = field(default_factory=dict)

    def play(self) -> list[Played]:
        """Play all cases, and remove what they made."""
        try:
            return [self._play(self._renamed(case)) for case in self.cases]
        finally:
            for name in self._namespaces():
                self._remove_namespace(f"{name}-{self.suffix}")
            for kind, name in self._shared():
                self.kubectl.run("delete", kind, f"{name}-{self.suffix}", "--ignore-not-found", "--wait=false")

    def _remove_namespace(self, name: str) -> None:
        """Remove a namespace; what scenarios hold by finalizers is let go."""
        self.kubectl.run("delete", "namespace", name, "--ignore-not-found", "--wait=false")
        listed = self.kubectl.run("--namespace", name, "get", "configmaps", "--output=json")
        for item in json.loads(listed)["items"]:
            if item["metadata"].get("finalizers"):
                patch = '{"metadata":{"finalizers":null}}'
                held = f"configmap/{item['metadata']['name']}"
                self.kubectl.run("--namespace", name, "patch", held, "--type=merge", f"--patch={patch}")

    def _given(self) -> list[dict[str, Any]]:
        return [step for case in self.cases for step in case.get("given") or [] if "kubectl" in step]

    def _namespaces(self) -> list[str]:
        """Return the namespaces that the scenario's own ones are named after."""
        made = [step["kubectl"][2] for step in self._given() if step["kubectl"][:2] == ["create", "namespace"]]
        used = {
            (case["request"].get("properties") or {}).get("metadata", {}).get("name")
            for case in self.cases
            if case["rpc"] == "Create" and case["type"].endswith(":Namespace")
        }
        return sorted({*made, *(name for name in used if name and not PLACEHOLDER.search(name))})

    def _shared(self) -> list[tuple[str, str]]:
        """Return the kinds and names of what was made for the scenario and is in no namespace."""
        manifests = [step.get("manifest") or {} for step in self._given()]
        return [(found["kind"], found["metadata"]["name"]) for found in manifests if found.get("kind") in SHARED_KINDS]

    def _renamed(self, case: Case) -> Case:
        text = json.dumps(case).replace(RECORDED_IMAGE, self.image)
        for name in {*self._namespaces(), *(name for _, name in self._shared())}:
            text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", f"{name}-{self.suffix}", text)
        found: Case = json.loads(text)
        return {**found, "name": case["name"]}

    def _play(self, case: Case) -> Played:
        later = self._prepare(case)
        request = self._request(case)
        asked = time.monotonic()
        answer = self.plugin.ask(case["rpc"], request)
        seconds = time.monotonic() - asked
        if later is not None:
            later.join()
        self._remember(case, request, answer)
        answer = without_class(answer, self.default_class)
        found = compared(case, answer) or self._compared_managers(case, answer)
        return Played(case, found, answer, seconds)

    def _compared_managers(self, case: Case, answer: Mapping[str, Any]) -> list[str]:
        """Return where the managers of an object's fields are not those recorded; a preview leaves none behind."""
        made = (answer.get("error") or {}).get("initFailed") or answer
        if "managers" not in case or case["request"].get("preview") or not made.get("properties"):
            return []
        managers = _managers(self.kubectl.found(made["properties"]))
        return differences(sorted(_steady(case["managers"])), sorted(_steady(managers)), ".managers")

    def _prepare(self, case: Case) -> threading.Timer | None:
        """Do what was done before the call, and return what happens during it."""
        for step in case.get("given") or []:
            if "Cancel is called" in step.get("note", ""):
                timer = threading.Timer(CANCEL_SECONDS, self.plugin.cancel)
                timer.start()
                return timer
            if "kubectl" in step:
                self.kubectl.run(*step["kubectl"], manifest=step.get("manifest"))
            if "scale" in step.get("kubectl", ()):
                # What was recorded afterwards had settled; on a busy machine that takes a moment.
                settled = ("rollout", "status", step["kubectl"][3], "--timeout=60s")
                self.kubectl.run(*step["kubectl"][:2], *settled)
        return None

    def _request(self, case: Case) -> dict[str, Any]:
        request, urn = case["request"], case["request"]["urn"]
        state, inputs = self.states.get(urn, {}), self.inputs.get(urn, {})
        written = both(inputs, state)
        known = {"news": written, "inputs": written, "oldInputs": written, "olds": state, "properties": state}
        if case["rpc"] == "Create":
            known["properties"] = written
        if case["rpc"] == "Check":
            known["olds"] = inputs
        filled = {key: fill(value, known[key]) if key in known else value for key, value in request.items()}
        if "response" in case and filled.get("timeout"):
            filled["timeout"] *= PATIENCE  # what went well does so on a busy machine too, only later
        if "id" in filled and PLACEHOLDER.search(filled["id"]):
            metadata = state["metadata"]
            filled["id"] = "/".join(metadata[key] for key in ("namespace", "name") if key in metadata)
        return filled

    def _remember(self, case: Case, request: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        urn = request["urn"]
        if case["rpc"] == "Check" and "inputs" in answer:
            self.inputs[urn] = answer["inputs"]
        failed = (answer.get("error") or {}).get("initFailed") or {}
        properties = answer.get("properties") or failed.get("properties")
        if case["rpc"] in ("Create", "Update", "Read") and properties and not request.get("preview"):
            self.states[urn] = properties


def without_class(answer: Any, name: str) -> Any:
    """Return an answer without a storage class by default: the recorded cluster had none."""
    if isinstance(answer, dict):
        kept = {key: value for key, value in answer.items() if not (key == "storageClassName" and value == name)}
        return {key: without_class(value, name) for key, value in kept.items()}
    return [without_class(item, name) for item in answer] if isinstance(answer, list) else answer


def both(one: Any, other: Any) -> Any:
    """Return a mapping with what either of two has, the first one's before the second's, at every depth."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return one if one is not None else other
    return {key: both(one.get(key), other.get(key)) for key in {**other, **one}}


def fill(recorded: Any, known: Any) -> Any:
    """Return a recorded value with what its placeholders stand for, as far as that is known; the rest is left out."""
    if isinstance(recorded, dict):
        if set(recorded) == {SECRET}:
            inner = known.get(SECRET) if isinstance(known, dict) else None
            return {SECRET: fill(recorded[SECRET], inner)}
        source = known if isinstance(known, dict) else {}
        found = {key: fill(value, source.get(key)) for key, value in recorded.items()}
        return {key: value for key, value in found.items() if value is not None or recorded[key] is None}
    if isinstance(recorded, list):
        items = known if isinstance(known, list) else []
        return [fill(value, items[index] if index < len(items) else None) for index, value in enumerate(recorded)]
    return known if isinstance(recorded, str) and PLACEHOLDER.search(recorded) else recorded


def compared(case: Case, answer: Mapping[str, Any]) -> list[str]:
    """Return where an answer differs from the recorded one, in what does not depend on the moment."""
    answer = {key: value for key, value in answer.items() if key != "logs"}
    recorded = {"error": case["error"]} if "error" in case else case["response"]
    if case["rpc"] in ("Check", "Diff"):
        return differences(recorded, answer)
    return differences(_lasting(recorded), _lasting(answer)) + _untold(_reasons(recorded), _reasons(answer))


def _lasting(value: Any) -> Any:
    """Return a value without what depends on the moment."""
    if isinstance(value, list):
        return [_lasting(item) for item in value]
    if isinstance(value, dict):
        return {key: _lasting(item) for key, item in value.items() if key not in VOLATILE}
    return value


def _reasons(answer: Mapping[str, Any]) -> list[str]:
    found: list[str] = ((answer.get("error") or {}).get("initFailed") or {}).get("reasons") or []
    return found


def _untold(recorded: Sequence[str], got: Sequence[str]) -> list[str]:
    """Return what is missing among the reasons of a failure; more may be told than was recorded.

    The official provider says nothing of pods that are not made or have no place, and of some others by chance.
    """
    if not recorded:
        return []
    known = [_prefix(reason) for reason in got[1:]]
    wanted = [_prefix(reason) for reason in recorded[1:]]
    untold = [line for line in wanted if not any(is_same(line, other) for other in known)]
    return [*differences(recorded[0], got[0] if got else "", ".reasons[0]"), *(f"untold: {line}" for line in untold)]


def _prefix(reason: str) -> str:
    """Return what a reason begins with in brackets, of pods that they are; and of one without the whole."""
    found = PREFIX.match(reason)
    return POD.sub("[Pod]", found[0]) if found else reason


def _managers(live: Mapping[str, Any]) -> list[list[str]]:
    return [
        [str(entry[key]) for key in ("manager", "operation", "subresource") if entry.get(key)]
        for entry in live["metadata"].get("managedFields") or []
    ]


def _steady(managers: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the managers without those who write a status: whether they did yet is a race."""
    found = [list(entry) for entry in managers if "status" not in entry[2:]]
    return [["pulumi-kubernetes-<random>", *entry[1:]] if re.fullmatch(r"pulumi-kubernetes-\w{8}", entry[0]) else entry
            for entry in found]  # fmt: skip
