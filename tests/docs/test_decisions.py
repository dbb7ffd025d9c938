"""Each decision has its page, its number and its line in the index."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from docs import decision_index


def test_the_index_lists_every_page_in_order_under_its_title() -> None:
    index = decision_index.INDEX.read_text(encoding="utf-8")
    fresh = decision_index.renewed(index, decision_index.table())
    assert fresh == index, "it is stale; write it again: python3 -m docs.decision_index"


def test_no_number_is_given_twice() -> None:
    numbers = Counter(page.name[:4] for page in decision_index.pages())
    assert [number for number, times in numbers.items() if times > 1] == []


@pytest.mark.parametrize("first", ["# 0002: Another number", "No heading", "# 1: Short"])
def test_a_page_without_its_number_and_title_is_refused(tmp_path: Path, first: str) -> None:
    (tmp_path / "0001-something.md").write_text(f"{first}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"0001-something.md: begins with"):
        decision_index.table(tmp_path)
