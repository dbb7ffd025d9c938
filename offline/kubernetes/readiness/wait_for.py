"""The annotation `pulumi.com/waitFor`: conditions and JSONPath expressions in place of the built-in wait."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from offline.kubernetes.readiness.verdict import Object, Verdict, conditions_of

STEP = re.compile(r"\.([A-Za-z_][\w-]*)|\[(\d+)\]|\['([^']+)'\]|\[\"([^\"]+)\"\]")
EXPRESSION = re.compile(r"\{?(\$?)((?:\.[A-Za-z_][\w-]*|\[\d+\]|\['[^']+'\]|\[\"[^\"]+\"\])+)\}?(?:==?(.*))?")


class WaitForError(Exception):
    """An expression that is none."""


@dataclass(frozen=True)
class Expression:
    """One thing to wait for: a path with the value it shall have (None: any), or a condition."""

    text: str
    path: tuple[str | int, ...] = ()
    value: str | None = None
    condition: str = ""

    def holds(self, thing: Object) -> tuple[bool, str]:
        """Say whether it holds for an object, and what to say while it does not."""
        if self.condition:
            found = conditions_of(thing).get(self.condition) or {}
            wanted = self.value or "True"
            return str(found.get("status")) == wanted, f"Waiting for condition {self.condition}={wanted}"
        value: Any = thing
        for step in self.path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return False, f"{self.text} selected nothing"
        shown = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        if self.value is None:
            return True, ""
        return shown == self.value, f'Waiting for {self.text}={self.value} (found "{shown}")'


def parse(annotation: str) -> list[Expression]:
    """Return what an annotation asks to wait for; raise WaitForError."""
    texts: Any = [annotation]
    if annotation.lstrip().startswith("["):
        try:
            texts = json.loads(annotation)
        except ValueError:
            raise WaitForError(f"{annotation!r} is no JSON list of conditions") from None
    return [_expression(str(text)) for text in texts]


def _expression(text: str) -> Expression:
    if text.startswith("condition="):
        name, _, value = text.removeprefix("condition=").partition("=")
        return Expression(text, condition=name, value=value or None)
    if not text.startswith("jsonpath="):
        raise WaitForError(f'expected a "jsonpath=" or "condition=" prefix, got "{text}"')
    match = EXPRESSION.fullmatch(text.removeprefix("jsonpath=").strip())
    if match is None:
        raise WaitForError(
            f"{text!r} is more than this provider's JSONPath, names and indexes only: {{.status.phase}}=Running"
        )
    path: list[str | int] = []
    for name, index, single, double in STEP.findall(match[2]):
        path.append(int(index) if index else name or single or double)
    value = match[3]
    return Expression(f"{{{match[2]}}}", tuple(path), None if value is None else value.strip("\"'"))


def judge(thing: Object, expressions: list[Expression]) -> Verdict:
    """Return whether all of them hold."""
    for expression in expressions:
        holds, progress = expression.holds(thing)
        if not holds:
            return Verdict(progress=progress, reasons=())
    return Verdict(ready=True)
