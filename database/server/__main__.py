"""The command line: `python3 -m server run|roles|check|archive|window|restore`."""

from __future__ import annotations

import sys

COMMANDS = ("run", "roles", "check", "archive", "window [seal]", "restore")


def main(arguments: list[str]) -> int:
    """Run the named command and return its exit status; 2 for a command that does not exist."""
    # Each command imports only its own modules: PID 1 stays for months, and every module costs it memory.
    if arguments == ["run"]:
        from server import run

        return run.main()
    if arguments == ["roles"]:
        from server import roles

        return roles.main()
    if arguments == ["check"]:
        from server import check

        return check.main()
    if arguments == ["archive"]:
        from server import archivist

        return archivist.main()
    if arguments in (["window"], ["window", "seal"]):
        from server import window

        return window.main(seal=len(arguments) > 1)
    if arguments == ["restore"]:
        from server import restoring

        return restoring.main()
    got = " ".join(arguments) or "nothing"
    print(f"server: got {got!r}, wanted one of: {', '.join(COMMANDS)}. Try: python3 -m server run", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
