"""The packages are installed as they are pinned, and pip's words become a cause and a remedy."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from setup import virtualenv
from setup.facts import packages_facts, stamp_of_packages
from setup.places import Places
from setup.problem import Problem


def wheel(folder: Path) -> str:
    """Make a package of one module and return the line that pins it."""
    path = folder / "tiny-1.0-py3-none-any.whl"
    files = {
        "tiny.py": b"VALUE = 42\n",
        "tiny-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        "tiny-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            rows.append(f"{name},sha256={digest},{len(content)}")
        archive.writestr("tiny-1.0.dist-info/RECORD", "\n".join([*rows, "tiny-1.0.dist-info/RECORD,,"]) + "\n")
    return f"tiny==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / "clone").mkdir()
    return Places(tmp_path / "clone", tmp_path / "cache", tmp_path / "state", tmp_path / "clone" / ".venv")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which pip finds packages in a folder alone."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return own | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}


def test_packages_are_installed_once_and_again_when_the_pins_change(
    places: Places, environment: dict[str, str], tmp_path: Path
) -> None:
    pinned = places.repository / "requirements.txt"
    pinned.write_text(wheel(tmp_path))
    heard: list[str] = []
    facts = packages_facts(places, "requirements.txt")
    assert facts.installed is None
    virtualenv.make(places, "requirements.txt", facts.wanted, environment, heard.append)
    facts = packages_facts(places, "requirements.txt")
    assert facts.installed == facts.wanted
    told = subprocess.run(
        [places.python, "-c", "import tiny; print(tiny.VALUE)"], capture_output=True, text=True, timeout=30, check=True
    )
    assert told.stdout == "42\n"
    assert heard[0] == f"making {places.venv}"
    assert "installing" in heard

    pinned.write_text(pinned.read_text() + "# changed\n")
    facts = packages_facts(places, "requirements.txt")
    assert facts.installed != facts.wanted

    for file in places.venv.glob("lib/*/site-packages/tiny*"):
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    pinned.write_text("tiny==1.0 --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(Problem, match="does not have the hash"):
        virtualenv.make(places, "requirements.txt", "digest", environment, heard.append)
    assert not stamp_of_packages(places).exists()


def test_an_environment_whose_interpreter_is_gone_is_broken(places: Places) -> None:
    (places.venv / "bin").mkdir(parents=True)
    (places.venv / "bin" / "python").symlink_to("/nowhere/python3")
    (places.repository / "requirements.txt").write_text("")
    assert packages_facts(places, "requirements.txt").broken
    assert not virtualenv.works(places)


@pytest.mark.parametrize(
    ("words", "cause", "fix"),
    [
        ("ERROR: Could not install: [Errno 28] No space left on device", "The disk is full", "free some space"),
        ("Retrying … Temporary failure in name resolution", "No package index could be reached", "PIP_INDEX_URL"),
        ("ERROR: No matching distribution found for tiny", "No matching distribution", "mend that"),
    ],
)
def test_pips_words_become_a_cause_and_a_remedy(words: str, cause: str, fix: str) -> None:
    problem = virtualenv.failure("requirements.txt", words)
    assert cause in problem.cause
    assert fix in problem.fix


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Collecting grpcio==1.80", "collecting grpcio==1.80"),
        ("  Downloading https://mirror.example/x/grpcio-1.80.whl (5 MB)", "downloading grpcio-1.80.whl"),
        ("  Using cached tiny-1.0.whl (12 kB)", "using tiny-1.0.whl"),
        ("Installing collected packages: a, b", "installing"),
        ("Looking in indexes: https://user:password@mirror.example", "working"),
    ],
)
def test_progress_names_packages_and_never_an_address(line: str, said: str) -> None:
    words = virtualenv.wording(line)
    assert words.startswith(said)
    assert "mirror.example" not in words
