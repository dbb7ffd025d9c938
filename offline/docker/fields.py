"""Short constructors with which the tables of properties are written."""

from __future__ import annotations

from typing import Any

from offline.docker.schema import Field, Fields, Kind


def text(**rest: Any) -> Field:
    """Return a property that holds a string."""
    return Field(Kind.STRING, **rest)


def number(**rest: Any) -> Field:
    """Return a property that holds a whole number."""
    return Field(Kind.INT, **rest)


def flag(**rest: Any) -> Field:
    """Return a property that holds true or false."""
    return Field(Kind.BOOL, **rest)


def mapping(**rest: Any) -> Field:
    """Return a property that maps names to strings."""
    return Field(Kind.MAP, **rest)


def texts(**rest: Any) -> Field:
    """Return an ordered list of strings."""
    return Field(Kind.LIST, **rest)


def text_set(**rest: Any) -> Field:
    """Return an unordered set of strings."""
    return Field(Kind.SET, **rest)


def blocks(block: Fields, **rest: Any) -> Field:
    """Return an ordered list of objects."""
    return Field(Kind.LIST, block=block, **rest)


def block_set(block: Fields, **rest: Any) -> Field:
    """Return an unordered set of objects."""
    return Field(Kind.SET, block=block, **rest)


def labels(**rest: Any) -> Field:
    """Return the set of label and value pairs that every labelled object has."""
    pair = {"label": text(required=True, replace=True), "value": text(required=True, replace=True)}
    return block_set(pair, replace=True, **rest)
