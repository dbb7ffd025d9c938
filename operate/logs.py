"""`make logs`: what the stack's containers say, each line with the container it comes from."""

from __future__ import annotations

import http.client
import queue
import threading
from collections.abc import Iterator
from typing import IO

from operate.containers import Container, none_found, of_stack, reachable
from operate.request import Request
from setup.daemon import Daemon
from setup.problem import Problem

LINES = 50
HEADER = 8


def run(request: Request) -> int:
    """Print the last lines (`LINES=50`) of every container or of one `SERVICE`; `FOLLOW=yes` goes on until Ctrl-C."""
    client = reachable(request)
    service = request.environment.get("SERVICE", "")
    lines = request.environment.get("LINES", "") or str(LINES)
    if not lines.isdigit():
        raise Problem(f"LINES is {lines!r}; a number is wanted.", "make logs LINES=100")
    everything = of_stack(client, request.stack)
    if not everything:
        raise none_found(request.stack)
    found = [container for container in everything if service in ("", container.service, container.name)]
    if not found:
        names = sorted({container.service for container in everything})
        raise Problem(f"The stack {request.stack} has no service {service!r}.", f"one of: {', '.join(names)}")
    said: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    follow = request.says_yes("FOLLOW")
    threads = [
        threading.Thread(target=_read, args=(client, container, lines, follow, said), daemon=True)
        for container in found
    ]
    for thread in threads:
        thread.start()
    open_ones = len(threads)
    while open_ones:
        line = said.get()
        if line is None:
            open_ones -= 1
        else:
            request.terminal.say(line)
    return 0


def prefix(container: Container) -> str:
    """Return what stands before a container's lines: what it is for, else its name."""
    return container.service or container.name


def frames(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the payloads of Docker's log stream, in which eight bytes before each tell its length."""
    while True:
        header = stream.read(HEADER)
        if len(header) < HEADER:
            return
        yield stream.read(int.from_bytes(header[4:], "big"))


def lines_of(chunks: Iterator[bytes]) -> Iterator[str]:
    """Yield whole lines from chunks that may end anywhere."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
    if rest:
        yield rest.decode(errors="replace")


def _read(client: Daemon, container: Container, lines: str, follow: bool, said: queue.SimpleQueue[str | None]) -> None:
    path = f"/containers/{container.identifier}/logs"
    query = {"stdout": "1", "stderr": "1", "tail": lines, "follow": "1" if follow else "0"}
    try:
        with client.reading(path, None if follow else 60, query) as answer:
            for line in lines_of(frames(answer)):
                said.put(f"{prefix(container)} | {line}")
    except (OSError, http.client.HTTPException) as error:
        said.put(f"{prefix(container)} | (cannot be read: {error})")
    finally:
        said.put(None)
