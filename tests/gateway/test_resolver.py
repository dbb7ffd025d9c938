"""Addresses: found off the request path, kept while a name does not resolve."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st
from watcher.resolver import AddressBook, Resolver
from watcher.upstream import Peer

from tests.gateway.stage import eventually

WEB, OTHER = Peer("web", 8000), Peer("other", 8000)
lookups = st.lists(st.tuples(st.integers(0, 20), st.lists(st.sampled_from("abc"), max_size=2)), max_size=20)


@given(lookups)
def test_the_lookup_that_started_last_and_found_something_counts(results: list[tuple[int, list[str]]]) -> None:
    book, best = AddressBook(), -1
    known: tuple[str, ...] = ()
    for started, found in results:
        changed = book.record(WEB, started, found)
        if found and started > best:
            assert changed == (tuple(found) != known)
            best, known = started, tuple(found)
        else:
            assert not changed
        assert book.addresses([WEB]).get(WEB, ()) == known


class Names:
    """A name server that can be changed, and that can hang."""

    def __init__(self) -> None:
        self.known: dict[str, list[str]] = {"web": ["10.0.0.1"]}
        self.hanging: set[str] = set()
        self.release = threading.Event()
        self.asked = 0
        self.hung = 0

    def look_up(self, name: str) -> list[str]:
        self.asked += 1
        if name in self.hanging:
            self.hung += 1
            if self.hung == 2:
                self.hanging.discard(name)
            self.release.wait(30)
        if name not in self.known:
            raise OSError(name)
        return self.known[name]


def test_changes_are_told_and_what_was_known_is_kept_when_the_name_goes() -> None:
    names, told = Names(), threading.Event()
    resolver = Resolver(told.set, names.look_up, interval=0.01)
    resolver.start()
    resolver.watch("upstream", (WEB,))
    assert resolver.await_all((WEB,), 5) == []
    assert told.wait(5)
    told.clear()
    names.known["web"] = ["10.0.0.2", "10.0.0.3"]
    assert told.wait(5)
    assert resolver.addresses((WEB,)) == {WEB: ("10.0.0.2", "10.0.0.3")}
    del names.known["web"]
    asked = names.asked
    eventually(lambda: names.asked > asked + 5)
    assert resolver.addresses((WEB,)) == {WEB: ("10.0.0.2", "10.0.0.3")}


def test_a_lookup_that_hangs_holds_up_neither_other_names_nor_its_own_next_one() -> None:
    names = Names()
    names.hanging = {"web"}
    names.known["other"] = ["10.0.0.9"]
    resolver = Resolver(lambda: None, names.look_up, interval=0.01)
    resolver.start()
    resolver.watch("upstream", (WEB, OTHER))
    assert resolver.await_all((OTHER,), 5) == []
    assert resolver.await_all((WEB,), 5) == [], "another lookup starts while the first ones still hang"
    assert names.hung == 2
    names.release.set()


def test_a_peer_that_nobody_watches_any_more_is_forgotten() -> None:
    names = Names()
    resolver = Resolver(lambda: None, names.look_up, interval=0.01)
    resolver.start()
    resolver.watch("candidate", (WEB,))
    assert resolver.await_all((WEB,), 5) == []
    resolver.watch("upstream", (WEB,))
    resolver.watch("candidate", ())
    assert resolver.addresses((WEB,)) == {WEB: ("10.0.0.1",)}, "still watched for the other purpose"
    resolver.watch("upstream", ())
    assert resolver.addresses((WEB,)) == {}
