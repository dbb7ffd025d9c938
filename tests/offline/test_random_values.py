"""How random values are drawn, what is refused, what replaces: without an engine."""

from __future__ import annotations

import base64
import math
import string
import uuid
from collections import Counter
from itertools import pairwise

import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline.plugin.errors import PluginError
from offline.plugin.values import UNKNOWN, Properties, Secret, Value
from offline.random import pet, text
from offline.random.difference import Difference, difference
from offline.random.provider import state
from offline.random.resources import RESOURCES, Resource, uuid7
from offline.random.schema import checked, with_defaults


def kind(name: str) -> Resource:
    return RESOURCES[f"random:index/r{name[1:]}:{name}"]


def drawn(name: str, **inputs: Value) -> tuple[str, Properties]:
    resource = kind(name)
    assert not refused(name, **inputs)
    return resource.draw(with_defaults(resource.inputs, inputs))


def refused(name: str, **inputs: Value) -> list[tuple[str, str]]:
    resource = kind(name)
    return [(each.name, each.reason) for each in checked(resource.inputs, inputs, resource.check)]


minima = st.integers(0, 4)


@given(
    length=st.integers(16, 40),
    upper=st.booleans(), lower=st.booleans(), numeric=st.booleans(),
    min_upper=minima, min_lower=minima, min_numeric=minima, min_special=minima,
    override=st.none() | st.text("~^;|", min_size=1, max_size=4),
)  # fmt: skip
def test_a_string_has_its_length_its_minima_and_nothing_that_is_not_allowed(
    length: int, upper: bool, lower: bool, numeric: bool,
    min_upper: int, min_lower: int, min_numeric: int, min_special: int, override: str | None,
) -> None:  # fmt: skip
    identifier, outputs = drawn(
        "RandomString", length=length, upper=upper, lower=lower, numeric=numeric, minUpper=min_upper,
        minLower=min_lower, minNumeric=min_numeric, minSpecial=min_special, overrideSpecial=override,
    )  # fmt: skip
    result = str(outputs["result"])
    assert identifier == result
    assert len(result) == length
    for characters, allowed, minimum in (
        (string.ascii_uppercase, upper, min_upper),
        (string.ascii_lowercase, lower, min_lower),
        (string.digits, numeric, min_numeric),
        (override or text.SPECIAL, True, min_special),
    ):
        found = sum(character in characters for character in result)
        assert found >= minimum
        assert allowed or found == minimum


def test_every_character_of_every_place_is_about_as_likely_as_any_other() -> None:
    rounds = 4000
    results = [text.draw(2, [text.Class("abcd", True, 1)]) for _ in range(rounds)]
    for place in (0, 1):
        for count in Counter(result[place] for result in results).values():
            assert abs(count - rounds / 4) < 6 * math.sqrt(rounds * 3 / 16)


def test_a_password_comes_with_its_bcrypt_hash_and_an_id_that_says_nothing() -> None:
    identifier, outputs = drawn("RandomPassword", length=100)
    assert identifier == "none"
    digest = str(outputs["bcryptHash"])
    assert digest.startswith("$2b$10$")
    assert bcrypt.checkpw(str(outputs["result"]).encode()[:72], digest.encode())


