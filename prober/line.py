"""A connection, and one exchange after another on it; nothing is ever sent a second time."""

from __future__ import annotations

import asyncio
import contextlib
from enum import Enum

import h11

from prober.answer import Answer
from prober.fate import Fate
from prober.target import Target
from prober.work import Work

READ = 65536
CONNECT_SECONDS = 5.0


class Lost(Exception):  # noqa: N818 - it is what became of the request
    """A request whose answer did not come, or not to its end."""

    def __init__(self, fate: Fate, detail: str) -> None:
        super().__init__(f"{fate}: {detail}")
        self.fate = fate
        self.detail = detail


class Idle(Enum):
    """What has become of a connection while nobody used it."""

    OPEN = "open"
    CLOSED = "closed"
    BROKEN = "reset, or spoken on without being asked"


class Line:
    """A connection to a target, with its number, and how many requests it has carried."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.turn = 0
        self.reader = reader
        self.writer = writer
        self.protocol = h11.Connection(h11.CLIENT)

    @classmethod
    async def open(cls, number: int, target: Target) -> Line:
        """Connect; raise Lost."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(target.address, target.port)
        except (OSError, TimeoutError) as error:
            raise Lost(Fate.NOT_CONNECTED, repr(error)) from None
        return cls(number, reader, writer)

    async def idle(self) -> Idle:
        """Tell whether an unused connection can be used; what the kernel has heard by now counts."""
        # The first turn of the loop asks the kernel, the second lets the reader have what it said.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if self.reader.exception():
            return Idle.BROKEN
        if self.reader.at_eof():
            return Idle.CLOSED
        # The reader's buffer has no public face, and whoever reads from it waits.
        return Idle.BROKEN if self.reader._buffer else Idle.OPEN  # type: ignore[attr-defined]

    @property
    def reusable(self) -> bool:
        """Whether the last exchange left the connection for another."""
        return self.protocol.our_state is h11.IDLE and self.protocol.their_state is h11.IDLE

    def close(self) -> None:
        """Let the connection go, without waiting for the other side."""
        self.writer.transport.abort()

    async def ask(self, work: Work, number: int, target: Target) -> Answer:
        """Send a request and return its whole answer; raise Lost."""
        self.turn += 1
        pieces = work.pieces(number)
        headers = [("Host", target.host), ("Accept", "text/html, application/json;q=0.9"), ("User-Agent", "prober")]
        if pieces:
            headers += [("Content-Length", str(sum(map(len, pieces)))), ("Content-Type", "application/json")]
        if work.fresh:
            headers += [("Connection", "close")]
        head = self.protocol.send(h11.Request(method=work.method, target=work.path, headers=headers)) or b""
        if not work.seconds:
            await self.send(head, pieces, 0.0)
            return await self.receive()
        sending = asyncio.create_task(self.send(head, pieces, work.seconds))
        try:
            return await self.receive()
        finally:
            sending.cancel()
            await asyncio.wait([sending])

    async def send(self, head: bytes, pieces: list[bytes], seconds: float) -> None:
        """Send a head with the first piece, and the others over time; a broken pipe shows in what is read."""
        pause = seconds / max(1, len(pieces) - 1)
        with contextlib.suppress(OSError):
            for number, piece in enumerate(pieces):
                head += self.protocol.send(h11.Data(data=piece)) or b""
                if pause:
                    self.writer.write(head)
                    head = b""
                    await self.writer.drain()
                    if number + 1 < len(pieces):
                        await asyncio.sleep(pause)
            self.writer.write(head + (self.protocol.send(h11.EndOfMessage()) or b""))

    async def receive(self) -> Answer:
        """Return the answer once it has ended; raise Lost."""
        answer, began, ended = Answer(), False, False
        while True:
            try:
                event = self.protocol.next_event()
            except h11.RemoteProtocolError as error:
                fate = (Fate.CUT if began else Fate.CLOSED) if ended else Fate.GARBLED
                raise Lost(fate, str(error)) from None
            if event is h11.NEED_DATA:
                data = await self.read(began=began)
                began, ended = began or bool(data), not data
                self.protocol.receive_data(data)
            elif isinstance(event, h11.Response):
                answer.status = event.status_code
                answer.headers = {name.decode(): value.decode(errors="replace") for name, value in event.headers}
            elif isinstance(event, h11.Data):
                answer.add(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                return answer

    async def read(self, *, began: bool) -> bytes:
        """Return what comes next, nothing at the end; raise Lost."""
        try:
            return await self.reader.read(READ)
        except OSError as error:
            raise Lost(Fate.CUT if began else Fate.RESET, repr(error)) from None

    def next_cycle(self) -> None:
        """Make ready for the next request, where both sides are done and neither wants to close."""
        if self.protocol.our_state is h11.DONE and self.protocol.their_state is h11.DONE:
            self.protocol.start_next_cycle()
