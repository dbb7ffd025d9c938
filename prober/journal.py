"""Every request as a line of JSON."""

from __future__ import annotations

import json
from typing import TextIO

from prober.fate import Outcome


class Journal:
    """Writes outcomes to a file."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def __call__(self, outcome: Outcome) -> None:
        """Write one."""
        self.file.write(json.dumps(outcome.plain()) + "\n")