@pytest.mark.parametrize(
    ("name", "inputs", "where"),
    [
        ("RandomPassword", {}, "length"),
        ("RandomPassword", {"length": 0}, "length"),
        ("RandomPassword", {"length": 3, "minUpper": 2, "minLower": 2}, "length"),
        ("RandomPassword", {"length": "8"}, "length"),
        ("RandomPassword", {"length": 8.5}, "length"),
        ("RandomPassword", {"length": True}, "length"),
        ("RandomPassword", {"length": 8, "minUpper": -1}, "minUpper"),
        ("RandomPassword", {"length": 8, "special": "no"}, "special"),
        ("RandomPassword", {"length": 8, "strength": 3}, "strength"),
        ("RandomPassword", {"length": 8, "keepers": {"a": 1}}, "keepers"),
        ("RandomString", {"length": 8, "upper": False, "lower": False, "numeric": False, "special": False}, ""),
        ("RandomString", {"length": 8, "upper": False, "lower": False, "number": False, "special": False}, ""),
        ("RandomBytes", {"length": 0}, "length"),
        ("RandomId", {"byteLength": 0}, "byteLength"),
        ("RandomInteger", {"min": 1}, "max"),
        ("RandomShuffle", {"inputs": "abc"}, "inputs"),
        ("RandomUuid", {"length": 3}, "length"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(name: str, inputs: dict[str, Value], where: str) -> None:
    assert [found for found, _ in refused(name, **inputs)] == [where]


def test_what_is_unknown_yet_is_not_judged() -> None:
    assert not refused("RandomPassword", length=UNKNOWN, minUpper=Secret(UNKNOWN))
    assert not refused("RandomPassword", length=8, keepers={"a": UNKNOWN})
    assert not refused("RandomShuffle", inputs=["a", UNKNOWN])


@given(length=st.integers(1, 64))
def test_bytes_are_told_as_base64_and_hex(length: int) -> None:
    identifier, outputs = drawn("RandomBytes", length=length)
    content = base64.b64decode(str(outputs["base64"]), validate=True)
    assert len(content) == length
    assert identifier == outputs["base64"]
    assert outputs["hex"] == content.hex()


@given(length=st.integers(1, 32), prefix=st.none() | st.text("ab-,", max_size=4))
def test_an_id_is_told_four_ways_with_the_prefix_before_each_but_the_id(length: int, prefix: str | None) -> None:
    identifier, outputs = drawn("RandomId", byteLength=length, prefix=prefix)
    before = prefix or ""
    content = base64.urlsafe_b64decode(identifier + "=" * (-len(identifier) % 4))
    assert len(content) == length
    assert outputs == {
        "b64Url": before + identifier,
        "b64Std": before + base64.b64encode(content).decode(),
        "hex": before + content.hex(),
        "dec": before + str(int.from_bytes(content, "big")),
    }


@given(low=st.integers(-(2**53), 2**53), span=st.integers(0, 2**53))
def test_an_integer_lies_between_its_bounds(low: int, span: int) -> None:
    identifier, outputs = drawn("RandomInteger", min=low, max=low + span)
    assert isinstance(outputs["result"], int)
    assert low <= outputs["result"] <= low + span
    assert identifier == str(outputs["result"])


def test_both_bounds_can_be_drawn_and_bounds_the_wrong_way_round_are_an_error() -> None:
    assert {drawn("RandomInteger", min=1, max=2)[0] for _ in range(200)} == {"1", "2"}
    with pytest.raises(PluginError, match="min is 2 and max is 1"):
        drawn("RandomInteger", min=2, max=1)


@given(seed=st.text(min_size=1))
def test_the_same_seed_draws_the_same(seed: str) -> None:
    assert drawn("RandomInteger", min=0, max=10**9, seed=seed) == drawn("RandomInteger", min=0, max=10**9, seed=seed)
    items: Value = ["a", "b", "c", "d"]
    assert drawn("RandomShuffle", inputs=items, seed=seed) == drawn("RandomShuffle", inputs=items, seed=seed)


def test_uuids_have_their_shape_and_version() -> None:
    assert uuid.UUID(drawn("RandomUuid4")[0]).version == 4
    seventh = uuid.UUID(drawn("RandomUuid7")[0])
    assert (seventh.version, seventh.variant) == (7, uuid.RFC_4122)
    plain = {uuid.UUID(drawn("RandomUuid")[0]).int >> 76 & 0xF for _ in range(300)}
    assert len(plain) > 4, "the version bits of a RandomUuid are as random as the rest"


@given(st.lists(st.integers(0, 2**48 - 1), min_size=2, max_size=5, unique=True).map(sorted))
def test_version_7_sorts_by_time(times: list[int]) -> None:
    made = [str(uuid7(milliseconds, b"\xff" * 10)) for milliseconds in times]
    assert all(earlier < later for earlier, later in pairwise(made))


@given(length=st.integers(1, 6), separator=st.sampled_from(["-", "_", ""]), prefix=st.none() | st.just("my"))
def test_a_pet_has_as_many_words_as_asked(length: int, separator: str, prefix: str | None) -> None:
    name, outputs = drawn("RandomPet", length=length, separator=separator, prefix=prefix)
    assert outputs == {}
    assert name == name.lower()
    if separator:
        words = name.split(separator)
        assert words[: len(words) - length] == (["my"] if prefix else [])
        assert words[-1] in pet.words()[2]


@given(items=st.lists(st.text("abc", min_size=1), max_size=6), count=st.none() | st.integers(0, 20))
def test_a_shuffle_takes_each_item_as_often_as_the_others_give_or_take_one(items: list[str], count: int | None) -> None:
    identifier, outputs = drawn("RandomShuffle", inputs=list(items), resultCount=count)
    results = outputs["results"]
    assert identifier == "-"
    assert isinstance(results, list)
    assert len(results) == (len(items) if count is None else count if items else 0)
    whole, rest = divmod(len(results), len(items) or 1)
    counted, of = Counter(map(str, results)), Counter(items)
    assert all(whole * of[item] <= counted[item] <= (whole + bool(rest)) * of[item] for item in of)


@pytest.mark.parametrize(
    ("name", "before", "after", "expected"),
    [
        ("RandomPassword", {"length": 8}, {"length": 8}, Difference()),
        ("RandomPassword", {"length": 8}, {"length": 9}, Difference(replaces=("length",))),
        ("RandomPassword", {"length": 8}, {"length": 8, "upper": True, "minLower": 0}, Difference()),
        ("RandomPassword", {"length": 8, "special": False}, {"length": 8}, Difference(replaces=("special",))),
        ("RandomPassword", {"length": 8, "number": False}, {"length": 8, "numeric": False}, Difference()),
        ("RandomPassword", {"length": 8}, {"length": 8, "number": False}, Difference(replaces=("numeric",))),
        ("RandomString", {"length": 8, "overrideSpecial": ""}, {"length": 8}, Difference(updates=("overrideSpecial",))),
        ("RandomString", {"length": 8}, {"length": 8, "overrideSpecial": "_"},
         Difference(replaces=("overrideSpecial",))),
        ("RandomPassword", {"length": 8}, {"length": 8, "keepers": {}}, Difference()),
        ("RandomPassword", {"length": 8}, {"length": 8, "keepers": {"a": None}}, Difference()),
        ("RandomPassword", {"length": 8, "keepers": {"a": None}}, {"length": 8}, Difference()),
        ("RandomPassword", {"length": 8}, {"length": 8, "keepers": {"a": "1"}}, Difference(replaces=("keepers",))),
        ("RandomPassword", {"length": 8, "keepers": {"a": "1"}}, {"length": 8}, Difference(replaces=("keepers",))),
        ("RandomPassword", {"length": 8, "keepers": {"a": "1"}}, {"length": 8, "keepers": {"a": "2"}},
         Difference(replaces=("keepers",))),
        ("RandomPassword", {"length": 8, "keepers": {"a": "1"}}, {"length": 8, "keepers": {"a": UNKNOWN}},
         Difference(replaces=("keepers",))),
        ("RandomId", {"byteLength": 8, "keepers": {"a": Secret("1")}}, {"byteLength": 8, "keepers": {"a": "1"}},
         Difference()),
        ("RandomBytes", {"length": 8}, {"length": 8, "keepers": {}}, Difference(replaces=("keepers",))),
        ("RandomPet", {}, {"length": 2, "separator": "-"}, Difference()),
        ("RandomPet", {}, {"length": 3}, Difference(replaces=("length",))),
        ("RandomShuffle", {"inputs": ["a"]}, {"inputs": ["a", "b"]}, Difference(replaces=("inputs",))),
        ("RandomInteger", {"min": 1, "max": 2}, {"min": 1, "max": 2, "seed": "x"}, Difference(replaces=("seed",))),
    ],
)  # fmt: skip
def test_a_change_replaces_or_not(
    name: str, before: dict[str, Value], after: dict[str, Value], expected: Difference
) -> None:
    assert difference(kind(name), state(kind(name), before, {}), after) == expected


@pytest.mark.parametrize("name", [token.rpartition(":")[2] for token in RESOURCES])
@settings(max_examples=10)
@given(data=st.data())
def test_what_was_just_made_never_differs_from_its_inputs(name: str, data: st.DataObject) -> None:
    required: dict[str, dict[str, Value]] = {
        "RandomPassword": {"length": 8}, "RandomString": {"length": 8}, "RandomBytes": {"length": 8},
        "RandomId": {"byteLength": 8}, "RandomInteger": {"min": 1, "max": 9}, "RandomShuffle": {"inputs": ["a", "b"]},
    }  # fmt: skip
    inputs: Properties = dict(required.get(name, {}))
    if data.draw(st.booleans()):
        inputs["keepers"] = {"k": "v", "s": Secret("x")}
    resource = kind(name)
    made = state(resource, inputs, drawn(name, **inputs)[1])
    assert difference(resource, made, inputs) == Difference()
    assert {key for key, value in made.items() if isinstance(value, Secret)} == set(resource.secret)
    assert None not in made.values()


@pytest.mark.parametrize(
    ("name", "given_id", "identifier", "inputs"),
    [
        ("RandomPassword", "päss", "none", {"length": 5}),
        ("RandomString", "abc", "abc", {"length": 3}),
        ("RandomBytes", "AQID", "AQID", {"length": 3}),
        ("RandomId", "a,b,_-8", "_-8", {"byteLength": 2, "prefix": "a,b"}),
        ("RandomUuid", "AABBCCDD-0011-2233-4455-66778899AABB", "aabbccdd-0011-2233-4455-66778899aabb", {}),
        ("RandomInteger", "5,1,9", "5", {"min": 1, "max": 9}),
        ("RandomInteger", "5,1,9,a,b", "5", {"min": 1, "max": 9, "seed": "a,b"}),
    ],
)
def test_an_import_rebuilds_the_state(name: str, given_id: str, identifier: str, inputs: dict[str, Value]) -> None:
    restore = kind(name).restore
    assert restore is not None
    found_id, found_inputs, outputs = restore(given_id)
    assert (found_id, found_inputs) == (identifier, inputs)
    assert set(outputs) == set(kind(name).outputs)


@pytest.mark.parametrize(
    ("name", "given_id"),
    [("RandomBytes", "not base64!"), ("RandomId", "***"), ("RandomUuid4", "abc"), ("RandomInteger", "5,1")],
)
def test_an_import_id_of_the_wrong_form_is_an_error_that_says_the_form(name: str, given_id: str) -> None:
    restore = kind(name).restore
    assert restore is not None
    with pytest.raises(PluginError, match="the import id must be"):
        restore(given_id)
