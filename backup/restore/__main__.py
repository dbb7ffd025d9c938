"""The command line: `python -m restore watch|loader|gate|status|list|submit|undo`."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from types import FrameType

from backup import line

# Each command's module; it has `main(arguments) -> int`, and only the named one is loaded.
MODULES = {
    "watch": "watch",
    "loader": "loader",
    "gate": "gate",
    "status": "status",
    "list": "history",
    "submit": "submit",
    "undo": "undo",
}


def main(arguments: list[str]) -> int:
    """Run the named command and return its exit status; 2 for a command that does not exist."""
    name, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if name not in MODULES:
        sys.stderr.write(f"restore: got {name or 'nothing'!r}, wanted one of: {', '.join(MODULES)}\n")
        return 2
    signal.signal(signal.SIGTERM, stop)
    # The spool is its group's; others have no business in it.
    os.umask(0o027)
    line.LOGGER = "restore"
    status: int = importlib.import_module(f"restore.{MODULES[name]}").main(rest)
    return status


def stop(number: int, _frame: FrameType | None) -> None:
    """End by the way of an error, so that everything begun is cleared away."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
