"""The eight kinds of resource: how each is drawn, what of it is secret, and how it is imported."""

from __future__ import annotations

import base64
import binascii
import os
import random
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from offline.plugin.errors import PluginError
from offline.plugin.values import Properties, Value
from offline.random import pet, text
from offline.random.schema import (
    FLAG,
    INTEGER,
    KEEPERS,
    TEXT,
    TEXTS,
    Checker,
    Input,
    check_byte_length,
    check_length,
    check_text,
    no_more,
    whole,
)

UUID_SHAPE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

Drawn = tuple[str, Properties]
"""An id, and the outputs besides the inputs."""


@dataclass(frozen=True)
class Resource:
    """One kind: its inputs, how it is drawn from complete inputs, and how its state is rebuilt from an import id."""

    inputs: Mapping[str, Input]
    draw: Callable[[Properties], Drawn]
    outputs: tuple[str, ...] = ()
    secret: frozenset[str] = frozenset()
    check: Checker = no_more
    restore: Callable[[str], tuple[str, Properties, Properties]] | None = None
    """From an import id to the id, the inputs it stands for, and the outputs besides them."""
    strict_keepers: bool = False
    fixed_id: str | None = field(default=None)


KEEPERS_INPUT = {"keepers": Input(KEEPERS)}
TEXT_INPUTS = {
    "length": Input(INTEGER, required=True),
    **{name: Input(FLAG, default=True) for name in ("upper", "lower", "numeric", "number", "special")},
    **{name: Input(INTEGER, default=0) for name in ("minUpper", "minLower", "minNumeric", "minSpecial")},
    "overrideSpecial": Input(TEXT),
    **KEEPERS_INPUT,
}


def draw_text(full: Properties) -> str:
    """Return the text that RandomPassword's and RandomString's inputs ask for."""
    override = full["overrideSpecial"]
    allowed = {name: full[name] is True for name in ("upper", "lower", "numeric", "special")}
    minima = (
        whole(full["minUpper"]),
        whole(full["minLower"]),
        whole(full["minNumeric"]),
        whole(full["minSpecial"]),
    )
    of = text.classes(**allowed, minimum=minima, override=override if isinstance(override, str) else None)
    return text.draw(whole(full["length"]), of)


def _password(full: Properties) -> Drawn:
    drawn = draw_text(full)
    return "none", {"result": drawn, "bcryptHash": text.bcrypt_hash(drawn)}


def _string(full: Properties) -> Drawn:
    drawn = draw_text(full)
    return drawn, {"result": drawn}


def _restore_password(given: str) -> tuple[str, Properties, Properties]:
    return "none", {"length": len(given.encode())}, {"result": given, "bcryptHash": text.bcrypt_hash(given)}


def _restore_string(given: str) -> tuple[str, Properties, Properties]:
    return given, {"length": len(given.encode())}, {"result": given}


def _bytes(full: Properties) -> Drawn:
    return _bytes_of(os.urandom(whole(full["length"])))


def _bytes_of(drawn: bytes) -> Drawn:
    encoded = base64.b64encode(drawn).decode()
    return encoded, {"base64": encoded, "hex": drawn.hex()}


def _restore_bytes(given: str) -> tuple[str, Properties, Properties]:
    try:
        drawn = base64.b64decode(given, validate=True)
    except binascii.Error as error:
        raise PluginError("RandomBytes: the import id must be base64 text, standard alphabet, padded") from error
    identifier, outputs = _bytes_of(drawn)
    return identifier, {"length": len(drawn)}, outputs


def _id(full: Properties) -> Drawn:
    prefix = full["prefix"]
    return _id_of(os.urandom(whole(full["byteLength"])), prefix if isinstance(prefix, str) else "")


def _id_of(drawn: bytes, prefix: str) -> Drawn:
    url = base64.urlsafe_b64encode(drawn).decode().rstrip("=")
    return url, {
        "b64Url": prefix + url,
        "b64Std": prefix + base64.b64encode(drawn).decode(),
        "hex": prefix + drawn.hex(),
        "dec": prefix + str(int.from_bytes(drawn, "big")),
    }


