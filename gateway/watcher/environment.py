"""Settings of the image: each variable X has a twin X_FILE that names a file with its value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class VariableError(ValueError):
    """A variable that is missing, doubled or not of its kind."""


def text(environment: Mapping[str, str], name: str, default: str | None = None) -> str:
    """Return a variable's value, or its file's without the last newline.

    Raise VariableError when both are set, when the file cannot be read, or when neither is set without a default.
    """
    value, file = environment.get(name), environment.get(f"{name}_FILE")
    if value is not None and file is not None:
        raise VariableError(f"{name} and {name}_FILE are both set (they are exclusive): unset one of them")
    if file is not None:
        try:
            return Path(file).read_text(encoding="utf-8").removesuffix("\n")
        except OSError as error:
            raise VariableError(f"{name}_FILE: cannot read {file}: {error.strerror}") from error
    if value is not None:
        return value
    if default is None:
        raise VariableError(f"{name} (or {name}_FILE) is not set")
    return default


def seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    """Return a variable as a positive number of seconds; raise VariableError for anything else.

    None at all may be meant where the default is none.
    """
    given = text(environment, name, str(default))
    try:
        value = float(given)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86400 or (value == 0 and default != 0):
        least = "0 or more" if default == 0 else "more than 0"
        raise VariableError(f"{name}: got {given!r}, wanted seconds, {least} and at most 86400")
    return value
