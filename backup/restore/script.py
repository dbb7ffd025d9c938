"""A plain SQL dump: its statements and data with what becomes of each, and what it tells of itself on the way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from restore import rules
from restore.lexer import CUT, STATEMENT_BYTES, WHOLE_DATABASE, Lexer, Statement
from restore.refusal import RefusalError
from restore.rules import Verdict

COMPLETE = b"-- PostgreSQL database dump complete"
CLUSTER = b"-- PostgreSQL database cluster dump"
SERVER = re.compile(rb"-- Dumped from database version (?P<version>[^\s]{1,40})")
TOOL = re.compile(rb"-- Dumped by pg_dump version (?P<version>[^\s]{1,40})")
OWNER = re.compile(rb"-- (?:Data for )?Name: .*; Owner: (?P<name>.+)")
NOBODY = frozenset({"", "-"})

HEADS = "alembic_version"
HEAD_BYTES = 4096
HEAD = re.compile(rb"[0-9A-Za-z_.-]{1,64}")
HEAD_VALUE = re.compile(rb"'(?P<head>[0-9A-Za-z_.-]{1,64})'")
NAMES = 10_000


@dataclass
class About:
    """What a dump tells of itself."""

    server_version: str = ""
    dump_version: str = ""
    extensions: dict[str, str] = field(default_factory=dict)
    owners: set[str] = field(default_factory=set)
    heads: list[str] = field(default_factory=list)
    statements: int = 0
    tables: int = 0
    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    complete: bool = False


class Step(NamedTuple):
    """One statement with what becomes of it, and of COPY the data, which have to be taken before the next."""

    statement: Statement
    verdict: Verdict
    data: Iterator[bytes]


class Script:
    """Reads a dump once."""

    def __init__(
        self,
        read: Callable[[], bytes],
        *,
        schemas: frozenset[str] = frozenset({"public"}),
        limit: int = STATEMENT_BYTES,
    ) -> None:
        """Take what gives the next piece, and the schemas that are there already."""
        self.about = About()
        self._schemas = schemas
        self._lexer = Lexer(read, limit=limit, note=self._heed)

    def steps(self) -> Iterator[Step]:
        """Yield every statement; raise RefusalError for a dump that is not whole, or has what no dump has in it."""
        while (statement := self._lexer.statement()) is not None:
            self.about.complete = False
            self.about.statements += 1
            verdict = rules.judge(statement, self._schemas)
            self._tell(statement, verdict)
            data = self._data(verdict) if verdict.action == rules.COPY else iter(())
            yield Step(statement, verdict, data)
            for _ in data:
                pass
        if not self.about.complete:
            raise RefusalError('the file has no "PostgreSQL database dump complete" at its end', CUT)

    def _data(self, verdict: Verdict) -> Iterator[bytes]:
        """Yield the data of COPY, counting the rows."""
        heads = verdict.name.rpartition(".")[2] == HEADS
        kept = b""
        for piece in self._lexer.data():
            self.about.rows += piece.count(b"\n")
            if heads and len(kept) < HEAD_BYTES:
                kept += piece[:HEAD_BYTES]
            yield piece
        self.about.heads += [word.decode() for word in kept.split(b"\n") if HEAD.fullmatch(word)]

    def _heed(self, note: bytes) -> None:
        """Take what a comment between statements tells."""
        if note == COMPLETE:
            self.about.complete = True
        elif note == CLUSTER:
            raise RefusalError("the file is pg_dumpall's, of all databases", WHOLE_DATABASE)
        elif found := SERVER.match(note):
            self.about.server_version = found["version"].decode("ascii", "replace")
        elif found := TOOL.match(note):
            self.about.dump_version = found["version"].decode("ascii", "replace")
        elif found := OWNER.fullmatch(note):
            self._own(found["name"].decode("utf-8", "replace"))

    def _own(self, name: str) -> None:
        """Note an owner."""
        if name not in NOBODY and len(self.about.owners) < NAMES:
            self.about.owners.add(name)

    def _tell(self, statement: Statement, verdict: Verdict) -> None:
        """Take what a statement tells."""
        tokens = statement.tokens
        if verdict.action == rules.LEAVE:
            self.about.left_out[verdict.kind] += 1
            if verdict.kind == "owner":
                self._own(verdict.name)
            if verdict.kind == "extension" and verdict.name and len(self.about.extensions) < NAMES:
                at = tokens.index(b"schema") + 1 if b"schema" in tokens else len(tokens)
                self.about.extensions[verdict.name] = rules.identifier(tokens, at)
        elif tokens[:1] == (b"create",) and b"table" in tokens[1:4]:
            self.about.tables += 1
        elif tokens[:2] == (b"insert", b"into"):
            self.about.rows += 1
            if HEADS in (rules.identifier(tokens, 2), rules.identifier(tokens, 4)):
                self.about.heads += [item["head"].decode() for item in HEAD_VALUE.finditer(statement.text)]
