"""Who has a port is read from /proc."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from setup.ports import address_from, collide, listeners_on, parse_table

EVERY = "0.0.0.0"  # noqa: S104 - compared, not bound

SERVE = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
"""


def test_a_listening_process_is_named_with_its_number_and_program() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, "a-secret-argument"], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        try:
            [listener] = listeners_on(port)
            assert (listener.pid, listener.address) == (process.pid, "127.0.0.1")
            assert "python" in listener.command
            assert "secret" not in str(listener)
        finally:
            process.communicate()
    assert listeners_on(port) == []


def test_a_connection_is_no_listener() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert listeners_on(client.getsockname()[1]) == []
        assert [listener.pid for listener in listeners_on(server.getsockname()[1])] == [os.getpid()]


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_a_listener_on_every_ipv6_address_is_found() -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6) as server:
        assert [listener.address for listener in listeners_on(server.getsockname()[1])] == ["::"]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0100007F", "127.0.0.1"),
        ("00000000", EVERY),
        ("00000000000000000000000001000000", "::1"),
        ("0000000000000000FFFF00000100007F", "127.0.0.1"),
    ],
)
@pytest.mark.skipif(sys.byteorder != "little", reason="/proc prints addresses in the machine's own byte order")
def test_addresses_are_read_as_the_kernel_prints_them(text: str, address: str) -> None:
    assert address_from(text) == address


def test_rows_that_do_not_listen_and_rows_cut_short_are_passed_over() -> None:
    table = "  sl  local_address …\n   0: 0100007F:1F40 00000000:0000 01 0 0 0 0 0 77\n   1: 0100007F:1F\n"
    assert list(parse_table(table)) == []


def test_listeners_exclude_each_other_on_one_address_or_when_one_takes_all() -> None:
    assert collide("127.0.0.1", "127.0.0.1")
    assert collide(EVERY, "127.0.0.1")
    assert collide("10.0.0.1", "::")
    assert not collide("127.0.0.1", "10.0.0.1")
