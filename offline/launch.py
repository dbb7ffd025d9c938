"""Starts one plugin: `python -I offline/launch.py NAME ARGUMENTS…`, where NAME is a package in this folder.

Started by path and isolated (`-I`), so neither PYTHONPATH nor the working directory decides which code runs. Only what
the protocol takes is loaded around them. The engine starts `start.py`, which comes here where it has to.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def main() -> None:
    """Run the plugin named by the first argument; the rest is the engine's."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    load()
    run(sys.argv.pop(1))


def load() -> None:
    """Load what every plugin takes, and keep out what none needs."""
    from offline.plugin import lean

    lean.skip_sdk()
    lean.skip_asyncio()


def run(name: str) -> None:
    """Run a plugin to its end."""
    importlib.import_module(f"offline.{name}.__main__").main()


if __name__ == "__main__":
    main()
