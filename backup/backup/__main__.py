"""The command line: `python -m backup COMMAND`; without one it says which there are."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

COMMANDS = (
    "run", "schedule", "list", "show", "verify", "drill", "fetch", "prune", "pin", "unpin", "accept", "keep", "open",
    "recover", "key",
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Run the named command and return its exit status; 2 for a command that does not exist."""
    name, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if name not in COMMANDS:
        sys.stderr.write(f"backup: got {name or 'nothing'!r}, wanted one of: {', '.join(COMMANDS)}\n")
        return 2
    signal.signal(signal.SIGTERM, stop)
    # Whoever is in the folder's group may read backups; others may not.
    os.umask(0o027)
    # Each command loads only what it needs: a list is there at once.
    if name == "run":
        from backup import run

        return run.main(rest)
    if name == "schedule":
        from backup import schedule

        return schedule.main() if not rest else extra(name, rest)
    if name == "fetch":
        from backup import offsite

        return offsite.fetch(rest)
    if name in ("list", "show"):
        from backup import listing

        return listing.main(rest) if name == "list" else listing.show(rest)
    if name in ("verify", "drill"):
        from backup import verify

        return verify.main(rest) if name == "verify" else verify.drill(rest)
    if name in ("keep", "open"):
        from backup import kit

        return kit.keep(rest) if name == "keep" else kit.open_(rest)
    if name in ("recover", "key"):
        from backup import recovery

        return recovery.main(rest) if name == "recover" else recovery.hand(rest)
    if name == "prune":
        from backup import prune

        return prune.main(rest)
    from backup import marks

    return marks.main(name, rest)


def extra(name: str, rest: list[str]) -> int:
    """Refuse what a command does not take."""
    sys.stderr.write(f"backup {name}: got {' '.join(rest)!r}, wanted nothing more\n")
    return 2


def stop(number: int, _frame: FrameType | None) -> None:
    """End by the way of an error, so that everything begun is cleared away."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
