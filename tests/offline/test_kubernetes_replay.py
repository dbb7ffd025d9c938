"""The Kubernetes plugin answers Check, Diff and what else needs no cluster as the official one was recorded to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.offline.kubernetes_plugin import Plugin, start
from tests.offline.kubernetes_recordings import DEVIATIONS, FILES, Case, cases, differences, judge

CONFIGURATION = "provider-config"
UNREACHABLE = "unreachable"
CHECKS = cases(*(file for file in FILES if file != UNREACHABLE), rpc="Check")
DIFFS = cases(*(file for file in FILES if file != UNREACHABLE), rpc="Diff")
# Its answer depends on a Job that runs: it is asked in test_kubernetes_cluster.py.
LIVE = frozenset({"Job that fails: with replaceUnready the diff asks for replacement"})
MALFORMED = "no: such: thing"


# Of a server that is not there, as JSON, which is YAML.
KUBECONFIG = json.dumps(
    {
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "here",
    }
)


class Plugins:
    """Plugins without a cluster, one for each configuration, started when they are first asked."""

    def __init__(self) -> None:
        self._running: dict[str, Plugin] = {}

    def configured(self, case: Case) -> Plugin:
        """Return the plugin with a case's configuration."""
        settings = dict(case.get("config") or {})
        settings["kubeconfig"] = MALFORMED if case["scenario"] == "kubeconfig malformed" else KUBECONFIG
        key = json.dumps(settings, sort_keys=True)
        if key not in self._running:
            plugin = self._running[key] = start()
            refused = plugin.configure(settings)
            assert not refused or settings.get("enableServerSideApply") == "false", refused
        return self._running[key]

    def stop(self) -> None:
        """Stop them all."""
        for plugin in self._running.values():
            plugin.stop()


@pytest.fixture(scope="module")
def plugins() -> Iterator[Plugins]:
    """The plugins of this module, stopped at the end."""
    found = Plugins()
    yield found
    found.stop()


def wanted(case: Case) -> Any:
    """Return the recorded answer or error of a case."""
    return {"error": case["error"]} if "error" in case else case["response"]


def answered(plugins: Plugins, case: Case) -> dict[str, Any]:
    """Return the plugin's answer to a case's request, without what it logged."""
    found = plugins.configured(case).ask(case["rpc"], case["request"])
    found.pop("logs")
    return found


@pytest.mark.parametrize("case", CHECKS, ids=lambda case: case["name"])
def test_check_answers_as_recorded(plugins: Plugins, case: Case) -> None:
    judge(case, differences(wanted(case), answered(plugins, case)))


@pytest.mark.parametrize("case", [c for c in DIFFS if c["name"] not in LIVE], ids=lambda case: case["name"])
def test_diff_answers_as_recorded(plugins: Plugins, case: Case) -> None:
    judge(case, differences(wanted(case), answered(plugins, case)))


@pytest.mark.parametrize("case", cases(CONFIGURATION), ids=lambda case: case["name"])
def test_configuration_is_checked_as_recorded(plugins: Plugins, case: Case) -> None:
    judge(case, differences(wanted(case), answered(plugins, case)))


@pytest.mark.parametrize(
    "case", [c for c in cases(UNREACHABLE) if c["scenario"] != "token refused"], ids=lambda case: case["name"]
)
def test_a_cluster_that_does_not_answer_is_met_as_recorded(plugins: Plugins, case: Case) -> None:
    found = answered(plugins, case)
    recorded = wanted(case)
    if "error" in recorded:
        # What exactly failed is each client's to say, after the first colon.
        for one in (recorded, found):
            one["error"] = {**one["error"], "message": one["error"]["message"].partition(": ")[0]}
    judge(case, differences(recorded, found))


def test_each_deviation_names_a_recording() -> None:
    assert set(DEVIATIONS) <= {case["name"] for case in cases(*FILES)}


def test_warnings_are_those_recorded(plugins: Plugins) -> None:
    told = [case for case in CHECKS if any(entry["severity"] == "WARNING" for entry in case.get("logs") or [])]
    told = [case for case in told if case["type"] != "kubernetes:policy/v1beta1:PodDisruptionBudget"]  # asks the server
    assert told
    for case in told:
        if '"pulumi.com/autonamed"' in json.dumps(case["request"]["news"]):
            logs = plugins.configured(case).ask("Check", case["request"])["logs"]
            assert [(entry["severity"], entry["message"]) for entry in logs] == [
                (entry["severity"], entry["message"]) for entry in case["logs"]
            ]


def test_recordings_are_all_there() -> None:
    assert len(cases(*FILES)) == 811
