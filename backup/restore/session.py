"""Runs a dump's statements and data on a server, one statement to a message, so that none can hide another."""

from __future__ import annotations

import re
import select
from collections.abc import Iterator, Sequence

import psycopg
from psycopg import pq

from backup.connection import Session
from restore import rules
from restore.lexer import AGAIN
from restore.refusal import RefusalError

WAIT_SECONDS = 1.0
# What is passing and may succeed at another try: lost connections, a server short of something or about to stop.
PASSING = ("08", "53", "57", "40")
# Errors of values quote them.
QUOTING = ("22", "23")
NOT_THERE = frozenset({"42P01", "42883", "42704", "3F000", "42703"})
AT_LINE = re.compile(r"COPY .{1,200}?, line (?P<line>\d+)")
MOST_STATEMENTS, MOST_BYTES = 500, 1 << 20


class Runner:
    """Runs statements on a session; rows inserted one by one are sent many at a time."""

    def __init__(self, session: Session) -> None:
        """Take the session."""
        self._pg = session.pgconn
        self._inserts: list[tuple[bytes, int]] = []
        self._bytes = 0

    def run(self, text: bytes, line: int, *, tolerant: bool = False) -> None:
        """Run a statement; raise RefusalError when that fails, unless it was to drop what is not there."""
        self.settle()
        self._pg.send_query_params(text, None)
        self._flush()
        for result in self._results():
            if result.status in (pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT, pq.ExecStatus.COPY_BOTH):
                raise RefusalError(f"line {line}: a statement asks for data in another way than COPY", AGAIN)
            if failed(result) and not (tolerant and state(result) in NOT_THERE):
                raise refusal(result, line)
        self._check()

    def insert(self, text: bytes, line: int) -> None:
        """Run a statement that only adds rows, together with those before and after it."""
        self._inserts.append((text, line))
        self._bytes += len(text)
        if len(self._inserts) >= MOST_STATEMENTS or self._bytes >= MOST_BYTES:
            self.settle()

    def settle(self) -> None:
        """Run what has been put off; raise RefusalError when that fails."""
        if not self._inserts:
            return
        waiting, self._inserts, self._bytes = self._inserts, [], 0
        if len(waiting) == 1:
            self.run(*waiting[0])
            return
        self._pg.enter_pipeline_mode()
        for text, _ in waiting:
            self._pg.send_query_params(text, None)
        self._pg.pipeline_sync()
        self._flush()
        for _, line in waiting:
            for result in self._results():
                if failed(result):
                    raise refusal(result, line)
        for _ in self._results(once=True):
            pass
        self._pg.exit_pipeline_mode()
        self._check()

    def copy(self, text: bytes, line: int, data: Iterator[bytes]) -> None:
        """Run COPY with its data; raise RefusalError when that fails."""
        self.settle()
        self._pg.send_query_params(text, None)
        self._flush()
        (result,) = self._results(once=True)
        if result.status != pq.ExecStatus.COPY_IN:
            raise refusal(result, line)
        for piece in data:
            self._pg.put_copy_data(piece)
            self._flush()
        self._pg.put_copy_end()
        self._flush()
        for result in self._results():
            if failed(result):
                raise refusal(result, line)
        self._check()

    def end(self) -> None:
        """Run what has been put off; raise RefusalError when a transaction is left open."""
        self.settle()
        if self._pg.transaction_status != pq.TransactionStatus.IDLE:
            raise RefusalError("it leaves a transaction open at its end", AGAIN)

    def _check(self) -> None:
        """Raise RefusalError when text would be read in another way from now on."""
        if self._pg.parameter_status(b"standard_conforming_strings") != b"on":
            raise RefusalError("it turns standard_conforming_strings off", rules.UTF8)
        rules.check_encoding((self._pg.parameter_status(b"client_encoding") or b"").decode("ascii", "replace"), "it")

    def _flush(self) -> None:
        """Send everything, taking what comes meanwhile."""
        while self._pg.flush():
            readable, _, _ = select.select([self._pg.socket], [self._pg.socket], [], WAIT_SECONDS)
            if readable:
                self._pg.consume_input()

    def _results(self, *, once: bool = False) -> Iterator[pq.abc.PGresult]:
        """Yield the results of one statement as they come, or only the first."""
        while True:
            while self._pg.is_busy():
                if select.select([self._pg.socket], [], [], WAIT_SECONDS)[0]:
                    self._pg.consume_input()
            result = self._pg.get_result()
            if result is None:
                return
            yield result
            if once or result.status in (pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT, pq.ExecStatus.COPY_BOTH):
                return


def failed(result: pq.abc.PGresult) -> bool:
    """Tell whether a statement failed."""
    return result.status in (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.PIPELINE_ABORTED)


def state(result: pq.abc.PGresult) -> str:
    """Return the SQLSTATE of a failed statement."""
    return (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode("ascii", "replace")


def refusal(result: pq.abc.PGresult, line: int) -> RefusalError:
    """Return why a statement failed."""
    fields = (pq.DiagnosticField.MESSAGE_PRIMARY, pq.DiagnosticField.CONTEXT)
    primary, context = ((result.error_field(field) or b"").decode("utf-8", "replace") for field in fields)
    return worded(primary or result.error_message.decode("utf-8", "replace"), state(result), context, f"line {line}")


def worded(primary: str, sqlstate: str, context: str, where: str) -> RefusalError:
    """Return why something failed on the server, without the values that it quotes."""
    if sqlstate.startswith(QUOTING):
        primary = re.sub(r":? \".*\"$", "", primary) if ': "' in primary else primary
    found = AT_LINE.search(context)
    place = f", line {found['line']} of its data" if found else ""
    transient = sqlstate.startswith(PASSING) or not sqlstate
    hint = "It is tried again" if transient else "Mend that in the database it is of and make it anew, or in the file"
    return RefusalError(f"{where}{place}: {' '.join(primary.split()).rstrip('.')}", hint, transient=transient)


def explained(error: psycopg.Error, where: str) -> RefusalError:
    """Return why something failed on the server, of what psycopg raised."""
    primary = error.diag.message_primary or str(error) or type(error).__name__
    return worded(primary, error.sqlstate or "", error.diag.context or "", where)


def names(session: Session, query: str) -> Sequence[str]:
    """Return the first column of a query."""
    return [str(row[0]) for row in session.execute(query.encode()).fetchall()]
