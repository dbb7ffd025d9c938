"""Each decision has its page, its number and its line in the index."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "adr"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")


def test_the_index_lists_every_page_in_order_under_its_title() -> None:
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[(\d{4})\]\(([^)]+)\) \| (.+) \|$", index, re.MULTILINE)
    assert [name for _, name, _ in listed] == [page.name for page in PAGES]
    for (number, _, title), page in zip(listed, PAGES, strict=True):
        assert page.name.startswith(f"{number}-")
        assert page.read_text(encoding="utf-8").splitlines()[0] == f"# {number}: {title}"


def test_no_number_is_given_twice() -> None:
    numbers = [page.name[:4] for page in PAGES]
    assert len(set(numbers)) == len(numbers)


def test_every_page_says_what_was_the_case_what_was_decided_and_what_follows() -> None:
    assert PAGES
    for page in PAGES:
        headings = re.findall(r"^## (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences"], page.name
