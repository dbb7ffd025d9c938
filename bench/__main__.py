"""`python3 -m bench [NAME …]`: take the named figures, or all of them, and write them to bench/RESULTS.md."""

from __future__ import annotations

import importlib
import sys

from bench import results

NAMES = (
    "gateway", "crash", "memory", "nothing_changed", "kubernetes", "releases", "port", "saml", "session", "flood",
    "pitr", "backup", "restore", "up",
)  # fmt: skip


def main(names: list[str]) -> int:
    """Take figures and return 0 when every one keeps its bound."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"no such bench: {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    missed = 0
    for name in names or NAMES:
        print(f"{name} …", flush=True)
        # A bench that yields its rows one by one keeps those it has when it fails later on.
        for row in importlib.import_module(f"bench.{name}").rows():
            results.write([row])
            print("  " + " | ".join(row.cells()), flush=True)
            missed += not row.reached
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
