"""What becomes of each statement of a dump: it is run, it is left out, or the file is refused for it.

The rights of who runs it are the wall; what is refused here is refused before anything has been touched, with words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from restore.lexer import WHOLE_DATABASE, Statement
from restore.refusal import RefusalError

# In these a byte below 128 may be a part of a character, so that quotes and backslashes are not what they seem.
UNSAFE_ENCODINGS = frozenset({"sjis", "shiftjis", "mskanji", "win932", "windows932", "shiftjis2004", "big5", "win950",
                              "windows950", "gbk", "win936", "windows936", "uhc", "win949", "windows949", "gb18030",
                              "johab"})  # fmt: skip
UTF8 = "Make the file with pg_dump --encoding=UTF8"
SQL_ONLY = "A dump has no such statement: make the file anew with pg_dump"

RUN, COPY, LEAVE = "run", "copy", "leave"


class Verdict(NamedTuple):
    """What becomes of a statement: run, copy or leave; and of what is left out, what kind of thing it is about."""

    action: str
    kind: str = ""
    name: str = ""


RUN_IT = Verdict(RUN)

# Statements by their first words: refused with a hint, or left out as a kind. The longest match counts.
REFUSED: dict[tuple[str, ...], str] = {
    ("create", "database"): WHOLE_DATABASE,
    ("alter", "database"): WHOLE_DATABASE,
    ("drop", "database"): WHOLE_DATABASE,
    ("alter", "system"): SQL_ONLY,
    ("create", "role"): WHOLE_DATABASE,
    ("alter", "role"): WHOLE_DATABASE,
    ("drop", "role"): WHOLE_DATABASE,
    ("create", "user"): WHOLE_DATABASE,
    ("alter", "user"): WHOLE_DATABASE,
    ("drop", "user"): WHOLE_DATABASE,
    ("create", "group"): WHOLE_DATABASE,
    ("alter", "group"): WHOLE_DATABASE,
    ("drop", "group"): WHOLE_DATABASE,
    ("create", "tablespace"): WHOLE_DATABASE,
    ("alter", "tablespace"): WHOLE_DATABASE,
    ("drop", "tablespace"): WHOLE_DATABASE,
    ("reassign", "owned"): SQL_ONLY,
    ("drop", "owned"): SQL_ONLY,
    ("prepare", "transaction"): SQL_ONLY,
    ("load",): SQL_ONLY,
    ("alter", "extension"): SQL_ONLY,
}
LEFT_OUT: dict[tuple[str, ...], str] = {
    ("grant",): "grant",
    ("revoke",): "grant",
    ("alter", "default", "privileges"): "grant",
    ("security", "label"): "security label",
    ("create", "extension"): "extension",
    ("drop", "extension"): "extension",
    ("comment", "on", "extension"): "extension",
    ("create", "event", "trigger"): "event trigger",
    ("alter", "event", "trigger"): "event trigger",
    ("drop", "event", "trigger"): "event trigger",
    ("comment", "on", "event", "trigger"): "event trigger",
    ("create", "publication"): "publication",
    ("alter", "publication"): "publication",
    ("drop", "publication"): "publication",
    ("comment", "on", "publication"): "publication",
    ("create", "subscription"): "subscription",
    ("alter", "subscription"): "subscription",
    ("drop", "subscription"): "subscription",
    ("comment", "on", "subscription"): "subscription",
    ("comment", "on", "database"): "database",
    ("set", "session", "authorization"): "owner",
    ("set", "role"): "owner",
    ("reset", "session", "authorization"): "owner",
    ("reset", "role"): "owner",
    ("set", "transaction_timeout"): "setting",
    ("set", "default_tablespace"): "tablespace",
}
ALLOWED = {("create", "user", "mapping"), ("alter", "user", "mapping"), ("drop", "user", "mapping")}
LONGEST = 4
LANGUAGES = frozenset({"c", "internal"})


def judge(statement: Statement, schemas: frozenset[str] = frozenset({"public"})) -> Verdict:
    """Return what becomes of a statement, where these schemas are there already; raise RefusalError."""
    words = tuple(token.decode("utf-8", "replace") for token in statement.tokens[: LONGEST + 1])
    for length in range(min(LONGEST, len(words)), 0, -1):
        first = words[:length]
        if first in ALLOWED:
            break
        if first in REFUSED:
            raise RefusalError(f"line {statement.line}: it has {' '.join(first).upper()}", REFUSED[first])
        if first in LEFT_OUT:
            return left_out(statement, LEFT_OUT[first])
    if words[0] == "copy":
        return copied(statement)
    if words[0] == "set":
        check_setting(statement)
    if words[0] == "alter" and (who := owner(statement.tokens)):
        return Verdict(LEAVE, "owner", who)
    if words[:2] in (("create", "schema"), ("drop", "schema")):
        name = identifier(statement.tokens, after_clause(statement.tokens, 2))
        if name in schemas:
            return Verdict(LEAVE, "schema", name)
    if words[0] == "create":
        check_language(statement)
    return RUN_IT


def left_out(statement: Statement, kind: str) -> Verdict:
    """Return the verdict on something that is left out, with its name where that matters."""
    tokens = statement.tokens
    if kind == "extension" and tokens[0] == b"create":
        return Verdict(LEAVE, kind, identifier(tokens, after_clause(tokens, 2)))
    return Verdict(LEAVE, kind)


def copied(statement: Statement) -> Verdict:
    """Return the verdict on COPY with the name of its table; raise RefusalError for any but that from the file."""
    tokens = [token.decode("utf-8", "replace") for token in statement.tokens]
    at = 1
    while at < len(tokens) and (at == 1 or tokens[at] == "." or tokens[at - 1] == "."):
        at += 1
    name = ".".join(plain(part) for part in tokens[1:at] if part != ".")
    if tokens[at : at + 1] == ["("]:
        at = tokens.index(")", at) + 1 if ")" in tokens[at:] else len(tokens)
    if tokens[at : at + 2] != ["from", "stdin"] or len(tokens) > at + 2:
        raise RefusalError(f"line {statement.line}: it has COPY that is not FROM stdin", SQL_ONLY)
    return Verdict(COPY, "table", name)


def check_setting(statement: Statement) -> None:
    """Raise RefusalError for settings by which text would be read in another way than here."""
    tokens = [plain(token.decode("utf-8", "replace")) for token in statement.tokens]
    name, *rest = tokens[2:] if tokens[1:2] in (["session"], ["local"]) and len(tokens) > 2 else tokens[1:] or [""]
    value = next((token for token in rest if token not in ("=", "to")), "").lower()
    if name == "standard_conforming_strings" and value not in ("on", "true", "yes", "1"):
        raise RefusalError(f"line {statement.line}: it sets standard_conforming_strings to {value!r}, wanted on", UTF8)
    if name in ("client_encoding", "names"):
        check_encoding(value, f"line {statement.line}")


def check_encoding(name: str, where: str) -> None:
    """Raise RefusalError for an encoding in which a quote may be a part of another character."""
    if re.sub(r"[^a-z0-9]", "", name.lower()) in UNSAFE_ENCODINGS:
        raise RefusalError(f"{where}: it is in the encoding {name}, which is not read here", UTF8)


def owner(tokens: Sequence[bytes]) -> str:
    """Return whom ALTER … OWNER TO names, or nothing; one that does more than that is another statement."""
    depth = 0
    for token in tokens:
        depth += (token == b"(") - (token == b")")
        if token == b"," and not depth:
            return ""
    return identifier(tokens, len(tokens) - 1) if tuple(tokens[-3:-1]) == (b"owner", b"to") else ""


def check_language(statement: Statement) -> None:
    """Raise RefusalError for a function that is the server's machine code."""
    if not {b"function", b"procedure"} & set(statement.tokens[1:4]):
        return
    for at, token in enumerate(statement.tokens[:-1]):
        language = plain(statement.tokens[at + 1].decode("utf-8", "replace")).lower()
        if token == b"language" and language in LANGUAGES:
            raise RefusalError(
                f"line {statement.line}: it has a function in LANGUAGE {language.upper()}, "
                "which only a superuser may make",
                "Leave it out of the dump, or put it into an extension",
            )


def after_clause(tokens: Sequence[bytes], at: int) -> int:
    """Return where the name is, after IF [NOT] EXISTS where that is."""
    if tokens[at : at + 1] == (b"if",):
        return tokens.index(b"exists", at) + 1 if b"exists" in tokens[at:] else at
    return at


def identifier(tokens: Sequence[bytes], at: int) -> str:
    """Return the name there."""
    return plain(tokens[at].decode("utf-8", "replace")) if at < len(tokens) else ""


def plain(token: str) -> str:
    """Return a name without the mark of its quotes."""
    return token.removeprefix('"').removeprefix("'")
