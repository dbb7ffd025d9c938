"""gateway.json: what is taken, and errors that name the key."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watcher import settings, upstream
from watcher.settings import Settings, SettingsError
from watcher.upstream import Peer, Upstream, UpstreamError


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"site_url": "ftp://x"}, 'site_url: got "ftp://x", wanted https://host'),
        ({"site_url": "https://x/path"}, "site_url"),
        ({"site_url": "https://user@x"}, "site_url"),
        ({"site_url": "https://x:0"}, "site_url"),
        ({"site_url": "https://x:70000"}, "site_url"),
        ({"site_url": 'https://x";'}, "site_url"),
        ({"site_url": "https://x\n"}, "site_url"),
        ({"site_url": "https://ex_ample"}, "site_url"),
        ({"site_url": "https://[::zz]"}, "site_url"),
        ({"site_url": None}, "site_url: got null"),
        ({"trusted_proxies": "10.0.0.0/8"}, "trusted_proxies: got"),
        ({"trusted_proxies": ["10.0.0.1/8"]}, "has host bits set"),
        ({"trusted_proxies": ["::/0"]}, "trusts everybody"),
        ({"trusted_proxies": ["255.255.255.255"]}, "everybody on a network"),
        ({"trusted_proxies": ["fe80::1%eth0"]}, "trusted_proxies"),
        ({"max_body": "10mb"}, 'max_body: got "10mb", wanted a size such as 512k or 10m'),
        ({"max_body": "2000m"}, "max_body"),
        ({"retry_after": 0}, "retry_after: got 0, wanted a whole number from 1 to 86400"),
        ({"retry_after": True}, "retry_after: got true"),
        ({"workers": "2"}, 'workers: got "2"'),
        ({"upstream": {"discover": "web"}}, "upstream: got"),
        ({"upstream": "web:8000"}, "upstream: got"),
        ({"colour": 1}, 'unknown keys: "colour"'),
    ],
)
def test_a_bad_value_is_refused_and_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.check({"site_url": "https://x", **changes})
    assert words in str(caught.value)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        settings.parse('{"retry_after": -1, "workers": 0, "x": 1}')
    assert len(caught.value.problems) == 4


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '"x"', "[" * 100000])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"gateway\.json"):
        settings.parse(text)


@pytest.mark.parametrize(
    ("url", "scheme", "host", "name", "port"),
    [
        ("https://Example.TEST", "https", "example.test", "example.test", 443),
        ("https://example.test:443", "https", "example.test", "example.test", 443),
        ("http://example.test:8000/", "http", "example.test:8000", "example.test", 8000),
        ("http://[2001:DB8::1]:8000", "http", "[2001:db8::1]:8000", "[2001:db8::1]", 8000),
        ("http://10.0.0.1", "http", "10.0.0.1", "10.0.0.1", 80),
    ],
)
def test_a_site_url_gives_scheme_host_and_port(url: str, scheme: str, host: str, name: str, port: int) -> None:
    found = settings.check({"site_url": url})
    assert (found.scheme, found.host, found.host_name, found.port) == (scheme, host, name, port)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*Settings.__dataclass_fields__, "other"]), json_values))
def test_any_json_is_either_taken_or_refused_by_name(given_values: dict[str, Any]) -> None:
    try:
        found = settings.parse(json.dumps(given_values))
    except SettingsError as error:
        problems = error.problems
    else:
        problems = []
        assert isinstance(found, Settings)
    assert all(problem.startswith("gateway.json: ") for problem in problems)


@given(st.text(max_size=60) | st.from_regex(r"[a-z0-9.\[\]:-]{1,20}:[0-9]{1,6}"))
def test_a_peer_that_is_taken_is_written_as_it_is_read(text: str) -> None:
    try:
        found = upstream.peer(text)
    except UpstreamError:
        return
    assert upstream.peer(str(found)) == found
    assert str(found).isascii()
    assert not set(str(found)) & set(" \n\t;{}\"'\\/")


@given(json_values)
def test_any_json_is_either_an_upstream_or_refused(value: Any) -> None:
    with pytest.raises(UpstreamError, match="upstream"):
        upstream.check(value)


def test_an_upstream_is_stored_as_it_was_told() -> None:
    told = Upstream("r1", (Peer("web-1", 8000), Peer("::1", 80)))
    assert upstream.parse(upstream.text(told)) == told


@given(
    st.lists(st.sampled_from([Peer("one", 1), Peer("two", 2), Peer("::1", 3)]), unique=True),
    st.dictionaries(
        st.sampled_from([Peer("one", 1), Peer("two", 2), Peer("::1", 3)]),
        st.lists(st.ip_addresses().map(str), max_size=3),
    ),
)
def test_what_nginx_reads_has_every_known_address_once_and_in_order(
    peers: list[Peer], addresses: dict[Peer, list[str]]
) -> None:
    first, *rest, last = upstream.addresses_text(Upstream("r", tuple(peers)), addresses).split("\n")
    assert (first, last) == ("r", "")
    assert len(rest) == len(set(rest))
    expected = {
        (f"[{address}] " if ":" in address else f"{address} ") + str(peer.port)
        for peer in peers
        for address in addresses.get(peer, [])
    }
    assert set(rest) == expected
