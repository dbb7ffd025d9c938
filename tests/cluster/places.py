"""Where the tests' cluster keeps what it keeps, as `make test` has it."""

from __future__ import annotations

import os

from operate.request import request_from
from operate.test import own_places
from setup.places import Places


def places_of_tests() -> Places:
    """Return the places that all runs of the tests share."""
    return own_places(request_from("test", [], os.environ))
