"""Nothing in the repository depends on, or speaks of, the machine or the mirrors that it was written with."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GENERATED = re.compile(r"(^|/)(go\.sum|uv\.lock)$")
# Packages come from whatever index, mirror or proxy the machine names: none is written down.
REGISTRIES = (
    r"pypi\.org",
    r"pythonhosted\.org",
    r"npmjs\.(org|com)",
    r"(proxy|sum)\.golang\.org",
    r"crates\.io",
    r"(deb|security|ftp\.[a-z.]*)\.?debian\.org",
    r"(archive|security)\.ubuntu\.com",
    r"(registry-1|index|hub)\.docker\.(io|com)",
    r"(ghcr|quay|gcr)\.io",
)
MACHINES = (r"(?<![\w$}*.-])/(work|root)/",)


def tracked() -> list[Path]:
    """Return the tracked files that are there."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, timeout=30, check=True
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def text_of(path: Path) -> str:
    """Return a file's text, or nothing for one that is no text."""
    content = path.read_bytes()
    return "" if b"\0" in content[:8000] else content.decode("utf-8", errors="replace")


def lines_with(patterns: tuple[str, ...]) -> list[str]:
    """Return where one of the patterns occurs."""
    wanted = re.compile("|".join(patterns))
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in tracked()
        if not GENERATED.search(path.as_posix())
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if wanted.search(line)
    ]


def test_no_package_registry_is_named() -> None:
    assert lines_with(REGISTRIES) == []


def test_no_path_of_one_machine_is_named() -> None:
    assert lines_with(MACHINES) == []


def test_what_is_searched_is_the_whole_tree() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in tracked()}
    assert {"README.md", "Pulumi.yaml", "__main__.py", "infra/settings.py", "Makefile"} <= names


def test_no_file_is_bigger_than_a_picture() -> None:
    big = [f"{path.relative_to(ROOT)}: {path.stat().st_size}" for path in tracked() if path.stat().st_size > 1 << 20]
    assert big == []
