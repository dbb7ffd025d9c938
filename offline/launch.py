"""Starts one plugin: `python -I offline/launch.py NAME ARGUMENTS…`, where NAME is a package in this folder.

Started by path and isolated (`-I`), so neither PYTHONPATH nor the working directory decides which code runs. Only what
the protocol takes is loaded around them, for the engine starts every plugin twice in an update, one after the other.
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
    lean.skip_asyncio()
    name = sys.argv.pop(1)
    importlib.import_module(f"offline.{name}.__main__").main()


if __name__ == "__main__":
    main()
