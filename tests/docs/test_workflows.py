"""The workflows have no more rights, and run no other code, than is written in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def read(path: Path) -> dict[str, Any]:
    """Return a workflow; YAML takes the key `on` for a truth value."""
    found: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {str(key): value for key, value in found.items()}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_no_rights_and_each_of_its_jobs_only_the_named_ones(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {}
    assert "concurrency" in workflow
    for name, job in workflow["jobs"].items():
        assert set(job["permissions"].values()) <= {"read", "write"}, name
        assert [right for right, how in job["permissions"].items() if how == "write"] in ([], ["pull-requests"]), name
        assert job["timeout-minutes"] <= 90, name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_digest_and_says_its_version(path: Path) -> None:
    used = re.findall(r"^\s*(?:- )?uses: (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_secrets_and_rights_to_write_are_out_of_reach_of_forks() -> None:
    own = "github.event.pull_request.head.repo.full_name == github.repository"
    looked_at = 0
    for path in WORKFLOWS:
        jobs = read(path)["jobs"]
        for name, job in jobs.items():
            if "secrets." in str(job) or "write" in job["permissions"].values():
                looked_at += 1
                conditions = [
                    job.get("if", ""),
                    *(jobs[needed].get("if", "") for needed in [job.get("needs")] if needed),
                ]
                assert any(own in condition for condition in conditions), f"{path.name}: {name}"
    assert looked_at == 2


def test_the_preview_runs_on_the_version_that_is_pinned() -> None:
    (pinned,) = re.findall(r"^pulumi==([\d.]+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    (used,) = re.findall(r"pulumi-version: (\S+)", (ROOT / ".github/workflows/preview.yml").read_text(encoding="utf-8"))
    assert used == pinned
