"""pgBackRest as a program: started with a limit on its time, stopped with whoever started it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from server import archiving

SHORT_SECONDS = 120.0
LONG_SECONDS = 7 * 86_400.0
"""A backup or a restore of a large database takes its time; one that hangs is stopped in the end."""
TELL_SECONDS = 60.0
STOP_SECONDS = 5.0
OF_RETRIES = re.compile(r"\s*\[\w+Error\] on \d+ retr.*")
ANSWER = "*** Path/Query ***"
OF_ANSWER = re.compile(r"<(Code|Message)>(.*?)</\1>", re.DOTALL)
OF_CIPHER = re.compile(
    r"(key/value found outside of section|unable to flush|cipher header invalid|bad decrypt).*", re.DOTALL
)
FOREIGN = "what is there was encrypted with another passphrase than this stack's, or is damaged"
CANNOT_LOOK = 99
PUSHING = b"archive-push:async"
LOCKED = 50
LOCKED_SECONDS = 30.0


class ToolError(Exception):
    """pgBackRest ended with an error; its text is what it said."""


class LockedError(ToolError):
    """Another of its processes is at work; that one ends soon when it archives."""


def run(
    *words: str, seconds: float = SHORT_SECONDS, still: Callable[[int], None] = lambda _: None
) -> tuple[str, list[str]]:
    """Run a command and return what it printed, and its warnings; `still` is told now and then how long it takes.

    Raise ToolError with its words when it fails or time is up; whatever ends this process ends it too.
    """
    deadline = time.monotonic() + LOCKED_SECONDS
    while True:
        try:
            return once(words, seconds, still)
        except LockedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def once(words: Sequence[str], seconds: float, still: Callable[[int], None]) -> tuple[str, list[str]]:
    """Run a command that may meet another one; raise LockedError when it does, and ToolError as `run` does."""
    began = time.monotonic()
    process = subprocess.Popen(
        command_of(words, seconds), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, encoding="utf-8", errors="replace", env=archiving.keep_out(os.environ),
    )  # fmt: skip
    try:
        while True:
            try:
                output, said = process.communicate(timeout=min(TELL_SECONDS, seconds))
                break
            except subprocess.TimeoutExpired:
                passed = time.monotonic() - began
                if passed >= seconds:
                    raise ToolError(f"{words[0]}: not done after {seconds:.0f} s") from None
                still(int(passed))
    finally:
        stop(process)
    if process.returncode != 0:
        kind = LockedError if process.returncode == LOCKED else ToolError
        raise kind(f"{words[0]}: {explained(said) or f'ended with status {process.returncode} without a word'}")
    return output, warnings(said)


def command_of(words: Sequence[str], seconds: float) -> list[str]:
    """Return a command line; what has little time gives up a bucket that does not answer within it."""
    return archiving.command(*words, *([archiving.IN_A_HURRY] if seconds <= SHORT_SECONDS else []))


def stop(process: subprocess.Popen[str]) -> None:
    """End a process that still runs, politely at first."""
    if process.poll() is not None:
        return
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    process.kill()
    process.wait()


def end_pushes() -> None:
    """End what pushes segments beside the server; the next one that is handed over begins another."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if PUSHING in path.read_bytes().split(b"\0"):
                os.kill(int(path.parent.name), signal.SIGTERM)


def explained(said: str) -> str:
    """Return the first error in what pgBackRest said, with its hints, as one line.

    Of a bucket's answer no more is left than its code and its words: the rest holds the key's name.
    """
    _, mark, rest = said.partition("ERROR: ")
    lines = [text.strip() for text in (rest if mark else said).splitlines() if text.strip()]
    whole = OF_RETRIES.sub("", " ".join(text.removeprefix("HINT: ") for text in lines))
    text, mark, answer = OF_CIPHER.sub(FOREIGN, whole).partition(ANSWER)
    return ": ".join([text.rstrip(" :"), *(words for _, words in OF_ANSWER.findall(answer))]) if mark else text


def warnings(said: str) -> list[str]:
    """Return the warnings in what it said."""
    return [text.partition("WARN: ")[2].strip() for text in said.splitlines() if "WARN: " in text]


def info(below: str = "") -> dict[str, Any]:
    """Return what it knows of the repository, or of the one below another prefix; empty where there is nothing.

    Raise ToolError where it cannot look.
    """
    told, _ = run("info", "--output=json", *([f"--repo1-path=/{below}"] if below else []))
    # What it could not decrypt stands in its message as it is, whatever characters those are.
    found = [each for each in json.loads(told, strict=False) if each.get("name") == archiving.STANZA]
    if not found:
        return {}
    # It ends well all the same, and with a repository as if nothing were in it.
    if found[0]["status"]["code"] == CANNOT_LOOK:
        raise ToolError(f"info: {explained(' '.join(each['status']['message'] for each in found[0]['repo']))}")
    return dict(found[0])
