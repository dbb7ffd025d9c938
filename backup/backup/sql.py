"""Names and strings in SQL."""

from __future__ import annotations


def name(*parts: str) -> str:
    """Return a quoted identifier, its parts joined by dots."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def string(text: str) -> str:
    """Return a string literal that reads the same whatever standard_conforming_strings is."""
    quoted = text.replace("'", "''")
    if "\\" not in text:
        return f"'{quoted}'"
    doubled = quoted.replace("\\", "\\\\")
    return f" E'{doubled}'"
