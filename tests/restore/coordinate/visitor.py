"""The app of these tests: holds sessions with the live database and asks it something all the time.

Run as `python visitor.py URL SEEN`; SEEN is written whenever an answer came.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path

import psycopg


def main(url: str, path: Path) -> None:
    """Ask for ever; whatever goes wrong, connect again."""
    while True:
        with (
            contextlib.suppress(psycopg.Error),
            psycopg.connect(url, autocommit=True, connect_timeout=2) as idle,
            psycopg.connect(url, autocommit=True, connect_timeout=2) as session,
        ):
            while True:
                row = session.execute("SELECT word FROM public.marker").fetchone()
                idle.execute("SELECT 1")
                new = path.with_suffix(".new")
                new.write_text(json.dumps({"at": time.time(), "word": row and row[0], "pid": os.getpid()}))
                new.rename(path)
                time.sleep(0.02)
        time.sleep(0.02)


main(sys.argv[1], Path(sys.argv[2]))
