"""The command line: which commands there are."""

from __future__ import annotations

import pytest

from restore import __main__ as command_line


@pytest.mark.parametrize("arguments", [[], ["psql"], ["--help"]])
def test_a_command_that_does_not_exist_is_refused_with_those_that_do(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(arguments) == 2
    assert "wanted one of: watch, loader, gate, status, list, submit, undo" in capsys.readouterr().err
