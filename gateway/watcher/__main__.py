"""python3 -m watcher serve | apply DIRECTORY | switch | status"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from watcher.layout import Layout

USAGE = "usage: python3 -m watcher serve | apply DIRECTORY | switch | status"


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
        case ["status"]:
            return status(layout)
        case _:
            print(USAGE, file=sys.stderr)
            return 2


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
