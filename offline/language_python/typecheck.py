"""Checks a program's types before it runs, where Pulumi.yaml asks for it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from offline.language_python.interpreter import Interpreter

TIMEOUT_SECONDS = 600.0


def command(checker: str, interpreter: Interpreter, directory: Path) -> list[str]:
    """Return the checker's command line; mypy leaves a virtual environment inside the program's folder alone."""
    line = [str(interpreter.executable), "-m", checker]
    if checker == "mypy" and interpreter.virtualenv is not None:
        line += ["--exclude", os.path.relpath(interpreter.virtualenv, directory)]
    return [*line, str(directory)]


def check(checker: str, interpreter: Interpreter, directory: Path, environment: Mapping[str, str]) -> str | None:
    """Run the type checker over the program's folder; return what to tell the user, None when all is well."""
    try:
        done = subprocess.run(
            command(checker, interpreter, directory),
            cwd=directory, env=interpreter.environment(environment), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"{checker} did not end within {TIMEOUT_SECONDS / 60:.0f} minutes"
    if done.returncode == 0:
        return None
    said = f"{done.stdout}{done.stderr}".strip()
    if f"No module named {checker}" in said:
        return (
            f"Pulumi.yaml: runtime.options.typechecker is {checker}, which {interpreter.executable} does not have. "
            f"Add {checker} to requirements.txt and run `pulumi install`."
        )
    return f"{checker} refuses the program:\n{said}"
