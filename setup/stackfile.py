"""The stack file that this machine uses: the tracked values, this machine's own, and what encrypts its secrets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from setup.files import read_text_or_none, write_atomically
from setup.merge import merge
from setup.places import NAME, Places
from setup.problem import Problem
from setup.processes import run

YAML_SECONDS = 30
HEADER = "# What this machine runs the stack with. Change it with: make config ARGS='set KEY VALUE'\n"
READ = (
    "import json, sys, yaml; "
    "print(json.dumps([yaml.safe_load(text) or {} for text in json.load(sys.stdin)], default=str))"
)
WRITE = (
    "import json, sys, yaml; yaml.safe_dump(json.load(sys.stdin), sys.stdout, default_flow_style=False, "
    "allow_unicode=True, width=1000)"
)


def take(places: Places, stack: str) -> list[str]:
    """Bring the machine's stack file in step with the tracked one, and return what there is to say about it.

    Quick where the tracked file has not changed since it was last taken. Raise Problem where the tracked file carries
    secrets that this machine's key cannot open.
    """
    tracked_text = read_text_or_none(places.tracked_file(stack)) or ""
    digest = hashlib.sha256(tracked_text.encode()).hexdigest()
    own = places.stack_file(stack)
    record = read_record(places.taken_file(stack))
    if record["digest"] == digest and own.exists():
        return []
    own_text = read_text_or_none(own) or ""
    tracked, mine = read_yaml(places, [tracked_text, own_text])
    refuse_foreign_secrets(stack, tracked, mine)
    merged = merge(record["config"], config_of(mine), config_of(tracked))
    # Keys beside `config` that the tracked file has (an environment, a secrets provider) hold here too.
    content = {**tracked, **mine, "config": merged.values}
    if not merged.values:
        del content["config"]
    content.setdefault("encryptionsalt", None)
    if content["encryptionsalt"] is None:
        del content["encryptionsalt"]
    # Nothing would be written as `{}`, and Pulumi would keep on one line whatever it adds to that.
    text = run([str(places.python), "-c", WRITE], YAML_SECONDS, stdin=json.dumps(content)) if content else ""
    write_atomically(own, (HEADER + text).encode(), 0o600)
    # Written last: what was cut off before this is merged once more, with the same result.
    write_atomically(
        places.taken_file(stack), json.dumps({"digest": digest, "config": config_of(tracked)}).encode(), 0o600
    )
    return [] if not own_text else said(stack, merged.followed, merged.kept)


def read_record(path: Path) -> dict[str, Any]:
    """Return what was last taken from the tracked file; one that is missing or damaged says that nothing was."""
    try:
        found = json.loads(read_text_or_none(path) or "")
        return {"digest": str(found["digest"]), "config": dict(found["config"])}
    except (ValueError, KeyError, TypeError):
        return {"digest": "", "config": {}}


def read_yaml(places: Places, texts: list[str]) -> list[Any]:
    """Return the values in YAML texts, read by the program's interpreter; raise Problem for what is not a mapping."""
    found: list[Any] = json.loads(run([str(places.python), "-c", READ], YAML_SECONDS, stdin=json.dumps(texts)))
    for value in found:
        if not isinstance(value, dict):
            raise Problem(
                f"A stack file holds {type(value).__name__}, not keys and values.", "see Pulumi.dev.yaml for the form"
            )
    return found


def config_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration in a stack file."""
    return dict(content.get("config") or {})


def refuse_foreign_secrets(stack: str, tracked: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
    """Raise Problem where the tracked file's secrets were encrypted with another salt than this machine's."""
    theirs, ours = tracked.get("encryptionsalt"), mine.get("encryptionsalt")
    if theirs is None or ours is None or theirs == ours:
        return
    secret = [key for key, value in config_of(tracked).items() if isinstance(value, dict) and "secure" in value]
    if secret:
        raise Problem(
            f"Pulumi.{stack}.yaml carries secrets ({', '.join(secret)}) that were encrypted with another key than the "
            "secrets of this machine.",
            f"take them out of the file and set them here: make config STACK={stack} ARGS='set --secret KEY'",
        )


def said(stack: str, followed: tuple[str, ...], kept: tuple[str, ...]) -> list[str]:
    """Return the sentences about a merge."""
    lines = []
    if followed:
        lines.append(f"taken from Pulumi.{stack}.yaml: {names(followed)}")
    if kept:
        lines.append(
            f"changed in Pulumi.{stack}.yaml and kept as set on this machine: {names(kept)} "
            "(to follow the file again, set the file's value here with make config)"
        )
    return lines


def names(keys: tuple[str, ...]) -> str:
    """Return settings as they are typed: without the project's name before them."""
    return ", ".join(key.removeprefix(f"{NAME}:") for key in keys)
