"""Bundles: what a release is made of, kept in the stack's outputs so that a release can be had again as it was."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pulumi

from infra.model import File, Image, Limits, Workload
from infra.steps import Step

FORMAT = 1
UNTOLD = frozenset({"RELEASE"})
"""What a workload is told about itself; it is told anew each time."""


@dataclass(frozen=True)
class Bundle:
    """The app as it serves and as it migrates, how long it may take to stop, and the schema steps that it knows."""

    serve: Workload
    migrate: Workload
    stop_seconds: int
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Kept:
    """A bundle as it lies in the stack's outputs: as text, secrets in the clear, so that it is a secret itself."""

    release: str
    made_at: str
    revision: str
    digest: str
    document: Mapping[str, Any] = field(repr=False)
    formerly: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The ids under which the bundle has run: with another version of this program, or another password, it is
        another release, but still the same bundle."""
        return (self.release, *self.formerly)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The schema steps that the bundle knows, oldest first."""
        return tuple(Step(**step) for step in self.document["steps"])


class UnreadableError(ValueError):
    """A bundle that another version of this program wrote, or nobody did."""


def document(bundle: Bundle) -> pulumi.Output[dict[str, Any]]:
    """Return a bundle as plain data, once the contents of its files are there."""
    files = [*bundle.serve.files, *bundle.migrate.files]

    def plain(contents: list[str]) -> dict[str, Any]:
        of_serve = contents[: len(bundle.serve.files)]
        return {
            "serve": _workload(bundle.serve, of_serve),
            "migrate": _workload(bundle.migrate, contents[len(of_serve) :]),
            "stop_seconds": bundle.stop_seconds,
            "steps": [vars(step) for step in bundle.steps],
        }

    return pulumi.Output.all(*(file.content for file in files)).apply(plain)


def _workload(workload: Workload, contents: Iterable[str]) -> dict[str, Any]:
    return {
        "image": {"name": workload.image.name, "tag": workload.image.tag, "arguments": dict(workload.image.arguments)},
        "user": workload.user,
        "limits": vars(workload.limits),
        "env": {name: value for name, value in workload.env.items() if name not in UNTOLD},
        "command": list(workload.command),
        "files": [
            {"name": file.name, "secret": file.secret, "fingerprint": file.fingerprint, "content": content}
            for file, content in zip(workload.files, contents, strict=True)
        ],
    }


def restored(kept: Kept, today: Bundle, credentials: Sequence[str]) -> Bundle:
    """Return a kept bundle as something to run; raise UnreadableError.

    What it reaches, and the files of these names, with which it gets in, are today's: a former password may be dead.
    """
    try:
        found = kept.document
        return Bundle(
            serve=_restored(found["serve"], kept.digest, today.serve, credentials),
            migrate=_restored(found["migrate"], kept.digest, today.migrate, credentials),
            stop_seconds=int(found["stop_seconds"]),
            steps=kept.steps,
        )
    except (KeyError, TypeError) as error:
        raise UnreadableError(f"the bundle of release {kept.release} cannot be read: {error!r}") from error


def _restored(found: Mapping[str, Any], digest: str, today: Workload, credentials: Sequence[str]) -> Workload:
    current = {file.name: file for file in today.files if file.name in credentials}
    files = [
        current.get(each["name"])
        or File(
            each["name"],
            pulumi.Output.secret(each["content"]) if each["secret"] else each["content"],
            each["fingerprint"],
            secret=each["secret"],
        )
        for each in found["files"]
    ]
    return replace(
        today,
        image=Image(**found["image"], digest=digest),
        user=found["user"],
        limits=Limits(**found["limits"]),
        env=found["env"],
        command=tuple(found["command"]),
        files=tuple(files),
    )


def read(text: str) -> tuple[Kept, ...]:
    """Return the bundles in the text of an output, newest first; none where there is no text. Raise UnreadableError."""
    if not text:
        return ()
    try:
        found = json.loads(text)
        if found["format"] != FORMAT:
            raise UnreadableError(f"the kept bundles are of format {found['format']}, wanted {FORMAT}")
        return tuple(Kept(**{**each, "formerly": tuple(each["formerly"])}) for each in found["bundles"])
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise UnreadableError(f"the kept bundles cannot be read: {error!r}") from error


def written(bundles: Sequence[Kept]) -> str:
    """Return bundles as the text of an output."""
    return json.dumps({"format": FORMAT, "bundles": [vars(each) for each in bundles]}, sort_keys=True)


def with_newest(history: Sequence[Kept], newest: Kept, most: int, pinned: str = "") -> tuple[Kept, ...]:
    """Return the bundles to keep, newest first: at most so many, and in any case the one that serves.

    One that is there already keeps its place, or going back twice would lead forward again.
    """
    same = next((each for each in history if {newest.release, pinned} & set(each.names)), None)
    if same:
        former = tuple(name for name in same.names if name != newest.release)
        newest = replace(newest, made_at=same.made_at, revision=same.revision, formerly=former)
        every = [newest if each is same else each for each in history]
    else:
        every = [newest, *history]
    kept = every[:most]
    return tuple(kept if newest in kept else [*kept[: most - 1], newest])
