"""Serves a plugin: prints its port, answers on threads, and goes when the engine goes."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent import futures

import grpc

from offline.plugin import owner
from offline.plugin.owner import Owner

MAX_MESSAGE_BYTES = 400 * 1024 * 1024  # what the engine itself allows
THREADS = 64  # a call may wait minutes for a container, so more than the engine's usual 16 at once
GRACE_SECONDS = 1.0
NICENESS = 10  # what serves on the same machine goes first; on an idle one this costs nothing

OPTIONS = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
)


def engine_address(arguments: Sequence[str] | None = None) -> str | None:
    """Return the engine's address, the last plain argument of a plugin's command line; None when it was given none."""
    plain = [a for a in (sys.argv[1:] if arguments is None else arguments) if not a.startswith("-")]
    return plain[-1] if plain else None


def serve(servicer_adder: Callable[[grpc.Server], None]) -> None:
    """Serve until the engine is gone; print the port, alone on the first line of standard output.

    `servicer_adder` adds the servicers to the server. SIGINT and SIGTERM stop it, with one second of grace. SIGINT is
    how the engine says that it is done: it kills five seconds later and reports a plugin that "exited prematurely". A
    user's Ctrl-C does not come here, for the engine starts each plugin in a process group of its own.
    """
    os.setpriority(os.PRIO_PROCESS, 0, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
    # Written to by the signal itself. A handler in Python is no good alone: it does not run when the signal comes after
    # the last look for one and before the wait; and an event that it sets needs the lock of whoever begins to wait.
    asked, ask = os.pipe()
    os.set_blocking(ask, False)
    signal.set_wakeup_fd(ask, warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=THREADS), options=OPTIONS)
    servicer_adder(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    whose = owner.current()
    threading.Thread(target=_watch, args=(whose, ask), daemon=True).start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    os.read(asked, 1)
    server.stop(GRACE_SECONDS).wait(2 * GRACE_SECONDS)
    sys.stdout.flush()
    sys.stderr.flush()
    whose.leave(0)  # at once: a call that still waits for a container must not keep the process


def _watch(whose: Owner, ask: int) -> None:
    """Write to `ask` when the owner has ended."""
    whose.wait()
    os.write(ask, b"\0")
