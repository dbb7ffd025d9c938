"""Settings from the environment, each with a twin `X_FILE`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from server.error import StopError


def read(name: str, environ: Mapping[str, str]) -> str | None:
    """Return the setting from `name` or from the file that `name`_FILE names; None when neither is set.

    Raise StopError when both are set or the file cannot be read.
    """
    twin = f"{name}_FILE"
    value, path = environ.get(name) or None, environ.get(twin) or None
    if value and path:
        raise StopError(f"{name} and {twin} are both set, but exclude each other: unset one of them")
    if path is None:
        return value
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise StopError(f"{twin}: cannot read {path}: {reason}. Mount the file there, or correct {twin}") from None


def seconds(name: str, default: float, environ: Mapping[str, str]) -> float:
    """Return a setting in seconds, above 0 and at most a day; raise StopError for anything else."""
    text = read(name, environ)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 86_400:
        raise StopError(f"{name}: got {text!r}, wanted seconds above 0 and at most 86400, such as {default:g}")
    return value


def whole(name: str, default: int, least: int, most: int, environ: Mapping[str, str]) -> int:
    """Return a setting that is a whole number within bounds; raise StopError for anything else."""
    text = read(name, environ)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise StopError(f"{name}: got {text!r}, wanted a whole number from {least} to {most}, such as {default}")
    return int(text)


def truth(name: str, environ: Mapping[str, str]) -> bool:
    """Return a setting that is true or false, false where it is not set; raise StopError for anything else."""
    text = read(name, environ) or "false"
    if text not in ("true", "false"):
        raise StopError(f"{name}: got {text!r}, wanted true or false")
    return text == "true"
