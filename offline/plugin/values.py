"""Property values: between the protocol's Struct and Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from google.protobuf import struct_pb2

SIGNATURE_KEY = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  the protocol's mark, not a secret
ASSET_SIGNATURE = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE_SIGNATURE = "0def7320c3a5731c473e5ecbe6d01bc7"
RESOURCE_SIGNATURE = "5cf8f73096256a8f31e491e813e4eb8e"
OUTPUT_SIGNATURE = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
UNKNOWN_STRINGS = frozenset(
    {
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",  # string, and what engines send for any type
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # bool
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)
UNKNOWN_STRING = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


@dataclass(frozen=True)
class Unknown:
    """A value that is not known before the update, as in a preview."""


UNKNOWN = Unknown()


@dataclass(frozen=True)
class Secret:
    """A value that must not be shown; its text form never holds the value."""

    value: Value = field(repr=False)


@dataclass(frozen=True)
class Asset:
    """A file's content: exactly one of text, path and uri is set."""

    text: str | None = None
    path: str | None = None
    uri: str | None = None
    hash: str = ""


@dataclass(frozen=True)
class Archive:
    """A tree of assets, or a path or address of an archive: exactly one of assets, path and uri is set."""

    assets: Mapping[str, Asset | Archive] | None = None
    path: str | None = None
    uri: str | None = None
    hash: str = ""


@dataclass(frozen=True)
class Reference:
    """A reference to a resource; `id` is None for a component."""

    urn: str
    id: Value = None
    version: str = ""


Value: TypeAlias = (
    bool
    | int
    | float
    | str
    | list["Value"]
    | dict[str, "Value"]
    | Unknown
    | Secret
    | Asset
    | Archive
    | Reference
    | None
)
Properties: TypeAlias = dict[str, Value]


def decode(struct: struct_pb2.Struct) -> Properties:
    """Return a Struct as a dict; whole numbers become int, marked maps become Secret, Asset, Archive or Reference.

    An output value becomes its value, in a Secret if it is one, or UNKNOWN. Raises ValueError or TypeError for what
    the protocol does not know.
    """
    return {key: decode_value(value) for key, value in struct.fields.items()}


def decode_value(value: struct_pb2.Value) -> Value:
    """Return one protocol value as a Python value, as `decode` does."""
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value in UNKNOWN_STRINGS else value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() and abs(number) < 2**63 else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "list_value":
        return [decode_value(item) for item in value.list_value.values]
    if kind == "struct_value":
        fields = decode(value.struct_value)
        return _decode_marked(fields) if SIGNATURE_KEY in fields else fields
    return None


def _decode_marked(fields: Properties) -> Value:
    match fields[SIGNATURE_KEY]:
        case str(mark) if mark == SECRET_SIGNATURE:
            return Secret(fields.get("value"))
        case str(mark) if mark == OUTPUT_SIGNATURE:
            inner = fields.get("value", UNKNOWN)
            return Secret(inner) if fields.get("secret") else inner
        case str(mark) if mark == RESOURCE_SIGNATURE:
            return Reference(_text(fields, "urn") or "", fields.get("id"), _text(fields, "packageVersion") or "")
        case str(mark) if mark == ASSET_SIGNATURE:
            return Asset(
                _text(fields, "text"), _text(fields, "path"), _text(fields, "uri"), _text(fields, "hash") or ""
            )
        case str(mark) if mark == ARCHIVE_SIGNATURE:
            return _decode_archive(fields)
        case mark:
            raise ValueError(f"a property value carries the mark {mark!r}, which this plugin does not know")


def _decode_archive(fields: Properties) -> Archive:
    assets = fields.get("assets")
    members: dict[str, Asset | Archive] | None = None
    if isinstance(assets, dict):
        members = {}
        for name, member in assets.items():
            if not isinstance(member, Asset | Archive):
                raise TypeError(f"archive member {name!r} is neither an asset nor an archive")
            members[name] = member
    return Archive(members, _text(fields, "path"), _text(fields, "uri"), _text(fields, "hash") or "")


def _text(fields: Properties, key: str) -> str | None:
    found = fields.get(key)
    return found if isinstance(found, str) else None


def encode(properties: Mapping[str, Value]) -> struct_pb2.Struct:
    """Return a dict as a Struct; the inverse of `decode` save for output values, which it never makes."""
    struct = struct_pb2.Struct()
    for key, value in properties.items():
        struct.fields[key].CopyFrom(encode_value(value))
    return struct


def encode_value(value: Value) -> struct_pb2.Value:
    """Return one Python value as a protocol value. Raises TypeError for a type that is no property value."""
    match value:
        case None:
            return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
        case bool():
            return struct_pb2.Value(bool_value=value)
        case int() | float():
            return struct_pb2.Value(number_value=value)
        case str():
            return struct_pb2.Value(string_value=value)
        case list():
            return struct_pb2.Value(list_value=struct_pb2.ListValue(values=[encode_value(item) for item in value]))
        case dict():
            return struct_pb2.Value(struct_value=encode(value))
        case Unknown():
            return struct_pb2.Value(string_value=UNKNOWN_STRING)
        case Secret(inner):
            return _marked(SECRET_SIGNATURE, {"value": inner})
        case Asset(text, path, uri, digest):
            return _marked(ASSET_SIGNATURE, {"text": text, "path": path, "uri": uri, "hash": digest or None})
        case Archive(assets, path, uri, digest):
            members: Value = None if assets is None else dict(assets.items())
            return _marked(ARCHIVE_SIGNATURE, {"assets": members, "path": path, "uri": uri, "hash": digest or None})
        case Reference(urn, identifier, version):
            marked = _marked(RESOURCE_SIGNATURE, {"urn": urn, "packageVersion": version or None})
            if identifier is not None:
                marked.struct_value.fields["id"].CopyFrom(encode_value(identifier))
            return marked
    raise TypeError(f"{type(value).__name__} is not a property value")


def _marked(mark: str, fields: Properties) -> struct_pb2.Value:
    present = {key: value for key, value in fields.items() if value is not None or mark == SECRET_SIGNATURE}
    return struct_pb2.Value(struct_value=encode({SIGNATURE_KEY: mark, **present}))


def is_unknown(value: Value) -> bool:
    """Say whether a value, or the content of a secret, is unknown; containers count only as themselves."""
    return isinstance(value.value if isinstance(value, Secret) else value, Unknown)


def contains_unknown(value: Value) -> bool:
    """Say whether a value is unknown or holds an unknown at any depth."""
    match value:
        case Unknown():
            return True
        case Secret(inner):
            return contains_unknown(inner)
        case list():
            return any(contains_unknown(item) for item in value)
        case dict():
            return any(contains_unknown(item) for item in value.values())
    return False


def contains_secret(value: Value) -> bool:
    """Say whether a value is a secret or holds one at any depth."""
    match value:
        case Secret():
            return True
        case list():
            return any(contains_secret(item) for item in value)
        case dict():
            return any(contains_secret(item) for item in value.values())
    return False


def reveal(value: Value) -> Value:
    """Return a value with every secret mark taken off, at any depth."""
    match value:
        case Secret(inner):
            return reveal(inner)
        case list():
            return [reveal(item) for item in value]
        case dict():
            return {key: reveal(item) for key, item in value.items()}
    return value


def reveal_properties(properties: Mapping[str, Value]) -> Properties:
    """Return a property map with every secret mark taken off, at any depth."""
    return {key: reveal(value) for key, value in properties.items()}
