"""What the program reads off the app's migrations: their words on compatibility, and the newest one."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from hypothesis import given
from hypothesis import strategies as st
from scaffold import schema

from infra import migrations
from infra.migrations import Migration, MigrationsError

OURS = Path(__file__).resolve().parents[2] / "app" / "migrations"


def folder(path: Path, *sources: str) -> Path:
    """Make a folder of migrations, one for each source."""
    (path / "versions").mkdir()
    for number, source in enumerate(sources):
        (path / "versions" / f"{number}_step.py").write_text(source, encoding="utf-8")
    return path


def source(revision: str, follows: object = None, compatible: str = "\ncompatible = True\n") -> str:
    """Return a migration as it is written from the template."""
    return (
        '"""A step"""\n\nfrom alembic import op\n\n'
        f"revision = {revision!r}\ndown_revision = {follows!r}\nbranch_labels = None\ndepends_on = None\n{compatible}"
    )


def test_the_apps_own_migrations_are_in_order_and_the_newest_is_the_one_that_alembic_finds() -> None:
    config = Config()
    config.set_main_option("script_location", str(OURS))
    assert migrations.check(OURS) == []
    assert [migrations.head(OURS)] == ScriptDirectory.from_config(config).get_heads()


@pytest.mark.parametrize(
    ("words", "line", "named"),
    [
        ("", 9, "does not say whether it is compatible: add the line `compatible = True` when"),
        ("compatible = None\n", 9, "wanted True or False, written out"),
        ("\ncompatible = not True\n", 10, "wanted True or False, written out"),
        ("compatible: bool\n", 9, "wanted True or False, written out"),
        ("compatible = 1\n", 9, "wanted True or False, written out"),
        ("def compatible() -> bool:\n    return True\n", 9, "does not say whether it is compatible"),
        ("if True:\n    compatible = True\n", 9, "does not say whether it is compatible"),
        ("\n'''compatible = True'''\n", 9, "does not say whether it is compatible"),
    ],
)
def test_a_migration_without_its_word_is_named_with_the_line_to_write(
    tmp_path: Path, words: str, line: int, named: str
) -> None:
    (problem,) = migrations.check(folder(tmp_path, source("a"), source("b", "a", words)))
    assert problem.startswith(f"{tmp_path}/versions/1_step.py:{line}: ")
    assert named in problem
    assert "compatible = False" in problem
    assert len(schema.undeclared(tmp_path)) == 1, "the image itself must refuse the same"


@pytest.mark.parametrize("words", ["compatible = True\n", "\ncompatible: bool = False\n"])
def test_both_words_are_taken_by_the_program_and_by_the_image(tmp_path: Path, words: str) -> None:
    assert migrations.check(folder(tmp_path, source("a", None, words))) == []
    assert schema.undeclared(tmp_path) == []


def test_every_file_that_is_wrong_is_named_at_once(tmp_path: Path) -> None:
    found = migrations.check(folder(tmp_path, source("a", None, ""), "revision = (", "x = 1\n", source("b", 7)))
    assert [problem.split(": ")[0].rpartition("/")[2] for problem in found] == [
        "0_step.py:9",
        "1_step.py",
        "2_step.py:1",
        "3_step.py:6",
    ]


def test_two_newest_revisions_are_an_error_that_says_how_to_join_them(tmp_path: Path) -> None:
    branched = folder(tmp_path, source("a"), source("b", "a"), source("c", "a"))
    with pytest.raises(MigrationsError, match=r"2 revisions are the newest \(b, c\), wanted one: .* db merge heads"):
        migrations.head(branched)
    joined = source("d", ("b", "c"))
    (tmp_path / "versions" / "d.py").write_text(joined, encoding="utf-8")
    assert migrations.head(branched) == "d"


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ((source("a"), source("a")), "1_step.py: has the revision 'a' of 0_step.py"),
        ((source("a"), source("b", "nowhere")), "follows 'nowhere', which no file here has"),
        ((source("a", "b"), source("b", "a")), "every revision follows another one"),
    ],
)
def test_a_chain_that_leads_nowhere_is_an_error(tmp_path: Path, sources: tuple[str, ...], words: str) -> None:
    (problem,) = migrations.check(folder(tmp_path, *sources))
    assert words in problem


def test_without_migrations_there_is_no_newest(tmp_path: Path) -> None:
    assert migrations.head(tmp_path) is None


def test_a_chain_is_read_as_it_is_written(tmp_path: Path) -> None:
    read = migrations.read(folder(tmp_path, source("a"), source("b", "a", "compatible = False\n")))
    assert read == {"a": Migration("a", (), True), "b": Migration("b", ("a",), False)}


@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_the_newest_of_a_chain_is_its_last_whatever_the_words_are(
    tmp_path_factory: pytest.TempPathFactory, words: list[bool]
) -> None:
    names = [f"r{number}" for number in range(len(words))]
    sources = [
        source(name, names[number - 1] if number else None, f"compatible = {word}\n")
        for number, (name, word) in enumerate(zip(names, words, strict=True))
    ]
    made = folder(tmp_path_factory.mktemp("chain"), *reversed(sources))
    assert migrations.head(made) == names[-1]
    assert [migrations.read(made)[name].compatible for name in names] == words
    assert schema.heads(made) == {names[-1]}


def test_a_new_revision_is_written_with_its_word(tmp_path: Path) -> None:
    (tmp_path / "versions").mkdir()
    (tmp_path / "script.py.mako").write_bytes((OURS / "script.py.mako").read_bytes())
    config = Config()
    config.set_main_option("script_location", str(tmp_path))
    ScriptDirectory.from_config(config).generate_revision("new", "A step", head="base")
    assert migrations.read(tmp_path)["new"] == Migration("new", (), False)
