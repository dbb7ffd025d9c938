"""The lexer: where statements and data end, whatever is in them and however they are read."""

from __future__ import annotations

import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restore.lexer import Lexer
from restore.refusal import RefusalError

Found = tuple[bytes, bytes | None]


def lexed(content: bytes, piece: int = 1 << 18, limit: int = 1 << 24) -> list[Found]:
    """The statements of a dump, and the data of those that have some."""
    file = io.BytesIO(content)
    lexer = Lexer(lambda: file.read(piece), limit=limit)
    found: list[Found] = []
    while (statement := lexer.statement()) is not None:
        data = b"".join(lexer.data()) if statement.tokens[0] == b"copy" else None
        found.append((statement.text, data))
    return found


def texts(content: bytes) -> list[bytes]:
    """The statements alone."""
    return [text for text, _ in lexed(content)]


@pytest.mark.parametrize(
    "statement",
    [
        b"SELECT ';', 'it''s; so', '\\'",
        b"SELECT E'a\\';', e'\\\\', E'a'';'",
        b"SELECT E'a' \n  -- and\n 'b\\';'",
        b"SELECT N';', B'1;', X'1;', U&'\\0441;', U&\"d\\0061;t\"",
        b'SELECT ";" FROM "a"";"',
        b"SELECT $$;$$, $a$ $b$; $$ $a$, $\xc3\xa4_1$;$\xc3\xa4_1$",
        b"SELECT $$a$b$;$$",
        b"SELECT foo$a$, a$b$c FROM bar$a$",
        b"PREPARE p AS SELECT $1, $2",
        b"SELECT 1 /* ; /* ; */ ' */ + 2",
        b"SELECT 1 -- ;'\n + 2",
        b"SELECT 1 --;\r + 2",
        b"SELECT 4 */* ; */ 5, 4 +-- ;\n 5, 1 - 2 / 3",
        b"CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2;)",
        b"CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END",
        b"create or replace procedure p() begin atomic select 1; end",
        b"CREATE FUNCTION begin_atomic(b int) RETURNS int LANGUAGE sql AS $$ SELECT 1; $$",
        b"INSERT INTO public.t VALUES (1, 'a;', -1, E'\\';', '', 2 / 3, $$;$$), (2, 'it''s (', NULL, '--', '/*')",
        b"SELECT ':x;', :x, :'x'",
    ],
)
def test_a_statement_ends_where_psql_would_have_it_end(statement: bytes) -> None:
    around = [b"SELECT 'before'", statement, b"SELECT 'after'"]
    content = b";\n".join(around) + b";\n"
    assert texts(content) == around
    for piece in range(1, 12):
        assert [text for text, _ in lexed(content, piece)] == around


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize(
    "data",
    [b"", b"1\t2\n", b"\\\\.\n\\N\n.\n\\.x\n", b"a;'\"$$/*\n--\n\\connect x\n\n\n", b"x" * 70 + b"\n", b"\0\xff\n"],
)
def test_data_end_at_the_line_that_says_so_and_nothing_in_them_is_looked_at(data: bytes, newline: bytes) -> None:
    data = data.replace(b"\n", newline)
    content = b"COPY t (a) FROM stdin;" + newline + data + b"\\." + newline + b"SELECT 1;\n"
    for piece in (1, 2, 3, 4, 5, 7, 1000):
        assert lexed(content, piece) == [(b"COPY t (a) FROM stdin", data), (b"SELECT 1", None)]
    assert lexed(b"COPY t FROM stdin;\n" + data + b"\\.") == [(b"COPY t FROM stdin", data)]


def test_what_pg_dump_writes_for_psql_is_passed_over_and_any_other_command_is_refused() -> None:
    content = b"\\restrict aB3\nSELECT 1;\n\\unrestrict aB3\n"
    assert texts(content) == [b"SELECT 1"]
    for line in (
        b"\\! touch /tmp/x", b"\\unrestrict `touch /tmp/x`", b"\\restrict a b", b"\\unrestrict", b"\\connect other",
        b"\\c", b"\\copy t from program 'x'", b"\\i /etc/passwd", b"\\set x `id`", b"\\", b"\\\xff", b"\\restrict a;",
        b"\\unrestrict :x", b"\\o |sh", b"\\gexec", b"\\restrict\ta",
    ):  # fmt: skip
        for content in (line + b"\n", b"SELECT 1;\n" + line + b"\n", b"SELECT 1 " + line + b"\n;\n", line):
            with pytest.raises(RefusalError, match=r"line [12]: "):
                texts(content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"SELECT 1", "inside the statement that begins in line 1"),
        (b"\n\nSELECT '1;\n", "inside a string, in what begins in line 3"),
        (b"SELECT E'1\\';", "inside a string"),
        (b"SELECT E'1\\", "inside a string"),
        (b'SELECT "1;', "inside a quoted name"),
        (b"SELECT $a$ $b$;", "in dollar quotes"),
        (b"/* /* */ SELECT 1;", "inside a comment"),
        (b"SELECT (1;\n", "inside the statement"),
        (b"COPY t FROM stdin;\n1\n2\n\\", "inside the data of COPY, which begin in line 2"),
        (b"COPY t FROM stdin;\n", "inside the data"),
        (b"COPY t FROM stdin; SELECT 1;\n\\.\n", "follows COPY"),
        (b"SELECT 1\0;", "NUL"),
        (b"SELECT '\0';", "NUL"),
        (b"\xff\xfeS\0E\0", "UTF-16"),
    ],
)
def test_what_is_cut_short_or_is_no_text_is_refused_with_the_place(content: bytes, words: str) -> None:
    for piece in (1, 3, 1000):
        with pytest.raises(RefusalError, match=words):
            lexed(content, piece)


