"""A machine is lost: with the kit, the bucket and one private key another one becomes the same site."""

from __future__ import annotations

import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from operate.docker import images
from setup.daemon import Daemon, endpoint_from
from tests.backup.store import BUCKET
from tests.conftest import Docker, free_port, remove_labelled, remove_what_dead_runs_left, run_docker
from tests.e2e.machine import Machine, Somebody, Telephone, age_key, bucket, clone

pytestmark = pytest.mark.slow
EMAIL = "ada@example.org"
STORED = Path("s3/data") / BUCKET / "site"


@dataclass
class Lost:
    """What is left of a stack whose machine is gone: the kit, the private key, the bucket, and somebody's telephone."""

    url: str
    stack: str
    folder: Path
    clone: Path
    kit: Path
    key: Path
    stored: Path
    telephone: Telephone
    said: str


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory, run_id: str, docker: Docker) -> Iterator[Lost]:
    """A stack that somebody signed in to, its backup and its kit; then everything of its machine is taken away."""
    remove_what_dead_runs_left("scaffold.stack", "e2e-")
    folder = tmp_path_factory.mktemp("recovery")
    stack = f"e2e-{run_id}-kit"
    port = free_port()
    url = f"http://localhost:{port}"
    key, recipient = age_key(folder)
    kit = folder / "kit.age"
    first = Machine(folder / "first", stack, clone(folder / "clone"))
    first.folder.mkdir()
    (folder / "s3").mkdir()
    with bucket(folder / "s3") as copies:
        try:
            plain = {
                "environment": "development", "siteUrl": url, "gatewayPort": str(port), "passwordLoginEnabled": "true",
                "siteName": "Lost and found",
            }  # fmt: skip
            for name, value in {**plain, **copies}.items():
                first.sets(name, value, *(["--secret"] if name in ("backupS3AccessKey", "backupS3SecretKey") else []))
            first.sets("backupRecipients[0]", recipient, "--path")
            first.types("up")
            issued = first.types("flask", "users", "add", EMAIL, "--name", "Ada Lovelace").split()[-1]
            telephone = Somebody(url).enrols(EMAIL, issued)
            first.types("backup")
            said = first.types("recovery-kit", TO=str(kit))
            remove_labelled(f"scaffold.stack={stack}")
            shutil.rmtree(first.folder)
            yield Lost(
                url, stack, folder, first.clone, kit, key, folder / "s3" / "data" / BUCKET / "site", telephone, said
            )
        finally:
            remove_labelled(f"scaffold.stack={stack}")
            client = Daemon(endpoint_from({}))
            images.remove(client, images.own(client, stack))


@pytest.fixture(scope="module")
def empty(lost: Lost) -> Machine:
    """A machine that never had anything of the stack."""
    made = Machine(lost.folder / "second", lost.stack, lost.clone)
    made.folder.mkdir()
    return made


def test_the_kit_is_encrypted_for_its_owner_alone_and_in_the_bucket_too(lost: Lost) -> None:
    content = lost.kit.read_bytes()
    assert content.startswith(b"age-encryption.org/v1\n-> X25519 ")
    assert stat.S_IMODE(lost.kit.stat().st_mode) == 0o600
    (copy,) = (lost.stored / "kits").iterdir()
    assert copy.read_bytes() == content
    assert re.fullmatch(rf"{lost.stack}-\d{{8}}T\d{{6}}Z\.kit\.age", copy.name)
    assert "make recover" in lost.said


def test_another_key_opens_nothing_and_changes_nothing(lost: Lost, empty: Machine) -> None:
    (lost.folder / "other").mkdir()
    stranger, _ = age_key(lost.folder / "other")
    said = empty.types("recover", KIT=str(lost.kit), IDENTITY=str(stranger), check=False)
    assert "Is this the key of a recipient?" in said
    assert not empty.state.exists() or not list(empty.state.rglob("*.yaml"))


def test_a_recovery_that_is_killed_while_it_loads_stops_every_other_update(lost: Lost, empty: Machine) -> None:
    labels = ("--filter", f"label=scaffold.stack={lost.stack}", "--filter", "label=scaffold.service=recovery")
    empty.is_killed_at(
        lambda: run_docker("ps", "--quiet", *labels), "recover", KIT=str(lost.kit), IDENTITY=str(lost.key)
    )
    said = empty.types("up", check=False)
    assert "was begun and has not ended" in said
    assert "Nothing was changed." in said


def test_an_empty_machine_becomes_the_same_site_where_people_sign_in_with_their_second_factor(
    lost: Lost, empty: Machine
) -> None:
    said = empty.types("recover", KIT=str(lost.kit), IDENTITY=str(lost.key))
    assert "going on with the recovery that was begun" in said
    assert re.search(r"Loaded: the backup \d{8}T\d{6}Z-\w+, \d+ rows in \d+ tables", said), said
    assert "Ada Lovelace" in Somebody(lost.url).signs_in(EMAIL, lost.telephone)
    key = next(line for line in lost.key.read_text().splitlines() if line.startswith("AGE-SECRET-KEY"))
    for path in (empty.folder / "state").rglob("*"):
        assert not path.is_file() or key not in path.read_text(errors="replace"), f"the key is in {path}"
    names = run_docker("ps", "--all", "--quiet", "--filter", f"label=scaffold.stack={lost.stack}").split()
    assert key not in run_docker("container", "inspect", *names)


def test_what_was_recovered_is_a_stack_like_any_other(lost: Lost, empty: Machine) -> None:
    said = empty.types("up", "--diff")
    assert re.search(r"\b1 deleted\b|- 1 deleted", said), said
    assert not re.search(r"\d+ (created|replaced|updated)", said), said
    assert "Ada Lovelace" in Somebody(lost.url).signs_in(EMAIL, lost.telephone)
    empty.types("backup")


def test_a_machine_that_has_the_stack_is_left_alone(lost: Lost, empty: Machine) -> None:
    said = empty.types("recover", KIT=str(lost.kit), IDENTITY=str(lost.key), check=False)
    assert "knows a stack" in said
    assert "Something of the stack" in said
    assert "Nothing was changed." in said
