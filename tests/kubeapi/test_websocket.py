"""WebSocket messages as RFC 6455 has them, in whatever pieces they come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeapi import websocket
from kubeapi.websocket import BINARY, CLOSE, CONTINUED, PING, TEXT, Messages


def test_the_answer_to_a_key_is_that_of_the_standards_example() -> None:
    assert websocket.answer_to("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert websocket.new_key() != websocket.new_key()


def frame(kind: int, content: bytes, *, last: bool = True) -> bytes:
    """Return a frame as a server sends it."""
    size = len(content)
    if size < 126:
        length = bytes([size])
    elif size < 1 << 16:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    return bytes([(0x80 if last else 0) | kind]) + length + content


@given(st.lists(st.tuples(st.sampled_from([TEXT, BINARY, PING, CLOSE]), st.binary(max_size=300))), st.integers(1, 50))
def test_messages_are_the_same_in_whatever_pieces_they_come(messages: list[tuple[int, bytes]], size: int) -> None:
    sent = b"".join(frame(*one) for one in messages)
    reader = Messages()
    pieces = [sent[at : at + size] for at in range(0, len(sent), size)]
    assert [found for piece in pieces for found in reader.of(piece)] == messages


def test_a_message_in_parts_is_one_and_a_ping_may_come_between_them() -> None:
    parts = frame(BINARY, b"one ", last=False) + frame(PING, b"?") + frame(CONTINUED, b"message")
    assert list(Messages().of(parts)) == [(PING, b"?"), (BINARY, b"one message")]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_what_is_sent_is_masked_and_is_what_was_given(size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    sent = websocket.message(BINARY, content[:size])
    assert sent[0] == 0x80 | BINARY
    assert sent[1] & 0x80
    at = {126: 4, 127: 10}.get(sent[1] & 0x7F, 2)
    length = sent[1] & 0x7F if at == 2 else int.from_bytes(sent[2:at], "big")
    assert length == size
    mask, hidden = sent[at : at + 4], sent[at + 4 :]
    assert bytes(byte ^ mask[number % 4] for number, byte in enumerate(hidden)) == content[:size]
