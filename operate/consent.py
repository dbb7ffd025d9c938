"""Having a name typed before something goes for ever."""

from __future__ import annotations

import sys

from operate.request import Request
from setup.problem import Problem


def given(request: Request, loss: str, name: str, unasked: str) -> None:
    """Say what will be lost and have a name typed; raise Problem when it is not.

    `YES=yes` answers where nobody can type; `unasked` is the command with it.
    """
    if request.says_yes("YES"):
        return
    if not sys.stdin.isatty():
        raise Problem(f"{loss}, and nobody is at a terminal to confirm it.", unasked)
    request.terminal.say(f"{loss}.")
    try:
        answer = input(f"Type its name ({name}) to go on: ")
    except EOFError:
        answer = ""
    if answer.strip() != name:
        raise Problem("That is not its name; nothing was changed.", "run it again to try once more")
