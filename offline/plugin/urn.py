"""What a resource's URN says: urn:pulumi:STACK::PROJECT::TYPE$TYPE::NAME."""

from __future__ import annotations


def type_of(urn: str) -> str:
    """Return a resource's own type, the last one of the chain in its URN."""
    return urn.split("::")[2].rpartition("$")[2]


def name_of(urn: str) -> str:
    """Return a resource's name, whatever is in it."""
    return urn.split("::", 3)[-1]