def _restore_id(given: str) -> tuple[str, Properties, Properties]:
    prefix, comma, url = given.rpartition(",")
    try:
        drawn = base64.b64decode(url + "=" * (-len(url) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise PluginError("RandomId: the import id must be base64url text, or `prefix,base64url`") from error
    identifier, outputs = _id_of(drawn, prefix)
    inputs: Properties = {"byteLength": len(drawn)}
    return identifier, ({**inputs, "prefix": prefix} if comma else inputs), outputs


def uuid7(milliseconds: int, drawn: bytes) -> uuid.UUID:
    """Return a version 7 UUID: 48 bits of Unix time, then 74 random bits of the ten bytes given (RFC 9562)."""
    number = (milliseconds & (2**48 - 1)) << 80 | int.from_bytes(drawn, "big")
    number = number & ~(0xF << 76) | 7 << 76
    return uuid.UUID(int=number & ~(3 << 62) | 2 << 62)


def _uuid(draw: Callable[[], uuid.UUID]) -> Callable[[Properties], Drawn]:
    def drawn(_: Properties) -> Drawn:
        result = str(draw())
        return result, {"result": result}

    return drawn


def _restore_uuid(given: str) -> tuple[str, Properties, Properties]:
    if not UUID_SHAPE.fullmatch(given):
        raise PluginError(f"the import id must be a UUID, not {given!r}")
    return given.lower(), {}, {"result": given.lower()}


def _integer(full: Properties) -> Drawn:
    low, high = whole(full["min"]), whole(full["max"])
    if low > high:
        raise PluginError(f"RandomInteger: min is {low} and max is {high}; min must not be above max")
    seed = full["seed"]
    source = random.Random(seed) if isinstance(seed, str) and seed else random.SystemRandom()  # noqa: S311
    result = source.randint(low, high)
    return str(result), {"result": result}


def _restore_integer(given: str) -> tuple[str, Properties, Properties]:
    parts = given.split(",", 3)
    try:
        result, low, high = (int(part) for part in parts[:3])
    except ValueError as error:
        raise PluginError(
            f"RandomInteger: the import id must be `result,min,max` or `result,min,max,seed`, not {given!r}"
        ) from error
    inputs: Properties = {"min": low, "max": high}
    return str(result), ({**inputs, "seed": parts[3]} if parts[3:] else inputs), {"result": result}


def _pet(full: Properties) -> Drawn:
    prefix = full["prefix"]
    return pet.name(whole(full["length"]), str(full["separator"]), prefix if isinstance(prefix, str) else None), {}


def _shuffle(full: Properties) -> Drawn:
    items, count, seed = full["inputs"], full["resultCount"], full["seed"]
    given = list(items) if isinstance(items, list) else []
    source = random.Random(seed) if isinstance(seed, str) and seed else random.SystemRandom()  # noqa: S311
    wanted = len(given) if count is None else whole(count)
    results: list[Value] = []
    while given and len(results) < wanted:  # more than there are: whole rounds, so that none is much ahead
        results += source.sample(given, len(given))
    return "-", {"results": results[:wanted]}


SEED = {"seed": Input(TEXT)}

RESOURCES: Mapping[str, Resource] = {
    "random:index/randomPassword:RandomPassword": Resource(
        TEXT_INPUTS,
        _password,
        outputs=("result", "bcryptHash"),
        secret=frozenset({"result", "bcryptHash"}),
        check=check_text,
        restore=_restore_password,
        fixed_id="none",
    ),
    "random:index/randomString:RandomString": Resource(
        TEXT_INPUTS, _string, outputs=("result",), check=check_text, restore=_restore_string
    ),
    "random:index/randomBytes:RandomBytes": Resource(
        {"length": Input(INTEGER, required=True), **KEEPERS_INPUT},
        _bytes,
        outputs=("base64", "hex"),
        secret=frozenset({"base64", "hex"}),
        check=check_length,
        restore=_restore_bytes,
        strict_keepers=True,
    ),
    "random:index/randomId:RandomId": Resource(
        {"byteLength": Input(INTEGER, required=True), "prefix": Input(TEXT), **KEEPERS_INPUT},
        _id,
        outputs=("b64Url", "b64Std", "hex", "dec"),
        check=check_byte_length,
        restore=_restore_id,
    ),
    "random:index/randomUuid:RandomUuid": Resource(
        KEEPERS_INPUT, _uuid(lambda: uuid.UUID(bytes=os.urandom(16))), outputs=("result",), restore=_restore_uuid
    ),
    "random:index/randomUuid4:RandomUuid4": Resource(
        KEEPERS_INPUT, _uuid(uuid.uuid4), outputs=("result",), restore=_restore_uuid
    ),
    "random:index/randomUuid7:RandomUuid7": Resource(
        KEEPERS_INPUT,
        _uuid(lambda: uuid7(time.time_ns() // 1_000_000, os.urandom(10))),
        outputs=("result",),
        restore=_restore_uuid,
    ),
    "random:index/randomInteger:RandomInteger": Resource(
        {"min": Input(INTEGER, required=True), "max": Input(INTEGER, required=True), **SEED, **KEEPERS_INPUT},
        _integer,
        outputs=("result",),
        restore=_restore_integer,
    ),
    "random:index/randomPet:RandomPet": Resource(
        {
            "length": Input(INTEGER, default=2),
            "separator": Input(TEXT, default="-"),
            "prefix": Input(TEXT),
            **KEEPERS_INPUT,
        },
        _pet,
    ),
    "random:index/randomShuffle:RandomShuffle": Resource(
        {"inputs": Input(TEXTS, required=True), "resultCount": Input(INTEGER), **SEED, **KEEPERS_INPUT},
        _shuffle,
        outputs=("results",),
        fixed_id="-",
    ),
}
