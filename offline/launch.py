"""Starts one plugin: `python -I offline/launch.py NAME ARGUMENTS…`, where NAME is a package in this folder.

Started by path and isolated (`-I`), so neither PYTHONPATH nor the working directory decides which code runs. Only the
protocol's generated modules are loaded from the Pulumi SDK, which halves the time to start.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def main() -> None:
    """Run the plugin named by the first argument; the rest is the engine's."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from offline.plugin import lean

    lean.skip_sdk()
    name = sys.argv.pop(1)
    importlib.import_module(f"offline.{name}.__main__").main()


if __name__ == "__main__":
    main()
