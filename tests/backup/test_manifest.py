"""The manifest: signed as a whole, and believed only then."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from backup import manifest
from backup.contents import Contents, Sequence, Table, differences
from backup.error import StopError

KEY = Ed25519PrivateKey.generate()
CONTENTS = Contents(
    tables=(Table('"public"."t"', 3, "ab" * 16),),
    sequences=(Sequence('"public"."s"', "3+", "9+"),),
    extensions={"hstore": "1.8"},
    large_objects=1,
    large_objects_hash="cd" * 16,
    objects={"tables": 1},
)
EXAMPLE = manifest.Manifest(
    id="20261126T010203Z-abcdef",
    database="scaffold ä",
    kind="postgres",
    created="2026-11-26T01:02:03+00:00",
    finished="2026-11-26T01:03:03+00:00",
    tool_version="1",
    files=(manifest.StoredFile("database.dump", "dump", "pg_dump custom", 10, "aa", 10, "aa", "zstd:3"),),
    server={"version": "17.11"},
    snapshot={"identifier": "1", "lsn": "0/1"},
    contents=CONTENTS.document(),
    verify={"level": "restored"},
)
STORED = manifest.signed(EXAMPLE, KEY)


def test_what_was_signed_is_read_again() -> None:
    assert manifest.opened(STORED, [KEY.public_key()]) == EXAMPLE


@given(st.integers(0, len(STORED) - 1), st.integers(1, 255))
def test_no_changed_byte_leaves_another_manifest(position: int, change: int) -> None:
    changed = bytearray(STORED)
    changed[position] ^= change
    try:
        found = manifest.opened(bytes(changed), [KEY.public_key()])
    except StopError:
        return
    assert found == EXAMPLE, "blanks between its parts may change, and nothing else"


def test_another_key_and_no_key_are_refused() -> None:
    other = Ed25519PrivateKey.generate()
    with pytest.raises(StopError, match="which is not known"):
        manifest.opened(STORED, [other.public_key()])
    forged = json.loads(manifest.signed(EXAMPLE, other))
    forged["signature"]["key"] = manifest.fingerprint(KEY.public_key())
    with pytest.raises(StopError, match="does not fit"):
        manifest.opened(json.dumps(forged).encode(), [KEY.public_key()])


def test_keys_are_read_from_their_pem_texts_and_nothing_else_is_taken() -> None:
    private = KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = (
        KEY.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    assert manifest.signed(EXAMPLE, manifest.private_key(private, "X")) == STORED
    assert [manifest.fingerprint(key) for key in manifest.public_keys(public + public, "X")] == [
        manifest.fingerprint(KEY.public_key())
    ] * 2
    with pytest.raises(StopError, match="openssl genpkey") as refused:
        manifest.private_key(private.replace("M", "N"), "BACKUP_SIGNING_KEY")
    assert private.splitlines()[1] not in str(refused.value)


def test_every_difference_is_found_and_named() -> None:
    def found(**changes: object) -> str:
        return "; ".join(differences(CONTENTS, replace(CONTENTS, **changes)))  # type: ignore[arg-type]

    assert found() == ""
    assert 'table "public"."t" is missing' in found(tables=())
    assert "has 2 rows, wanted 3" in found(tables=(Table('"public"."t"', 2, "ab" * 16),))
    assert "other values" in found(tables=(Table('"public"."t"', 3, "ac" * 16),))
    assert "not in the original" in found(tables=(*CONTENTS.tables, Table("more", 0, "")))
    assert "0 large objects, wanted 1" in found(large_objects=0)
    assert "large objects have other contents" in found(large_objects_hash="")
    assert "extension hstore is missing" in found(extensions={})
    assert "0 tables, wanted 1" in found(objects={})
    assert "sequence" in found(sequences=())
    for value, right in (("3+", True), ("5", True), ("9+", True), ("2+", False), ("10+", False)):
        assert (found(sequences=(Sequence('"public"."s"', value, value),)) == "") is right
