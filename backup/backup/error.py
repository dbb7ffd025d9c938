"""The one exception that ends a command."""

from __future__ import annotations


class StopError(Exception):
    """Ends a command with status 1; its text names the object, what it got, what it wanted, and what to do next."""
