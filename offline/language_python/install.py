"""Makes a program's virtual environment and installs its requirements, a line of progress at a time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from offline.language_python.interpreter import exists
from offline.language_python.options import Options

REQUIREMENTS = "requirements.txt"


class InstallError(RuntimeError):
    """The requirements could not be installed."""


def install(options: Options, directory: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Install `requirements.txt` of the program's folder and yield the output's lines.

    Without `virtualenv` the interpreter on PATH gets them. Raises InstallError with pip's last words.
    """
    if options.virtualenv is not None and not exists(options.virtualenv):
        yield f"Creating the virtual environment {options.virtualenv}"
        python = _ambient(environment)
        yield from _run([python, "-m", "venv", str(options.virtualenv)], directory, environment)
    if not (directory / REQUIREMENTS).is_file():
        yield f"There is no {REQUIREMENTS} in {directory}: nothing to install"
        return
    interpreter = _ambient(environment) if options.virtualenv is None else str(options.virtualenv / "bin" / "python")
    yield f"Installing {REQUIREMENTS}"
    pip = [interpreter, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "-r", REQUIREMENTS]
    yield from _run(pip, directory, environment)


def _ambient(environment: Mapping[str, str]) -> str:
    path = environment.get("PATH")
    return shutil.which(environment.get("PULUMI_PYTHON_CMD") or "python3", path=path) or sys.executable


def _run(command: list[str], directory: Path, environment: Mapping[str, str]) -> Iterator[str]:
    last: list[str] = []
    with subprocess.Popen(
        command, cwd=directory, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    ) as process:  # fmt: skip
        assert process.stdout is not None  # noqa: S101  a pipe was asked for
        try:
            for line in process.stdout:
                last = [*last[-9:], line.rstrip()]
                yield line.rstrip()
        except GeneratorExit:  # the caller has gone
            process.terminate()
            raise
    if process.returncode != 0:
        raise InstallError(f"`{' '.join(command)}` failed:\n" + "\n".join(last))
