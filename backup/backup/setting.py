"""Settings from the environment, each with a twin `X_FILE`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from backup.error import StopError


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
        return Path(path).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise StopError(f"{twin}: cannot read {path}: {reason}. Mount the file there, or correct {twin}") from None


def number(name: str, default: int, lowest: int, highest: int, environ: Mapping[str, str]) -> int:
    """Return a setting that is a whole number in a range; raise StopError for anything else."""
    text = read(name, environ)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not lowest <= int(text) <= highest:
        raise StopError(f"{name}: got {text!r}, wanted a whole number from {lowest} to {highest}, such as {default}")
    return int(text)


def truth(name: str, environ: Mapping[str, str]) -> bool:
    """Return a setting that is true or false, false where it is not set; raise StopError for anything else."""
    text = read(name, environ) or "false"
    if text not in ("true", "false"):
        raise StopError(f"{name}: got {text!r}, wanted true or false")
    return text == "true"


def words(name: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return a setting's words, which commas, blanks or line breaks part; what follows a # in a line is left out."""
    text = read(name, environ) or ""
    lines = (line.partition("#")[0] for line in text.splitlines())
    return tuple(word for line in lines for word in line.replace(",", " ").split())
