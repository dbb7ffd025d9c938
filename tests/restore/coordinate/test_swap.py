"""One restore from the queue to the live name, with the app beside it."""

from __future__ import annotations

from typing import Any


def test_a_dump_is_restored_and_the_app_goes_on_with_it(stage: Any) -> None:
    before = stage.databases()["scaffold"][0]
    stage.put(stage.root / "files/new.dump")
    done = stage.drain()
    assert done.status == 0, done.text
    (receipt, *_) = stage.receipts()
    assert receipt["outcome"] == "done", done.text
    after = stage.databases()
    assert after["scaffold"][0] != before
    assert after[receipt["previous"]] == (before, False)
