"""Writes the list of decisions into docs/adr/README.md from the pages' titles: `python3 -m docs.decision_index`."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "adr"
INDEX = FOLDER / "README.md"
TITLE = re.compile(r"# (\d{4})[.:] (.+)")


def pages(folder: Path = FOLDER) -> list[Path]:
    """Return the pages in the order of their numbers."""
    return sorted(path for path in folder.glob("*.md") if path.name != INDEX.name)


def table(folder: Path = FOLDER) -> str:
    """Return the list as a Markdown table; raise ValueError for a page without its number and title."""
    return "\n".join(["| | decision |", "|---|---|", *(row(page) for page in pages(folder))])


def row(page: Path) -> str:
    """Return a page's line."""
    first = page.read_text(encoding="utf-8").partition("\n")[0]
    found = TITLE.fullmatch(first)
    if not found or not page.name.startswith(f"{found[1]}-"):
        raise ValueError(
            f"{page.name}: begins with {first!r}, wanted its own number and a title: # {page.name[:4]}: Title"
        )
    return f"| [{found[1]}]({page.name}) | {found[2]} |"


def renewed(index: str, made: str) -> str:
    """Return the index with the table, which is its last part."""
    return f"{index.partition('| | decision |')[0]}{made}\n"


if __name__ == "__main__":
    INDEX.write_text(renewed(INDEX.read_text(encoding="utf-8"), table()), encoding="utf-8")
