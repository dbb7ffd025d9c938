"""Recorded requests and answers of the official Docker provider, and how an answer is compared with one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "recordings" / "docker"
ORDERED = frozenset({"command", "entrypoints", "ports", "tests"})
PLACEHOLDER = re.compile(r"<[a-z][a-z0-9-]*>")
DEVIATIONS: dict[str, str] = json.loads((FOLDER / "deviations.json").read_text())

Case = dict[str, Any]
Change = Callable[[Any], Any]


def cases(*files: str, rpc: str | None = None) -> list[Case]:
    """Return the recorded cases of some files, of one call if it is named."""
    found = [case for file in files for case in json.loads((FOLDER / f"{file}.json").read_text())]
    return [case for case in found if rpc is None or case["rpc"] == rpc]


STATES: dict[str, Any] = json.loads((FOLDER / "states.json").read_text())


def resolve(value: Any, change: Change = lambda leaf: leaf) -> Any:
    """Return a value with its references to named states replaced, and every leaf put through `change`."""
    if isinstance(value, dict):
        if "$state" in value:
            base = {k: v for k, v in STATES[value["$state"]].items() if k not in value.get("$unset", [])}
            return {**resolve(base, change), **resolve(value.get("$set", {}), change)}
        return {key: resolve(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve(item, change) for item in value]
    return change(value)


def differences(wanted: Any, got: Any, path: str = "") -> list[str]:
    """Return where an answer differs from a recorded one; placeholders stand for anything, sets have no order."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        return [
            line
            for key in sorted(wanted.keys() | got.keys())
            for line in differences(wanted.get(key, "(absent)"), got.get(key, "(absent)"), f"{path}.{key}")
        ]
    if isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        if path.rpartition(".")[2] in ORDERED:
            return [
                line
                for i, (a, b) in enumerate(zip(wanted, got, strict=True))
                for line in differences(a, b, f"{path}[{i}]")
            ]
        left = list(got)
        for item in wanted:
            same = next((other for other in left if not differences(item, other)), None)
            if same is None and item is not None:
                return [f"{path}: recorded {wanted!r}, got {got!r}"]
            left.remove(same)
        return []
    if isinstance(wanted, str) and isinstance(got, str | int) and PLACEHOLDER.search(wanted):
        pattern = ".*".join(re.escape(piece) for piece in PLACEHOLDER.split(wanted))
        if re.fullmatch(pattern, str(got), re.DOTALL):
            return []
    same_number = isinstance(wanted, int | float) and isinstance(got, int | float) and wanted == got
    if same_number and isinstance(wanted, bool) == isinstance(got, bool):
        return []
    return [] if type(wanted) is type(got) and wanted == got else [f"{path}: recorded {wanted!r}, got {got!r}"]


def deviates(case: Mapping[str, Any]) -> str | None:
    """Return the reason for which an answer is meant to differ from the recorded one, or None."""
    return DEVIATIONS.get(case["name"])
