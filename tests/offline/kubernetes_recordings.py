"""Recorded requests and answers of the official Kubernetes provider, and how an answer is compared with one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "recordings" / "kubernetes"
UNORDERED = frozenset({"replaces", "diffs"})
PLACEHOLDER = re.compile(r"<(?!secret>|unknown>)[a-zA-Z][a-zA-Z ]*>")
DEVIATIONS: dict[str, str] = json.loads((FOLDER / "deviations.json").read_text())
FILES = sorted(path.stem for path in FOLDER.glob("*.json") if path.stem != "deviations")

Case = dict[str, Any]


def cases(*files: str, rpc: str | None = None) -> list[Case]:
    """Return the recorded cases of some files, of one call if it is named."""
    found = [case for file in files for case in json.loads((FOLDER / f"{file}.json").read_text())]
    return [case for case in found if rpc is None or case["rpc"] == rpc]


def scenarios(*files: str) -> dict[str, list[Case]]:
    """Return the recorded cases of some files by scenario; those of one scenario ran in their order."""
    found: dict[str, list[Case]] = {}
    for case in cases(*files):
        found.setdefault(case["scenario"], []).append(case)
    return found


def is_same(recorded: Any, got: Any) -> bool:
    """Say whether one value is as recorded, where placeholders stand for anything."""
    if isinstance(recorded, str) and PLACEHOLDER.search(recorded):
        if not isinstance(got, str):
            return PLACEHOLDER.fullmatch(recorded) is not None and got is not None
        pattern = ".+".join(re.escape(piece) for piece in PLACEHOLDER.split(recorded))
        return re.fullmatch(pattern, got, re.DOTALL) is not None
    if isinstance(recorded, bool) != isinstance(got, bool):
        return False
    return bool(recorded == got)


def differences(recorded: Any, got: Any, path: str = "") -> list[str]:
    """Return where an answer differs from a recorded one."""
    if isinstance(recorded, dict) and isinstance(got, dict):
        return [
            line
            for key in sorted(recorded.keys() | got.keys())
            for line in differences(recorded.get(key, "(absent)"), got.get(key, "(absent)"), f"{path}.{key}")
        ]
    if isinstance(recorded, list) and isinstance(got, list) and len(recorded) == len(got):
        pairs = zip(recorded, got, strict=True)
        if path.rpartition(".")[2] in UNORDERED:
            pairs = zip(sorted(recorded), sorted(got), strict=True)
        return [
            line for index, (one, other) in enumerate(pairs) for line in differences(one, other, f"{path}[{index}]")
        ]
    return [] if is_same(recorded, got) else [f"{path}: recorded {recorded!r}, got {got!r}"]


def judge(case: Mapping[str, Any], found: list[str]) -> None:
    """Fail the test when an answer differs, or when one that is meant to differ does not."""
    reason = DEVIATIONS.get(case["name"])
    if reason is None:
        assert not found, "\n".join(found)
    else:
        assert found, f"no longer deviates; take it out of deviations.json: {reason}"
