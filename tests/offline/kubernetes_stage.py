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

from tests.offline.kubernetes_plugin import SECRET, Plugin
from tests.offline.kubernetes_recordings import PLACEHOLDER, Case, differences

RECORDED_IMAGE = "demo/app:1"
KUBECTL_SECONDS = 90
CANCEL_SECONDS = 4.0
# Times and counters that no two runs share, and those who write them.
VOLATILE = frozenset({"status", "managedFields", "generation", "creationTimestamp", "resourceVersion", "uid"})
REVISION = "deployment.kubernetes.io/revision"
PREFIX = re.compile(r"^(?:\[[^\]]*\])+")


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
    inputs: dict[str, Any] = field(default_factory=dict)
    states: dict[str, Any] = field(default_factory=dict)

    def play(self) -> list[Played]:
        """Play all cases, and remove the namespaces they made."""
        try:
            return [self._play(self._renamed(case)) for case in self.cases]
        finally:
            for name in self._namespaces():
                self.kubectl.run("delete", "namespace", f"{name}-{self.suffix}", "--ignore-not-found", "--wait=false")

    def _namespaces(self) -> list[str]:
        """Return the namespaces that the scenario's own ones are named after."""
        made = [step["kubectl"][2] for case in self.cases for step in case.get("given") or [] if "kubectl" in step
                and step["kubectl"][:2] == ["create", "namespace"]]  # fmt: skip
        used = {
            (case["request"].get("properties") or {}).get("metadata", {}).get("name")
            for case in self.cases
            if case["rpc"] == "Create" and case["type"].endswith(":Namespace")
        }
        return sorted({*made, *(name for name in used if name and not PLACEHOLDER.search(name))})

    def _renamed(self, case: Case) -> Case:
        text = json.dumps(case).replace(RECORDED_IMAGE, self.image)
        for name in self._namespaces():
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
        return Played(case, compared(case, answer), answer, seconds)

    def _prepare(self, case: Case) -> threading.Timer | None:
        """Do what was done before the call, and return what happens during it."""
        for step in case.get("given") or []:
            if "Cancel is called" in step.get("note", ""):
                timer = threading.Timer(CANCEL_SECONDS, self.plugin.cancel)
                timer.start()
                return timer
            if "kubectl" in step:
                self.kubectl.run(*step["kubectl"], manifest=step.get("manifest"))
        return None

    def _request(self, case: Case) -> dict[str, Any]:
        request, urn = case["request"], case["request"]["urn"]
        state, inputs = self.states.get(urn, {}), self.inputs.get(urn, {})
        known = {"news": inputs, "inputs": inputs, "oldInputs": inputs, "olds": state, "properties": state}
        if case["rpc"] == "Create":
            known["properties"] = inputs
        if case["rpc"] == "Check":
            known["olds"] = inputs
        filled = {key: fill(value, known[key]) if key in known else value for key, value in request.items()}
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
    found = differences(_lasting(recorded), _lasting(answer))
    if "managers" in case and not found:
        found = differences(sorted(_steady(case["managers"])), sorted(_steady(_managers(answer))), ".managers")
    return found


def _lasting(value: Any) -> Any:
    """Return a value without what depends on the moment; of reasons the first, and what stands in brackets."""
    if isinstance(value, list):
        return [_lasting(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: _lasting(item) for key, item in value.items() if key not in VOLATILE and key != REVISION}
    if "reasons" in found:
        first, *others = found["reasons"]
        prefixes = {match[0] for reason in others if (match := PREFIX.match(reason))}
        found["reasons"] = [first, *sorted(re.sub(r"-[a-z0-9]{5,10}(?=[-\]])", "", prefix) for prefix in prefixes)]
    return found


def _managers(answer: Mapping[str, Any]) -> list[list[str]]:
    failed = (answer.get("error") or {}).get("initFailed") or {}
    metadata = (answer.get("properties") or failed.get("properties") or {}).get("metadata") or {}
    return [
        [str(entry[key]) for key in ("manager", "operation", "subresource") if entry.get(key)]
        for entry in metadata.get("managedFields") or []
    ]


def _steady(managers: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the managers without those who write a status: whether they did yet is a race."""
    found = [list(entry) for entry in managers if "status" not in entry[2:]]
    return [["pulumi-kubernetes-<random>", *entry[1:]] if re.fullmatch(r"pulumi-kubernetes-\w{8}", entry[0]) else entry
            for entry in found]  # fmt: skip
