"""A command in one of a service's containers, with this process's own input and output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from operate import conversation
from operate.docker.containers import Container, none_found, of_stack, reachable
from operate.request import Request
from setup.daemon import Daemon, DaemonError
from setup.problem import Problem

HEADER = 8
GONE = (404, 409)


class Frames:
    """Docker's way to carry two streams back: eight bytes before each piece tell its stream and its length."""

    over = False
    answer = b""

    def __init__(self) -> None:
        self.rest = b""

    def given(self, data: bytes) -> bytes:
        """Return input as it is."""
        return data

    def given_all(self) -> bytes | None:
        """Return None: the end of the input is the end of this way of the connection."""
        return None

    def taken(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Return the pieces that are complete."""
        self.rest += data
        while len(self.rest) >= HEADER:
            end = HEADER + int.from_bytes(self.rest[4:HEADER], "big")
            if len(self.rest) < end:
                return
            piece, self.rest = self.rest[:end], self.rest[end:]
            yield piece[0], piece[HEADER:]


def run(request: Request, command: Sequence[str], service: str) -> int:
    """Run it and return its exit code; raise Problem where the service does not run, hangs, or ends meanwhile."""
    client = reachable(request)
    container = choose(of_stack(client, request.stack), request.stack, service)
    told = {"AttachStdin": True, "AttachStdout": True, "AttachStderr": True, "Cmd": list(command)}
    identifier = client.post(f"/containers/{container.identifier}/exec", told)["Id"]
    with (
        conversation.with_command_in(container.name, request.stack, service),
        client.talking(f"/exec/{identifier}/start", {"Detach": False, "Tty": False}) as connection,
    ):
        conversation.carry(connection, Frames())
    code = ended(client, identifier)
    if code is None:
        raise conversation.Lost(
            f"{container.name} ended while the command ran in it.",
            f"a part of it may be done; why it ended: make logs STACK={request.stack} SERVICE={service}",
        )
    return code


def ended(client: Daemon, identifier: str) -> int | None:
    """Return a command's exit code; None where its container has ended, and with it all that is known of commands."""
    try:
        code = client.get(f"/exec/{identifier}/json")["ExitCode"]
    except DaemonError as error:
        if error.status in GONE:
            return None
        raise
    return None if code is None else int(code)


def choose(found: Sequence[Container], stack: str, service: str) -> Container:
    """Return a container of a service's that runs, a healthy one before others; raise Problem where none does."""
    if not found:
        raise none_found(stack)
    running = [
        each for each in found if each.service == service and each.running and not each.status.startswith("Restarting")
    ]
    if not running:
        raise Problem(
            f"No {service} of the stack {stack} runs in which a command could.",
            f"make status STACK={stack} says how it is; make up STACK={stack} starts it",
        )
    # While an update runs there are two releases; either does, as long as it is well.
    return min(running, key=lambda each: ("(healthy)" not in each.status, "(Paused)" in each.status))
