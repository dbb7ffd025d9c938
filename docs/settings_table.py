"""Writes the settings table of the README from Pulumi.yaml: `.venv/bin/python -m docs.settings_table`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from infra.settings import SECRETS

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"


def table(project: str) -> str:
    """Return the settings in the text of Pulumi.yaml as a Markdown table; Pulumi's own settings are left out."""
    declared: Mapping[str, Mapping[str, Any]] = yaml.safe_load(project)["config"]
    rows = [row(key, entry) for key, entry in declared.items() if ":" not in key]
    return "\n".join(["| setting | type | default | |", "|---|---|---|---|", *rows])


def row(key: str, entry: Mapping[str, Any]) -> str:
    """Return one setting's line."""
    kind = f"list of {entry['items']['type']}s" if entry["type"] == "array" else entry["type"]
    secret = ", secret" if key in SECRETS else ""
    default = entry["default"]
    shown = default if isinstance(default, str) else json.dumps(default)
    shown = f"`{shown}`" if shown else ""
    return f"| `{key}` | {kind}{secret} | {shown} | {entry['description'].replace('|', '&#124;')} |"


def put_in(text: str, made: str) -> str:
    """Return the text with the table between the markers; raise ValueError where they are missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the markers {BEGIN} and {END} are not both there")
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


if __name__ == "__main__":
    project = (ROOT / "Pulumi.yaml").read_text(encoding="utf-8")
    README.write_text(put_in(README.read_text(encoding="utf-8"), table(project)), encoding="utf-8")
