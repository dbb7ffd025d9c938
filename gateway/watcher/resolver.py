"""Addresses behind the peers' names, looked up off the request path, for ever.

A lookup may hang for many seconds (Docker's name server does, for an absent name on an internal network), so each runs
in a thread of its own and a new one starts on time whether or not the former ended. What was known stays known while a
name does not resolve.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable

from watcher.upstream import Peer

INTERVAL = 0.5
EAGER_INTERVAL = 0.1  # while a peer has no address at all
MOST_AT_ONCE = 3

Lookup = Callable[[str], list[str]]


def look_up(name: str) -> list[str]:
    """Return a name's addresses, sorted; raise OSError."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return sorted({str(entry[4][0]) for entry in found})


class AddressBook:
    """What lookups found, by peer: the result of the one that started last counts, and a failure takes nothing away."""

    def __init__(self) -> None:
        self._found: dict[Peer, tuple[int, tuple[str, ...]]] = {}

    def record(self, peer: Peer, started: int, addresses: Iterable[str]) -> bool:
        """Note a lookup's result, and return whether the peer's addresses changed by it."""
        fresh = tuple(addresses)
        number, known = self._found.get(peer, (-1, ()))
        if not fresh or started <= number:
            return False
        self._found[peer] = (started, fresh)
        return fresh != known

    def addresses(self, peers: Iterable[Peer]) -> dict[Peer, tuple[str, ...]]:
        """Return what is known of these peers."""
        return {peer: self._found[peer][1] for peer in peers if peer in self._found}

    def forget_all_but(self, peers: Iterable[Peer]) -> None:
        """Drop every other peer."""
        kept = set(peers)
        self._found = {peer: found for peer, found in self._found.items() if peer in kept}


class Resolver:
    """Looks the watched peers up twice a second and says when an address changed."""

    def __init__(self, changed: Callable[[], None], lookup: Lookup = look_up, interval: float = INTERVAL) -> None:
        self._changed = changed
        self._lookup = lookup
        self._interval = interval
        self._book = AddressBook()
        self._news = threading.Condition()
        self._watched: dict[str, tuple[Peer, ...]] = {}
        self._running: dict[Peer, int] = {}
        self._started = 0

    def start(self) -> None:
        """Look up from now on, in the background."""
        threading.Thread(target=self._run, name="resolver", daemon=True).start()

    def watch(self, purpose: str, peers: tuple[Peer, ...]) -> None:
        """Keep these peers' addresses fresh, in the place of those that were watched for the same purpose."""
        with self._news:
            self._watched[purpose] = peers
            everyone = [peer for group in self._watched.values() for peer in group]
            self._book.forget_all_but(everyone)
            self._news.notify_all()

    def addresses(self, peers: tuple[Peer, ...]) -> dict[Peer, tuple[str, ...]]:
        """Return what is known now."""
        with self._news:
            return self._book.addresses(peers)

    def await_all(self, peers: tuple[Peer, ...], timeout: float) -> list[Peer]:
        """Wait until every peer has an address, at most `timeout` seconds; return those that have none."""
        until = time.monotonic() + timeout
        with self._news:
            while True:
                known = self._book.addresses(peers)
                missing = [peer for peer in peers if peer not in known]
                left = until - time.monotonic()
                if not missing or left <= 0:
                    return missing
                self._news.wait(min(left, 0.2))

    def _run(self) -> None:
        while True:
            with self._news:
                due = self._watching()
                for peer in due:
                    if self._running.get(peer, 0) < MOST_AT_ONCE:
                        self._started += 1
                        self._running[peer] = self._running.get(peer, 0) + 1
                        job = threading.Thread(target=self._look_up, args=(peer, self._started), daemon=True)
                        job.start()
                unknown = len(self._book.addresses(due)) < len(due)
                until = time.monotonic() + (EAGER_INTERVAL if unknown else self._interval)
                while not self._watching() - due and (remaining := until - time.monotonic()) > 0:
                    self._news.wait(remaining)

    def _watching(self) -> set[Peer]:
        return {peer for group in self._watched.values() for peer in group}

    def _look_up(self, peer: Peer, started: int) -> None:
        try:
            found = self._lookup(peer.name)
        except (OSError, UnicodeError):
            found = []
        with self._news:
            self._running[peer] -= 1
            if not self._running[peer]:
                del self._running[peer]
            changed = peer in self._watching() and self._book.record(peer, started, found)
            self._news.notify_all()
        if changed:
            self._changed()
