"""python3 -m watcher serve | apply DIRECTORY | switch | maintenance FLAG|off | status"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from watcher.layout import Layout

USAGE = "usage: python3 -m watcher serve | apply DIRECTORY | switch | maintenance FLAG|off | status"


def main(arguments: list[str]) -> int:
    """Do what the verb says; return the exit status. Each verb loads only what it needs."""
    layout = Layout()
    match arguments:
        case ["serve"]:
            from watcher import serve

            return serve.run(os.environ, layout)
        case ["apply", directory]:
            from watcher import apply

            return apply.run(os.environ, layout, Path(directory))
        case ["switch"]:
            from watcher import switch

            return switch.run(os.environ, layout)
        case ["maintenance", given]:
            return maintenance(layout, given)
        case ["status"]:
            return status(layout)
        case _:
            print(USAGE, file=sys.stderr)
            return 2


def maintenance(layout: Layout, given: str) -> int:
    """Begin the maintenance that a JSON text describes, or end it (`off`); return the exit status."""
    from watcher import asking, journal

    try:
        if given == "off":
            asking.ask(layout, "DELETE", "/maintenance")
        else:
            asking.ask(layout, "PUT", "/maintenance", asking.parsed(given))
    except asking.JobError as error:
        journal.error("the maintenance was not changed", problem=str(error))
        return 1
    journal.info("the maintenance is " + ("off" if given == "off" else "on"))
    return 0


def status(layout: Layout) -> int:
    """Print what is in use; return the exit status."""
    from watcher import asking, journal

    try:
        answer = asking.ask(layout, "GET", "/status")
    except asking.JobError as error:
        journal.error("no status", problem=str(error))
        return 1
    print(json.dumps(answer, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