def test_lines_are_counted_also_in_strings_comments_and_data() -> None:
    content = b"\xef\xbb\xbf-- a\n/*\n*/ SELECT '\n\n';\nCOPY t FROM stdin;\n1\n2\n\\.\n\n  SELECT\n2;\n"
    for piece in (1, 5, 1000):
        file = io.BytesIO(content)
        lexer = Lexer(lambda file=file, piece=piece: file.read(piece))  # type: ignore[misc]
        lines = []
        while (statement := lexer.statement()) is not None:
            lines.append(statement.line)
            if statement.tokens[0] == b"copy":
                list(lexer.data())
        assert lines == [3, 6, 11]


PIECES = st.sampled_from(
    [b"'", b"''", b"E'", b"\\'", b"\\", b'"', b"$$", b"$a$", b"$", b"--", b"\n", b"/*", b"*/", b"(", b")", b";", b" ",
     b"a", b"E", b"1", b"-", b"/", b"\r\n", b"\n\\.\n", b"\\.", b"COPY t FROM stdin;\n", b"CREATE FUNCTION ",
     b" BEGIN ATOMIC ", b" CASE ", b" END ", b"INSERT INTO t VALUES (1, ", b"\xc3\xa4", b"\0", b"U&'", b",", b"."]
)  # fmt: skip


@given(st.lists(PIECES, max_size=60).map(b"".join), st.integers(1, 9))
def test_what_is_found_does_not_depend_on_how_it_is_read(content: bytes, piece: int) -> None:
    def outcome(size: int) -> list[Found] | str:
        try:
            return lexed(content, size)
        except RefusalError as error:
            return str(error)

    assert outcome(piece) == outcome(1 << 18)


@given(st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line and not line.startswith(b"\\."))))
def test_any_data_come_through_as_they_are(lines: list[bytes]) -> None:
    data = b"".join(line + b"\n" for line in lines)
    assert lexed(b"COPY t FROM stdin;\n" + data + b"\\.\n", 7) == [(b"COPY t FROM stdin", data)]


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), st.booleans())
def test_any_string_and_any_name_come_through_as_they_are(text: str, escaped: bool) -> None:
    quoted = (
        "E'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'" if escaped else "'" + text.replace("'", "''") + "'"
    )
    name = '"' + text.replace('"', '""') + '"'
    statement = f"SELECT {quoted} AS {name}, $q${text.replace('$', '')}$q$".encode()
    assert texts(statement + b";SELECT 1;") == [statement, b"SELECT 1"]


def endless(*pieces: bytes, times: int) -> Lexer:
    """A lexer of what is repeated so often."""
    waiting = (piece for _ in range(times) for piece in pieces)
    return Lexer(lambda: next(waiting, b""), limit=1 << 20)


@pytest.mark.parametrize("piece", [b"-- a comment ", b"/* a comment */", b"\n \n", b";;;;", b"-- x\n", b"/* /* "])
def test_what_is_between_statements_takes_no_memory(piece: bytes) -> None:
    lexer = endless(piece * (16384 // len(piece)), times=15)
    tracemalloc.start()
    try:
        try:
            assert lexer.statement() is None
        except RefusalError as error:
            assert "inside a comment" in str(error)  # noqa: PT017 - some of them never end
        assert tracemalloc.get_traced_memory()[1] < 150_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "piece",
    [b"a", b"1 ", b"'", b"''", b"('", b"(", b"\\", b"x'y", b"$", b"$a", b'"', b'""', b"-- ", b"/*", b"/**/", b"E'\\'"],
)
def test_a_statement_has_an_end_or_is_refused(piece: bytes) -> None:
    waiting = iter([b"SELECT ", *[piece * (16384 // len(piece))] * 10])
    lexer = Lexer(lambda: next(waiting, b""), limit=1 << 16)
    tracemalloc.start()
    try:
        with pytest.raises(RefusalError, match=r"a statement has more than|a word has more|backslash"):
            lexer.statement()
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_line_of_data_may_be_as_long_as_it_likes() -> None:
    waiting = iter([b"COPY t FROM stdin;\n", *[b"\\\\x00" * 10_000] * 200, b"\n\\.\n"])
    lexer = Lexer(lambda: next(waiting, b""), limit=1 << 20)
    tracemalloc.start()
    try:
        assert lexer.statement() is not None
        assert sum(len(piece) for piece in lexer.data()) == 10_000_001
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
