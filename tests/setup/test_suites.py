"""The declared suites are all there, and what came of them is told truly."""

from __future__ import annotations

from pathlib import Path

import pytest

from operate import suites
from operate.suites import Outcome, Suite, chosen, declared, outcome_from, pytest_arguments, succeeded, summary

ROOT = Path(__file__).resolve().parents[2]
SUITE = Suite("setup", "tests/setup", 3, 9, official=False)
REPORT = """<testsuites><testsuite>
<testcase classname="a" name="passes"/>
<testcase classname="a" name="fails"><failure message="x"/></testcase>
<testcase classname="a" name="breaks"><error message="x"/></testcase>
<testcase classname="a" name="skips"><skipped message="no browser"/></testcase>
</testsuite></testsuites>"""


def outcome(passed: int, failed: int, *reasons: str) -> Outcome:
    return Outcome(SUITE, passed, failed, [("a::b", reason) for reason in reasons], 1.0, 3)


def test_every_folder_with_tests_is_a_suite_and_every_suite_is_a_folder() -> None:
    found = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    paths = [suite.path for suite in declared(ROOT / "tests" / "suites.toml")]
    assert all((ROOT / path).is_dir() for path in paths)
    assert not [folder for folder in found if not any(Path(folder).is_relative_to(path) for path in paths)]
    assert len(paths) == len(set(paths))


def test_every_suite_has_a_budget_and_the_long_one_is_no_shorter() -> None:
    for suite in declared(ROOT / "tests" / "suites.toml"):
        assert 0 < suite.budget <= suite.long_budget


def test_an_unknown_key_or_suite_is_refused_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "suites.toml"
    file.write_text('[[suite]]\nname = "a"\npath = "b"\nbudget = 1\nbugdet = 2\n')
    with pytest.raises(ValueError, match="bugdet"):
        declared(file)
    with pytest.raises(ValueError, match="no suite is called stup; there are: setup"):
        chosen([SUITE], "test", ["stup"])


def test_each_verb_runs_its_suites() -> None:
    story = Suite("e2e", "tests/e2e", 3, 9, official=True)
    assert chosen([SUITE, story], "test", []) == [SUITE, story]
    assert chosen([SUITE, story], "test-official", []) == [story]
    assert chosen([SUITE, story], "test", ["e2e"]) == [story]


def test_a_suite_that_takes_a_cluster_says_so(tmp_path: Path) -> None:
    file = tmp_path / "suites.toml"
    file.write_text(
        '[[suite]]\nname = "a"\npath = "a"\nbudget = 1\ncluster = true\n[[suite]]\nname = "b"\npath = "b"\nbudget = 1\n'
    )
    assert [suite.cluster for suite in declared(file)] == [True, False]


def test_slow_tests_run_only_in_the_long_run() -> None:
    assert "not slow" in pytest_arguments(SUITE, "test", Path("r.xml"), [])
    assert "not slow" not in pytest_arguments(SUITE, "test-long", Path("r.xml"), [])


def test_a_report_is_counted_with_the_reasons_of_what_was_skipped() -> None:
    found = outcome_from(SUITE, REPORT, 1, 1.0, 3)
    assert (found.passed, found.failed, found.skipped) == (1, 2, [("a::skips", "no browser")])


@pytest.mark.parametrize(
    ("report", "code"), [(None, 2), ("", 0), ("<half", 0), ("<testsuites/>", 5), ("<testsuites/>", None)]
)
def test_a_suite_that_reports_nothing_or_tests_nothing_has_failed(report: str | None, code: int | None) -> None:
    assert outcome_from(SUITE, report, code, 1.0, 3).failed == 1


def test_a_bad_exit_code_counts_even_when_every_case_passed() -> None:
    report = '<testsuites><testcase name="a"/></testsuites>'
    assert outcome_from(SUITE, report, 0, 1.0, 3).failed == 0
    assert outcome_from(SUITE, report, 3, 1.0, 3).failed == 1


def test_a_suite_over_its_budget_is_late() -> None:
    assert not Outcome(SUITE, 1, 0, [], 179, 3).late
    assert Outcome(SUITE, 1, 0, [], 181, 3).late


def test_the_last_line_counts_and_names_skips_only_where_there_are_any() -> None:
    assert summary([outcome(3, 0), outcome(2, 1)]) == "5 passed, 1 failed"
    assert summary([outcome(3, 0, "no browser")]) == "3 passed, 0 failed, 1 skipped"
    assert summary([]) == "0 passed, 0 failed"


def test_a_skip_fails_in_continuous_integration_alone() -> None:
    assert succeeded([outcome(3, 0, "no browser")], ci=False)
    assert not succeeded([outcome(3, 0, "no browser")], ci=True)
    assert not succeeded([outcome(3, 1)], ci=False)
    assert suites.succeeded([outcome(3, 0)], ci=True)
