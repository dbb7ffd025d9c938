"""Splits a plain SQL dump into statements and COPY data while it is read, as psql would, and runs nothing.

What has to be kept of a dump is one statement, and of COPY data nothing but the piece at hand. Every byte is looked at
once, however the pieces fall.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from restore.refusal import RefusalError

STATEMENT_BYTES = 256 << 20
WORD_BYTES = 1 << 20
COMMAND_BYTES = 4096
NOTE_BYTES = 4096
# Tokens are kept of each statement to tell what it is: of most its first, of these enough for their clauses.
CLAUSES = frozenset({b"create", b"alter", b"copy", b"set", b"comment"})
FEW, MANY = 8, 4096
KEPT_BYTES = 256

TOKEN = re.compile(
    rb"(?P<space>[ \t\n\r\f\v]+)"
    rb"|(?P<line>--)"
    rb"|(?P<block>/\*)"
    rb"|(?P<escaped>[eE]')"
    rb"|(?P<word>[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*)"
    rb"|(?P<string>')"
    rb'|(?P<name>")'
    rb"|(?P<dollar>\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$)"
    rb"|(?P<torn>\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\Z)"
    rb"|(?P<end>;)"
    rb"|(?P<open>\()"
    rb"|(?P<close>\))"
    rb"|(?P<command>\\)"
    rb"|(?P<dash>[-/])"
    rb"|(?P<other>[^ \t\n\r\f\vA-Za-z_\x80-\xff'\"$;()\\/-]+|\$)"
)
# What nothing hangs on once a statement's first tokens are known, so that rows of values are passed over at once:
# words, strings, numbers and signs, each of them whole, and such in brackets.
PLAIN = (
    rb"[^A-Za-z_\x80-\xff'\"$;()\\/-]++"
    rb"|(?![eE]')[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*+(?=[^A-Za-z0-9_$\x80-\xff])"
    rb"|'[^']*+'"
    rb"|-(?=[^-])|/(?=[^*])"
)
ROW = re.compile(rb"(?:" + PLAIN + rb"|\((?:" + PLAIN + rb")*+\))*+")
BETWEEN = re.compile(rb"[ \t\n\r\f\v;]+")
# What may turn out to be something else once more has been read.
OPEN_ENDED = frozenset({"word", "torn", "dash"})

QUOTE, DOUBLE_QUOTE = ord("'"), ord('"')
IN_ESCAPED = re.compile(rb"(?:[^'\\]|\\.)*+", re.DOTALL)
IN_BLOCK = re.compile(rb"/\*|\*/")
LINE_END = re.compile(rb"[\n\r]")
BLANK = re.compile(rb"[ \t]*\r?")
RESTRICT = re.compile(rb"\\(?:un)?restrict [A-Za-z0-9]+[ \t]*\r?")
COMMAND = re.compile(rb"\\(?P<name>[A-Za-z]+|.)?")
TERMINATOR = re.compile(rb"\\\.\r?\n")
LAST_TERMINATORS = (b"\\.", b"\\.\r")
TERMINATOR_BYTES = len(b"\\.\r\n")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")

AGAIN = "Make the file anew with pg_dump --file=NAME, and put it here as it is"
CUT = "It was cut short: make it anew, or copy it here again"


class Statement(NamedTuple):
    """One statement without its semicolon: its text, the line it begins in, and its first tokens.

    A word is in small letters, a quoted name begins with a double quote, and a string with a single one.
    """

    text: bytes
    line: int
    tokens: tuple[bytes, ...]


class Lexer:
    """Reads a dump; its caller takes a statement and then, when that is COPY from standard input, the data."""

    def __init__(
        self,
        read: Callable[[], bytes],
        *,
        limit: int = STATEMENT_BYTES,
        note: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        """Take what gives the next piece (nothing at the end), and who is told of comments between statements."""
        self.line = 1
        self._read = read
        self._limit = limit
        self._note = note
        self._buffer = bytearray()
        self._start = 0  # of what is kept
        self._at = 0  # of what is looked at next
        self._fresh = True
        self._ended = False
        self._begin()

    def _begin(self) -> None:
        """Forget the statement before."""
        self._begun = False
        self._depth = 0
        self._inside = 0
        self._routine = False
        self._previous = b""
        self._after_escaped = False
        self._tokens: list[bytes] = []
        self._most = FEW

    def statement(self) -> Statement | None:
        """Return the next statement, or None at the end; raise RefusalError for what no dump has in it."""
        self._begin()
        while True:
            if not self._begun and (found := BETWEEN.match(self._buffer, self._at)):
                self._drop(found.end())
            if len(self._tokens) == self._most and not self._routine and not self._after_escaped:
                self._pass_over()
            found = TOKEN.match(self._buffer, self._at)
            if found is None:
                if self._more():
                    continue
                if self._begun:
                    raise RefusalError(f"the file ends inside the statement that begins in line {self.line}", CUT)
                return None
            kind, end = found.lastgroup or "", found.end()
            if end == len(self._buffer) and kind in OPEN_ENDED:
                if end - self._at > WORD_BYTES:
                    raise RefusalError(f"line {self.line}: a word has more than {WORD_BYTES} bytes", AGAIN)
                if self._more():
                    continue
            if kind == "space":
                self._at = end
            elif kind == "line":
                self._line_comment(end)
            elif kind == "block":
                self._block_comment(end)
            elif kind == "command":
                self._command()
            elif kind != "end" or self._depth or self._inside:
                self._token(found, kind, end)
            else:
                return self._take(end)
            if not self._begun:
                self._drop(self._at)

    def data(self) -> Iterator[bytes]:
        """Yield the data that follows a COPY statement, in pieces that end anywhere; nothing of it is looked into."""
        began = self.line
        self._rest_of_line()
        while len(self._buffer) - self._at < TERMINATOR_BYTES and self._more():
            pass
        while True:
            # What is looked at here is the beginning of a line.
            found = TERMINATOR.match(self._buffer, self._at)
            if found:
                self._drop(found.end())
                return
            if self._ended and self._buffer[self._at :] in LAST_TERMINATORS:
                self._drop(len(self._buffer))
                return
            while (line := self._buffer.find(b"\n\\.", self._at)) < 0:
                # The last bytes may be the first of that.
                yield self._piece(max(self._at, len(self._buffer) - 2))
                if not self._more():
                    raise RefusalError(f"the file ends inside the data of COPY, which begin in line {began + 1}", CUT)
            yield self._piece(line + 1)
            while len(self._buffer) - self._at < TERMINATOR_BYTES and self._more():
                pass

    def _pass_over(self) -> None:
        """Pass over what nothing hangs on."""
        found = ROW.match(self._buffer, self._at)
        if found:
            self._at = found.end()

    def _token(self, found: re.Match[bytes], kind: str, end: int) -> None:
        """Take one token of a statement."""
        self._begun = True
        after_escaped, self._after_escaped = self._after_escaped, False
        if kind == "escaped" or (kind == "string" and after_escaped):
            # A string right after an escaped one, or in a line after it, is its continuation.
            self._string(end, escaped=True)
        elif kind == "string":
            self._string(end, escaped=False)
        elif kind == "name":
            self._name(end)
        elif kind == "dollar":
            self._dollar(found.group(), end)
        else:
            self._at = end
            self._depth += (kind == "open") - (kind == "close" and self._depth > 0)
            if kind == "word" and (self._routine or len(self._tokens) < self._most):
                self._word(found.group().lower())
            else:
                self._keep(found.group())

    def _word(self, word: bytes) -> None:
        """Take a word, and heed those that begin and end a function's body in standard SQL."""
        if not self._tokens and word in CLAUSES:
            self._most = MANY
        self._keep(word)
        if len(self._tokens) <= len(ROUTINES[-1]):
            self._routine = self._routine or tuple(self._tokens) in ROUTINES
        if self._routine and not self._depth:
            if word == b"atomic" and self._previous == b"begin":
                self._inside += 1
            elif self._inside:
                self._inside += {b"case": 1, b"end": -1}.get(word, 0)
        self._previous = word

    def _keep(self, token: bytes) -> None:
        """Keep a token of the statement, as far as they are kept."""
        if len(self._tokens) < self._most:
            self._tokens.append(token[:KEPT_BYTES])

    def _string(self, at: int, *, escaped: bool) -> None:
        """Take a string; two quotes in it are its end and the beginning of another, which comes to the same here."""
        begin = at - self._start
        self._at = at
        while True:
            if escaped:
                found = IN_ESCAPED.match(self._buffer, self._at)
                self._at = found.end() if found else self._at
                if self._at < len(self._buffer) and self._buffer[self._at] == QUOTE:
                    break
            else:
                end = self._buffer.find(b"'", self._at)
                self._at = end if end >= 0 else len(self._buffer)
                if end >= 0:
                    break
            self._need("a string")
        begin += self._start
        self._keep(b"'" + bytes(self._buffer[begin : min(self._at, begin + KEPT_BYTES)]))
        self._at += 1
        self._after_escaped = escaped

    def _name(self, at: int) -> None:
        """Take a quoted name."""
        begin = at - self._start
        self._at = at
        while True:
            end = self._buffer.find(b'"', self._at)
            if end < 0:
                self._at = len(self._buffer)
                self._need("a quoted name")
            elif end + 1 == len(self._buffer) and self._more():
                continue
            elif self._buffer[end + 1 : end + 2] == b'"':
                self._at = end + 2
            else:
                break
        self._at = end + 1
        begin += self._start
        self._keep(b'"' + bytes(self._buffer[begin : min(end, begin + KEPT_BYTES)]).replace(b'""', b'"'))

    def _dollar(self, tag: bytes, at: int) -> None:
        """Take a string in dollar quotes."""
        self._at = at
        while (end := self._buffer.find(tag, self._at)) < 0:
            # The last bytes may be the first of the tag, but none of the one that began it.
            self._at = max(self._at, len(self._buffer) - len(tag) + 1)
            self._need("a string in dollar quotes")
        self._at = end + len(tag)
        self._keep(b"'")

    def _line_comment(self, at: int) -> None:
        """Pass over a comment that ends with its line, and tell of it when it is between statements."""
        text = bytearray(b"--")
        self._at = at
        while True:
            found = LINE_END.search(self._buffer, self._at)
            end = found.start() if found else len(self._buffer)
            if not self._begun:
                text += self._buffer[self._at : min(end, self._at + NOTE_BYTES - len(text))]
                self._drop(end)
            self._at = end
            if found or not self._more():
                break
        if not self._begun:
            self._note(bytes(text))

    def _block_comment(self, at: int) -> None:
        """Pass over a comment, and those inside it."""
        depth = 1
        self._at = at
        while depth:
            found = IN_BLOCK.search(self._buffer, self._at)
            if found:
                self._at = found.end()
                depth += 1 if found.group() == b"/*" else -1
                continue
            # Its last byte may be the first of two.
            self._at = max(self._at, len(self._buffer) - 1)
            if not self._begun:
                self._drop(self._at)
            self._need("a comment")

    def _command(self) -> None:
        """Pass over what pg_dump writes for psql to restrict itself; raise RefusalError for any other command."""
        if self._begun:
            raise RefusalError(f"line {self.line}: there is a backslash in the statement that begins there", AGAIN)
        while (end := self._buffer.find(b"\n", self._at)) < 0:
            if len(self._buffer) - self._at > COMMAND_BYTES or not self._more():
                end = len(self._buffer)
                break
        if not RESTRICT.fullmatch(self._buffer, self._at, end):
            found = COMMAND.match(self._buffer, self._at)
            name = found["name"].decode("ascii", "replace") if found and found["name"] else ""
            raise RefusalError(
                f"line {self.line}: \\{name} is a command for psql, and no such command is run here",
                WHOLE_DATABASE if name in ("c", "connect") else f"Take it out. {AGAIN}",
            )
        self._at = end

    def _rest_of_line(self) -> None:
        """Pass over what stands between COPY and its data; raise RefusalError when that is anything."""
        while True:
            found = BLANK.match(self._buffer, self._at)
            end = found.end() if found else self._at
            if end < len(self._buffer) or not self._more():
                break
            if len(self._buffer) - self._at > COMMAND_BYTES:
                break
        if self._buffer[end : end + 1] != b"\n":
            raise RefusalError(f"line {self.line}: something follows COPY where its data should begin", AGAIN)
        self._drop(end + 1)

    def _piece(self, upto: int) -> bytes:
        """Return what is looked at up to there, and keep it no longer."""
        piece = bytes(memoryview(self._buffer)[self._at : upto])
        self._drop(upto)
        return piece

    def _take(self, end: int) -> Statement:
        """Return the statement that ends there."""
        text = bytes(memoryview(self._buffer)[self._start : end - 1])
        if b"\0" in text:
            raise RefusalError(f"line {self.line}: a statement has a NUL byte", AGAIN)
        statement = Statement(text, self.line, tuple(self._tokens))
        self._drop(end)
        if len(text) > WORD_BYTES:
            # What runs it needs the room.
            self._buffer = self._buffer[end:]
            self._start = self._at = 0
        return statement

    def _drop(self, upto: int) -> None:
        """Keep nothing of what is before."""
        self.line += self._buffer.count(b"\n", self._start, upto)
        self._start = self._at = upto

    def _need(self, what: str) -> None:
        """Read more; raise RefusalError at the end."""
        if not self._more():
            raise RefusalError(f"the file ends inside {what}, in what begins in line {self.line}", CUT)

    def _more(self) -> bool:
        """Read the next piece and tell whether there was one; positions shift by what is kept no longer."""
        if self._ended:
            return False
        del self._buffer[: self._start]
        self._at -= self._start
        self._start = 0
        if len(self._buffer) > self._limit:
            raise RefusalError(
                f"line {self.line}: a statement has more than {self._limit} bytes",
                "Make the file with pg_dump --format=custom, or without --inserts",
            )
        piece = self._read()
        if not piece:
            self._ended = True
            return False
        self._buffer += piece
        if self._fresh and len(self._buffer) >= len(BYTE_ORDER_MARK):
            self._fresh = False
            if self._buffer.startswith(UTF_16):
                raise RefusalError(
                    "the file is text in UTF-16, as a shell's > may write it",
                    "Let pg_dump write the file itself: pg_dump --file=NAME",
                )
            if self._buffer.startswith(BYTE_ORDER_MARK):
                del self._buffer[: len(BYTE_ORDER_MARK)]
        return True


ROUTINES = (
    (b"create", b"function"),
    (b"create", b"procedure"),
    (b"create", b"or", b"replace", b"function"),
    (b"create", b"or", b"replace", b"procedure"),
)
WHOLE_DATABASE = (
    "It is of pg_dump --create or pg_dumpall, and would lead elsewhere: make it with pg_dump --file=NAME DATABASE, "
    "without --create"
)
