"""What the stack's containers say, each line with the service it comes from."""

from __future__ import annotations

import http.client
import queue
import threading
from collections.abc import Iterator
from typing import IO

from operate.docker.containers import Container, none_found, of_stack, reachable
from operate.lines import no_such_service, wanted_by
from operate.request import Request
from setup.daemon import Daemon

HEADER = 8


def run(request: Request) -> int:
    """Print the last lines of every container or of one service; following goes on until Ctrl-C."""
    client, wanted = reachable(request), wanted_by(request)
    everything = of_stack(client, request.stack)
    if not everything:
        raise none_found(request.stack)
    found = [container for container in everything if wanted.service in ("", container.service, container.name)]
    if not found:
        raise no_such_service(request.stack, wanted.service, {container.service for container in everything})
    said: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threads = [
        threading.Thread(target=_read, args=(client, container, wanted.lines, wanted.follow, said), daemon=True)
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


def _read(client: Daemon, container: Container, lines: int, follow: bool, said: queue.SimpleQueue[str | None]) -> None:
    path = f"/containers/{container.identifier}/logs"
    query = {"stdout": "1", "stderr": "1", "tail": str(lines), "follow": "1" if follow else "0"}
    try:
        with client.reading(path, None if follow else 60, query) as answer:
            for line in lines_of(frames(answer)):
                said.put(f"{prefix(container)} | {line}")
    except (OSError, http.client.HTTPException) as error:
        said.put(f"{prefix(container)} | (cannot be read: {error})")
    finally:
        said.put(None)
