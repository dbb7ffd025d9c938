"""What becomes of each table at a restore: every table has its one word, and what is said of it is there."""

from __future__ import annotations

from scaffold import lasting, migration
from scaffold.database import db


def test_every_table_is_carried_dropped_or_restored_and_only_one_of_these() -> None:
    assert migration.TABLES
    carried = [entry.table for entry in lasting.CARRIED]
    listed = [*carried, *lasting.DROPPED, *lasting.RESTORED]
    assert sorted(listed) == sorted(set(listed))
    assert set(listed) == {*db.metadata.tables, "alembic_version"}


def test_what_is_said_of_a_carried_table_is_about_columns_that_it_has() -> None:
    for entry in lasting.CARRIED:
        table = db.metadata.tables[entry.table]
        assert {*entry.key, *entry.columns} <= set(table.columns.keys()), entry.table
        assert (entry.way == "merge") == bool(entry.columns)


def test_what_is_carried_comes_after_what_it_refers_to() -> None:
    order = [entry.table for entry in lasting.CARRIED]
    for place, name in enumerate(order):
        for key in db.metadata.tables[name].foreign_keys:
            assert order.index(key.column.table.name) < place
