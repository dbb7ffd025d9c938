"""Where the tests' cluster keeps what it keeps, as `make test` has it; its keeper runs on these tests' interpreter."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from operate.request import request_from
from operate.test import own_places
from setup.places import Places


def places_of_tests() -> Places:
    """Return the places that all runs of the tests share."""
    return replace(own_places(request_from("test", [], os.environ)), venv=Path(sys.prefix))
