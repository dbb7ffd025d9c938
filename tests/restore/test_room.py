"""How much room the database's disk has, from the stack's own database."""

from __future__ import annotations

from restore.room import QUESTION
from tests.restore.depot import Depot


def test_the_stacks_database_tells_its_room_to_the_restores_admin_alone(depot: Depot) -> None:
    assert int(depot.run(QUESTION, user="restore_admin")) > 1 << 20
