"""Alembic runs this for every command; what it does is in `scaffold.migration`."""

from alembic import context
from scaffold import migration

if context.is_offline_mode():
    migration.run_offline()
else:
    migration.run()
