"""The Python a program runs on: which one, with which environment, and what is installed in it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from offline.language_python.options import Options

TIMEOUT_SECONDS = 30.0
ASK = "import sys; print(sys.executable); print('%d.%d.%d' % sys.version_info[:3]); print(*sys.path, sep='\\n')"


class InterpreterError(RuntimeError):
    """There is no usable Python, or not the one that was asked for."""


@dataclass(frozen=True)
class Interpreter:
    """A Python to run programs with."""

    executable: Path
    virtualenv: Path | None

    def environment(self, ambient: Mapping[str, str]) -> dict[str, str]:
        """Return the environment as `activate` would leave it: the virtual environment first on PATH."""
        environment = dict(ambient)
        if self.virtualenv is not None:
            environment["VIRTUAL_ENV"] = str(self.virtualenv)
            environment["PATH"] = os.pathsep.join([str(self.virtualenv / "bin"), ambient.get("PATH", "")]).rstrip(":")
            environment.pop("PYTHONHOME", None)
        return environment

    def search_path(self) -> list[str]:
        """Return the folders packages are installed in; a plain virtual environment is read without starting Python."""
        if self.virtualenv is not None and not _sees_system(self.virtualenv):
            found = [str(folder) for folder in sorted(self.virtualenv.glob("lib*/python3*/site-packages"))]
            if found:
                return list({os.path.realpath(folder): folder for folder in found}.values())
        return [line for line in ask(self)[2:] if line]

    def version(self) -> str:
        """Return the version, such as 3.11.7; a virtual environment has it written down."""
        found = _written(self.virtualenv).get("version") if self.virtualenv is not None else None
        return found or ask(self)[1]

    def shown(self) -> str:
        """Return the path by which the interpreter knows itself."""
        return str(self.executable.absolute()) if self.virtualenv is not None else ask(self)[0]


def exists(virtualenv: Path) -> bool:
    """Say whether a folder is a virtual environment."""
    return (virtualenv / "bin" / "python").is_file()


def choose(options: Options, environment: Mapping[str, str]) -> Interpreter:
    """Return the virtual environment's Python, or the one on PATH (PULUMI_PYTHON_CMD, python3, python).

    Raises InterpreterError, with the command that mends it, when there is none.
    """
    if options.virtualenv is not None:
        if not exists(options.virtualenv):
            state = "is not a virtual environment" if options.virtualenv.exists() else "does not exist"
            raise InterpreterError(
                f"Pulumi.yaml: runtime.options.virtualenv is {options.virtualenv}, which {state}. "
                "Run `pulumi install` to create it with the program's requirements."
            )
        return Interpreter(options.virtualenv / "bin" / "python", options.virtualenv)
    wanted = environment.get("PULUMI_PYTHON_CMD")
    for name in [wanted] if wanted else ["python3", "python"]:
        found = shutil.which(name, path=environment.get("PATH"))
        if found:
            return Interpreter(Path(found), None)
    raise InterpreterError(
        f"no {wanted or 'python3'} on PATH; install Python 3.11 or newer, "
        "or set runtime.options.virtualenv in Pulumi.yaml and run `pulumi install`"
    )


@functools.cache
def ask(interpreter: Interpreter) -> list[str]:
    """Start the interpreter and return its executable, its version, and its search path, a line each."""
    try:
        done = subprocess.run(
            [interpreter.executable, "-I", "-c", ASK],
            capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False, stdin=subprocess.DEVNULL,
            env=interpreter.environment(os.environ),
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InterpreterError(f"{interpreter.executable} does not start: {error}") from error
    if done.returncode != 0:
        raise InterpreterError(f"{interpreter.executable} does not start: {done.stderr.strip() or done.returncode}")
    return done.stdout.splitlines()


def _sees_system(virtualenv: Path) -> bool:
    return _written(virtualenv).get("include-system-site-packages", "true").lower() == "true"


def _written(virtualenv: Path) -> dict[str, str]:
    """Return what a virtual environment says of itself; nothing where it says nothing."""
    try:
        lines = (virtualenv / "pyvenv.cfg").read_text().splitlines()
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, equals, value in (line.partition("=") for line in lines) if equals}
