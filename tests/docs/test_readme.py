"""The README says what is so."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs import settings_table
from infra import settings

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
PROMISES = re.compile(r"^\| (M\d+) \| ([^|]+) \|([^|]*)\| ([^|]+) \|$", re.MULTILINE)


def without_fences(text: str) -> str:
    """Return Markdown without its code blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def targets() -> set[str]:
    """Return what the Makefile makes."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (verbs,) = re.findall(r"^VERBS = (.+)$", makefile, re.MULTILINE)
    return set(verbs.split())


def commands(text: str) -> set[str]:
    """Return the make targets that a text tells people to use."""
    return set(re.findall(r"(?:`|^|&& |\()make (?:-s )?([a-z][a-z-]*)", text, re.MULTILINE))


def anchor(heading: str) -> str:
    """Return the fragment by which a heading is reached."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def messages() -> Iterator[tuple[str, str]]:
    """Yield the messages in the troubleshooting table, each with one of its fixed parts."""
    _, _, section = README.partition("## When something is wrong")
    for first in re.findall(r"^\| (`[^|]+`) \|", section.partition("\n## ")[0], re.MULTILINE):
        for quoted in re.findall(r"`([^`]+)`", first):
            for part in filter(None, (piece.strip() for piece in quoted.split("…"))):
                yield quoted, part


@functools.cache
def said() -> str:
    """Return every string in the code that speaks to people, values left out."""
    return "\n".join(
        node.value
        for folder in ("infra", "setup", "operate", "offline", "gateway")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def test_the_settings_table_is_as_pulumi_yaml_has_it() -> None:
    project = (ROOT / "Pulumi.yaml").read_text(encoding="utf-8")
    fresh = settings_table.put_in(README, settings_table.table(project))
    assert fresh == README, "it is stale; write it again: .venv/bin/python -m docs.settings_table"


def test_a_table_without_its_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="markers"):
        settings_table.put_in("no markers", "")


def test_every_make_command_that_is_told_exists_and_every_one_that_exists_is_told() -> None:
    everywhere = set().union(*(commands(path.read_text(encoding="utf-8")) for path in GUIDES))
    assert everywhere <= targets()
    assert commands(README) == targets()


def test_every_variable_that_is_given_to_make_is_one_that_it_passes_on() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (exported,) = re.findall(r"^export (.+)$", makefile, re.MULTILINE)
    given = {
        name
        for path in GUIDES
        for words in re.findall(r"make [a-z-]+((?: [A-Z_]+=)[^`\n#]*)", path.read_text(encoding="utf-8"))
        for name in re.findall(r"(?<![\w'\"])([A-Z_]+)=", words)
    }
    assert given
    assert given <= set(exported.split())


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_and_picture_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_fences(path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+://", target):
            continue
        name, _, fragment = target.partition("#")
        leads = (path.parent / name) if name else path
        assert leads.exists(), f"{path.name}: {target}"
        if fragment:
            headings = re.findall(r"^#+ (.+)$", without_fences(leads.read_text(encoding="utf-8")), re.MULTILINE)
            assert fragment in {anchor(heading) for heading in headings}, f"{path.name}: {target}"


def test_every_promise_has_one_row_with_its_state_and_what_is_done_says_how() -> None:
    rows = PROMISES.findall(README)
    assert [number for number, *_ in rows] == [f"M{number}" for number in range(1, 27)]
    for number, _, how, state in rows:
        assert state in ("done", "not yet"), number
        assert how.strip() or state == "not yet", number


def test_every_setting_that_is_spoken_of_exists() -> None:
    spoken_to_people = [path for path in GUIDES if path.parent.name != "adr"]
    shaped = re.compile(r"`([a-z]+(?:[A-Z][a-z0-9]+)+)(?:\[\d\])?`")
    spoken = {name for path in spoken_to_people for name in shaped.findall(path.read_text(encoding="utf-8"))}
    set_by_command = {
        name
        for path in spoken_to_people
        for name in re.findall(
            r"\bset (?:--secret )?(?:--path ')?([a-z]+[A-Za-z0-9]*)", path.read_text(encoding="utf-8")
        )
        if any(letter.isupper() for letter in name)
    }
    outputs = {"siteUrl", "samlAcsUrl", "samlMetadataUrl", "samlSlsUrl"}
    assert spoken | set_by_command <= set(settings.schema()) | outputs


@pytest.mark.parametrize(("message", "part"), list(messages()))
def test_every_message_that_is_explained_is_one_that_can_be_met(message: str, part: str) -> None:
    by_others = ("421 Misdirected Request",)
    assert message in by_others or part in said(), message


def test_the_commands_of_the_guides_are_in_no_language_but_those_that_are_checked() -> None:
    for path in GUIDES:
        for language in re.findall(r"^```(\S+)$", path.read_text(encoding="utf-8"), re.MULTILINE):
            assert language in ("sh", "sql"), path.name


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_is_one_that_a_shell_can_read(path: Path) -> None:
    for block in re.findall(r"^```sh\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        done = subprocess.run(["sh", "-n"], input=block, capture_output=True, text=True, timeout=10, check=False)
        assert done.returncode == 0, f"{block}{done.stderr}"


def test_every_promise_that_is_kept_is_named_by_a_test() -> None:
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    kept = [number for number, _, _, state in PROMISES.findall(README) if state.strip() == "done"]
    assert len(kept) > 10
    assert [number for number in kept if not re.search(rf"\b{number}\b", tests)] == []
