"""Names and strings in SQL."""

from __future__ import annotations


def name(text: str) -> str:
    """Return a quoted identifier."""
    return '"' + text.replace('"', '""') + '"'


def string(text: str) -> str:
    """Return a string literal that reads the same whatever standard_conforming_strings is."""
    quoted = text.replace("'", "''")
    if "\\" not in text:
        return f"'{quoted}'"
    doubled = quoted.replace("\\", "\\\\")
    return f" E'{doubled}'"


def array(texts: list[str]) -> str:
    """Return an array of strings."""
    return f"ARRAY[{', '.join(string(text) for text in texts)}]::text[]"
