"""A stack that is open for work: its state, passphrase and stack file in order, and Pulumi ready to run on it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from setup import stackfile, state
from setup.files import create_private, private_folder, read_text_or_none, write_atomically
from setup.places import NAME, Places
from setup.preflight import wrong_passphrase
from setup.prepare import Prepared
from setup.problem import Problem
from setup.processes import Failed, hand_over, run
from setup.terminal import Terminal

ANSWER_SECONDS = 60
YIELDING = ("nice", "-n", "10")
"""What serves on the same machine goes first; on an idle one this costs nothing."""
PASSPHRASE_BYTES = 32
RELEASE_KEY_BYTES = 32


@dataclass(frozen=True)
class Stack:
    """One stack on this machine, and the environment that Pulumi works on it with."""

    name: str
    places: Places
    cli: Path
    environment: Mapping[str, str]

    @property
    def file(self) -> Path:
        """The stack file in use."""
        return self.places.stack_file(self.name)

    @property
    def full_name(self) -> str:
        """The name that needs no project folder."""
        return f"organization/{NAME}/{self.name}"

    def pulumi(self, verb: str, *arguments: str) -> int:
        """Run Pulumi on this terminal with the stack and its file, and return its exit code."""
        # Before the arguments: what follows a `--` among these is taken as it is.
        command = [*YIELDING, str(self.cli), verb, "--stack", self.name, "--config-file", str(self.file), *arguments]
        return hand_over(command, environment=self.environment, folder=self.places.repository)

    def ask(self, *arguments: str, stdin: str | None = None) -> str:
        """Return what Pulumi prints; raise Failed with its words."""
        return run(
            [str(self.cli), *arguments],
            ANSWER_SECONDS,
            environment=self.environment,
            folder=self.places.repository,
            stdin=stdin,
        )

    def set(self, key: str, value: str) -> None:
        """Write a plain setting into the stack file; raise Failed with Pulumi's words."""
        self.ask("config", "set", key, value, "--stack", self.name, "--config-file", str(self.file))

    def unset(self, key: str) -> None:
        """Take a setting out of the stack file; raise Failed with Pulumi's words."""
        self.ask("config", "rm", key, "--stack", self.name, "--config-file", str(self.file))

    def known(self) -> state.Known:
        """Return what the state says of the stack, wherever the state is kept."""
        if is_local(self.environment, self.places):
            return state.read(self.places.backend, self.name)
        try:
            deployment = json.loads(self.ask("stack", "export", "--stack", self.name))["deployment"]
        except (Failed, ValueError, KeyError):
            return state.Known(exists=False)
        return state.known_from(deployment)

    def resources(self) -> list[dict[str, Any]]:
        """Return the resources in the state; an empty list where there is none."""
        try:
            deployment = json.loads(self.ask("stack", "export", "--stack", self.full_name))["deployment"]
        except (Failed, ValueError, KeyError):
            return []
        return list(deployment.get("resources") or [])

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs; secrets are masked. Empty where there are none."""
        try:
            return dict(json.loads(self.ask("stack", "output", "--json", "--stack", self.name)))
        except (Failed, ValueError):
            return {}


def environment_for(places: Places, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with the state and the passphrase; a person's own settings of these are respected."""
    own = dict(environment)
    own.setdefault("PULUMI_BACKEND_URL", backend_url(places))
    if not names_passphrase(environment):
        own["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(places.passphrase)
    return own


def names_passphrase(environment: Mapping[str, str]) -> bool:
    """Return whether the environment names a passphrase itself."""
    return "PULUMI_CONFIG_PASSPHRASE" in environment or bool(environment.get("PULUMI_CONFIG_PASSPHRASE_FILE"))


def backend_url(places: Places) -> str:
    """Return where Pulumi keeps its state: in this user's state folder, and without attributes beside each file.

    Those are not replaced in one step, as the files are: a run that is killed meanwhile leaves empty ones, and then
    Pulumi reads nothing any more (`failed to load checkpoint: EOF`).
    """
    return f"file://{places.backend}?metadata=skip"


def is_local(environment: Mapping[str, str], places: Places) -> bool:
    """Return whether the state is kept in this user's state folder."""
    given = environment.get("PULUMI_BACKEND_URL", backend_url(places))
    return given.partition("?")[0] == f"file://{places.backend}"


def get_open(name: str, places: Places, prepared: Prepared, terminal: Terminal) -> Stack:
    """Create what is missing of the stack's state and return it; raise Problem when the passphrase does not fit.

    Nothing in the clone is changed, and neither a passphrase nor a value that somebody set is ever replaced.
    """
    stack = existing(name, places, prepared)
    private_folder(places.state)
    said = []
    # Where the state is lost and the stack file is not, Pulumi has no stack to read that for, until there is one again.
    local = is_local(stack.environment, places)
    unmade = local and not stack.known().exists
    if not unmade:
        check_passphrase(stack)
    if local:
        private_folder(places.backend)
    if not names_passphrase(prepared.environment) and create_private(
        places.passphrase, f"{secrets.token_urlsafe(PASSPHRASE_BYTES)}\n".encode()
    ):
        said.append(f"passphrase made: {places.passphrase} (keep a copy of it: without it the state cannot be read)")
    before = stackfile_salt(stack.file)
    said += stackfile.take(places, name)
    if not unmade and stackfile_salt(stack.file) != before:
        check_passphrase(stack)
    if unmade or not (local or stack.known().exists):
        create(stack)
        said.append(f"stack {name} made; its state is in {stack.environment['PULUMI_BACKEND_URL']}")
    if unmade:
        check_passphrase(stack)
    if "releaseKey:" not in (read_text_or_none(stack.file) or ""):
        stack.ask(
            "config", "set", "--secret", "releaseKey", "--stack", name, "--config-file", str(stack.file),
            stdin=secrets.token_hex(RELEASE_KEY_BYTES),
        )  # fmt: skip
    for sentence in said:
        terminal.note(sentence)
    return stack


def existing(name: str, places: Places, prepared: Prepared) -> Stack:
    """Return the stack as it is, without creating anything."""
    environment = environment_for(places, prepared.environment)
    if is_local(environment, places):
        state.drop_broken_attributes(places.backend)
    return Stack(name, places, prepared.tools.cli, environment)


def create(stack: Stack) -> None:
    """Create the stack in its backend, from a folder apart: Pulumi writes into the stack file beside the project."""
    with project_folder() as folder:
        try:
            stack.ask("-C", str(folder), "stack", "init", stack.name, "--secrets-provider", "passphrase", "--no-select")
        except Failed as error:
            raise Problem(
                f"Pulumi could not make the stack {stack.name}:\n{error.words}",
                f"see that {stack.environment['PULUMI_BACKEND_URL']} can be written to",
            ) from error
        salt = stackfile_salt(folder / f"Pulumi.{stack.name}.yaml")
    text = read_text_or_none(stack.file) or ""
    if salt and stackfile_salt(stack.file) is None:
        write_atomically(stack.file, f"{text}encryptionsalt: {salt}\n".encode(), 0o600)


def check_passphrase(stack: Stack) -> None:
    """Raise Problem when the passphrase does not open the stack file's secrets; asked anew only when either changed."""
    salt = stackfile_salt(stack.file)
    if salt is None:
        return
    fingerprint = fingerprint_of(stack.environment, salt)
    mark = stack.places.state / "stacks" / f"{stack.name}.opened"
    if fingerprint is None or read_text_or_none(mark) == fingerprint:
        return
    key = "releaseKey" if "releaseKey:" in stack.file.read_text(encoding="utf-8") else None
    if key is None:
        return
    try:
        stack.ask("config", "get", key, "--stack", stack.name, "--config-file", str(stack.file))
    except Failed as error:
        if "passphrase" in error.words:
            raise wrong_passphrase(passphrase_source(stack.environment)) from error
        raise Problem(f"Pulumi could not read {stack.file}:\n{error.words}", "mend the file, or restore it") from error
    write_atomically(mark, fingerprint.encode(), 0o600)


def fingerprint_of(environment: Mapping[str, str], salt: str) -> str | None:
    """Return what tells one passphrase from another without telling it: slow to try, and salted as the state is."""
    passphrase = environment.get("PULUMI_CONFIG_PASSPHRASE")
    if passphrase is None:
        try:
            passphrase = Path(environment["PULUMI_CONFIG_PASSPHRASE_FILE"]).read_text(encoding="utf-8")
        except OSError:
            return None
    return hashlib.scrypt(passphrase.strip().encode(), salt=salt.encode(), n=2**14, r=8, p=1).hex()


def passphrase_source(environment: Mapping[str, str]) -> str:
    """Return where the passphrase was taken from, for a message."""
    if "PULUMI_CONFIG_PASSPHRASE" in environment:
        return "PULUMI_CONFIG_PASSPHRASE"
    return environment["PULUMI_CONFIG_PASSPHRASE_FILE"]


def stackfile_salt(path: Path) -> str | None:
    """Return the salt that a stack file's secrets were encrypted with, or None where it has none."""
    for line in (read_text_or_none(path) or "").splitlines():
        if line.startswith("encryptionsalt:"):
            return line.partition(":")[2].strip().strip("'\"") or None
    return None


@contextlib.contextmanager
def project_folder() -> Iterator[Path]:
    """Yield a folder with a project of this name and nothing else, for the commands that write beside it."""
    with tempfile.TemporaryDirectory(prefix="scaffold-project-") as folder:
        path = Path(folder)
        (path / "Pulumi.yaml").write_text(f"name: {NAME}\nruntime: python\n", encoding="utf-8")
        yield path
