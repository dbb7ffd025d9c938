"""What whoever may run commands in a container can do about people, sessions and keys: a way in of its own."""

from __future__ import annotations

from flask import Flask


def init_app(app: Flask) -> None:
    """Add the commands."""
    from . import breakglass, journal, keys, people, sessions

    for module in (breakglass, journal, keys, people, sessions):
        app.cli.add_command(module.commands)
