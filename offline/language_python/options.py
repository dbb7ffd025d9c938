"""The `runtime.options` of Pulumi.yaml, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TYPECHECKERS = ("mypy", "pyright")
TOOLCHAIN = "pip"
KNOWN = ("toolchain", "virtualenv", "typechecker")


class OptionError(ValueError):
    """An option of Pulumi.yaml that this host cannot honour."""


@dataclass(frozen=True)
class Options:
    """What Pulumi.yaml asks of the host; `virtualenv` is absolute, None means the interpreter on PATH."""

    virtualenv: Path | None = None
    typechecker: str | None = None


def parse(root: Path, options: Mapping[str, object]) -> Options:
    """Return the checked options; a relative `virtualenv` starts at the project's root.

    Raises OptionError for an unknown option, a value that is no text, another toolchain or another type checker.
    """
    for name, value in options.items():
        if name not in KNOWN:
            raise OptionError(f"Pulumi.yaml: runtime.options.{name} is not known here; known are {', '.join(KNOWN)}")
        if not isinstance(value, str):
            raise OptionError(f"Pulumi.yaml: runtime.options.{name} is {value!r}; it must be text")
    toolchain = str(options.get("toolchain", TOOLCHAIN))
    if toolchain != TOOLCHAIN:
        raise OptionError(
            f"Pulumi.yaml: runtime.options.toolchain is {toolchain!r}; this language host knows `{TOOLCHAIN}` alone. "
            f"Set `toolchain: {TOOLCHAIN}`, or use the official language host."
        )
    typechecker = str(options.get("typechecker", "")) or None
    if typechecker is not None and typechecker not in TYPECHECKERS:
        raise OptionError(
            f"Pulumi.yaml: runtime.options.typechecker is {typechecker!r}; it can be {' or '.join(TYPECHECKERS)}"
        )
    virtualenv = str(options.get("virtualenv", ""))
    return Options(root / virtualenv if virtualenv else None, typechecker)
