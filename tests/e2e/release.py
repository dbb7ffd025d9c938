"""What the stories on both platforms share: how an answer is read, and a migration that cannot work."""

from __future__ import annotations

import re
from pathlib import Path

from tests.e2e.site import Answer

BROKEN_MIGRATION = '''"""A migration that cannot work."""

from alembic import op

revision = "ffffffffffff"
down_revision = "{head}"
compatible = True


def upgrade() -> None:
    op.execute("ALTER TABLE there_is_no_such_table ADD COLUMN nothing integer")


def downgrade() -> None:
    pass
'''


def is_site(answer: Answer) -> bool:
    """Whether the app itself answered."""
    return answer.status == 200


def is_page(answer: Answer) -> bool:
    """Whether it is the maintenance page."""
    return answer.status == 503 and "operations@example.com" in answer.body


def head_of(folder: Path) -> str:
    """Return the newest revision of the app's migrations."""
    versions = list((folder / "app" / "migrations" / "versions").glob("*.py"))
    text = "\n".join(path.read_text() for path in versions)
    revisions = set(re.findall(r'^revision(?:: str)? = "(\w+)"', text, re.MULTILINE))
    head: str
    (head,) = revisions - set(re.findall(r'^down_revision(?:: [^=]+)? = "(\w+)"', text, re.MULTILINE))
    return head
