"""What was asked for, and where: the verb's options, the places, and the lock on a stack."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from setup import preflight, virtualenv
from setup.facts import requirements_for
from setup.files import private_folder, read_text_or_none
from setup.locks import Held, lock
from setup.places import Places, places_from
from setup.prepare import Prepared, Wish, look, prepare, provide_packages
from setup.problem import Problem
from setup.terminal import Silent, Terminal

REPOSITORY = Path(__file__).resolve().parent.parent
BASE_IMAGE = "debian:trixie-slim"
YES = frozenset({"1", "true", "yes", "y"})


@dataclass(frozen=True)
class Request:
    """One verb for one stack: the words after it, this user's places and environment, and the terminal."""

    verb: str
    stack: str
    arguments: Sequence[str]
    places: Places
    environment: Mapping[str, str]
    terminal: Terminal = field(default_factory=Terminal)

    def says_yes(self, name: str) -> bool:
        """Return whether the variable of that name, given to make or set in the shell, says yes."""
        return self.environment.get(name, "").lower() in YES

    def setting(self, key: str) -> str | None:
        """Return a plain setting of the stack, before there is anything to read YAML with."""
        return preflight.setting(key, *self.stack_texts())

    @property
    def platform(self) -> str:
        """The platform that the stack runs on; a name of no platform is left to the program to refuse."""
        return self.setting("platform") or "docker"

    def stack_texts(self) -> list[str | None]:
        """Return the stack file in use and, for a stack that has none yet, the tracked one."""
        return [
            read_text_or_none(self.places.stack_file(self.stack)),
            read_text_or_none(self.places.tracked_file(self.stack)),
        ]

    def wish(self) -> Wish:
        """Return what the stack needs of this machine."""
        return Wish(requirements_for(self.platform, self.places), self.setting("baseImage") or BASE_IMAGE)

    def docker_environment(self) -> dict[str, str]:
        """Return the environment with the Docker daemon that the stack names, where it names one."""
        host = self.setting("dockerHost")
        return {**self.environment, "DOCKER_HOST": host} if host else dict(self.environment)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the stack while the block runs; raise Problem, naming the holder, when another run has it."""
        path = private_folder(self.places.state) / "locks" / f"{self.stack}.lock"
        try:
            with lock(path, f"make {self.verb} STACK={self.stack}"):
                yield
        except Held as error:
            raise preflight.held_problem(self.stack, error.holder) from None


def request_from(verb: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Request:
    """Return the request for a verb: `STACK` names the stack, else it is `dev`; raise Problem for what is no name."""
    places = places_from(environment, REPOSITORY)
    stack = environment.get("STACK") or "dev"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", stack, re.ASCII):
        raise Problem(
            f"STACK is {stack!r}; a stack's name is of letters, digits, dots, dashes and underscores.",
            f"make {verb} STACK=dev, or another name",
        )
    return Request(verb, stack, arguments, places, environment)


def packages(request: Request) -> None:
    """Have the stack's packages importable in this process, and install them where they are missing."""
    provide_packages(request.places, request.environment, request.wish().requirements, request.terminal)
    virtualenv.enter(request.places)


def prepared(request: Request) -> Prepared:
    """Make the machine ready for a verb that starts no containers; raise the first Problem in its way."""
    environment = request.docker_environment()
    seen = look(request.places, environment, request.wish())
    if seen[1].problems:
        raise seen[1].problems[0]
    terminal = Silent() if seen[1].ready else request.terminal
    return prepare(request.places, environment, request.wish(), terminal, seen)
