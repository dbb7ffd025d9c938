"""Right answers, changed at random: whatever is taken says what the provider signed, and a second library agrees."""

from __future__ import annotations

import base64
import gc
import logging
import re
import shutil
import warnings
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from lxml import etree
from scaffold.saml import attributes, verification
from scaffold.saml.provider import Provider
from scaffold.saml.refusal import Refusal
from scaffold.saml.response import Expected

from tests.app.saml import idp
from tests.app.saml.conftest import entra
from tests.app.saml.idp import Asked, pair, said_to, signed
from tests.app.saml.test_metadata import metadata

ASKED, OTHER = Asked("_a1b2c3"), Asked("_d4e5f6")
STRANGER = "ffffffff-aaaa-bbbb-cccc-ddddeeeeffff"
XMLSEC = shutil.which("xmlsec1")

# Who a response is about: object, tenant, name, roles.
Who = tuple[str, str, str, tuple[str, ...]]
ADA: Who = (idp.PERSON, idp.TENANT, idp.NAME_ID, ("reader",))


@cache
def right(whole: bool = False) -> bytes:
    """Return the provider's answer: about Ada, who may read."""
    said = said_to(ASKED, bearer_ends=idp.after(7200), attributes=idp.entras(role="Reader"), session_index="_one")
    return bytes(etree.tostring(signed(said, whole=whole)))


@cache
def stranger() -> bytes:
    """Return another answer of the provider's: about an administrator, to another request."""
    said = said_to(
        OTHER,
        bearer_ends=idp.after(7200),
        attributes=idp.entras(role="Site.Admin", objectidentifier=STRANGER),
        name_id="stranger",
    )
    return bytes(etree.tostring(signed(said)))


def taken(data: bytes) -> Who | None:
    """Return who gets in by a response, or None where nobody does; anything else than a refusal fails the test."""
    saml = entra()
    now = datetime.now(UTC)
    expected = Expected(idp.ISSUER, idp.ENTITY_ID, idp.ACS_URL, ASKED.id, now - timedelta(minutes=2))
    provider = Provider(idp.ISSUER, idp.SSO_URL, None, (pair("idp").pem,))
    try:
        assertion = verification.verify(data, saml, provider, expected, now)
        identity, profile = attributes.identity(assertion, saml), attributes.profile(assertion, saml)
    except Refusal:
        return None
    return identity.object_id, identity.tenant, assertion.name_id, profile.roles or ()


Change = Callable[[Any, st.DataObject], None]


def some(root: Any, data: st.DataObject) -> Any:
    """Choose an element."""
    return data.draw(st.sampled_from(list(root.iter(etree.Element))))


def set_text(root: Any, data: st.DataObject) -> None:
    """Change a text."""
    some(root, data).text = data.draw(st.sampled_from(["", "Site.Admin", "stranger", STRANGER, "x", " ", ADA[2] + "x"]))


def set_attribute(root: Any, data: st.DataObject) -> None:
    """Change an attribute."""
    element = some(root, data)
    if element.attrib:
        name = data.draw(st.sampled_from(sorted(element.attrib)))
        ids = [e.get("ID") for e in root.iter(etree.Element) if e.get("ID")]
        element.set(
            name, data.draw(st.sampled_from(["", "x", "_evil", OTHER.id, ASKED.id, *ids, *(f"#{i}" for i in ids)]))
        )


def drop_attribute(root: Any, data: st.DataObject) -> None:
    """Take an attribute away."""
    element = some(root, data)
    if element.attrib:
        del element.attrib[data.draw(st.sampled_from(sorted(element.attrib)))]


def drop(root: Any, data: st.DataObject) -> None:
    """Take an element away."""
    element = some(root, data)
    if element.getparent() is not None:
        element.getparent().remove(element)


def move(root: Any, data: st.DataObject) -> None:
    """Put an element somewhere else."""
    element, place = some(root, data), some(root, data)
    if element is not root and place not in element.iter():
        place.insert(data.draw(st.integers(0, len(place))), element)


def copy(root: Any, data: st.DataObject) -> None:
    """Put a copy of an element somewhere."""
    element, place = deepcopy(some(root, data)), some(root, data)
    place.insert(data.draw(st.integers(0, len(place))), element)


def graft(root: Any, data: st.DataObject) -> None:
    """Put an element of the stranger's answer somewhere, also in place of its like."""
    element = some(etree.fromstring(stranger()), data)
    like: list[Any] = list(root.iter(element.tag))
    instead: bool = data.draw(st.sampled_from([False, True]))
    if like and instead:
        place = data.draw(st.sampled_from(like))
        if place.getparent() is not None:
            place.getparent().replace(place, element)
    else:
        place = some(root, data)
        place.insert(data.draw(st.integers(0, len(place))), element)


def wrap(root: Any, data: st.DataObject) -> None:
    """Put an element into a new one."""
    element = some(root, data)
    parent = element.getparent()
    if parent is not None:
        kinds = (
            f"{{{idp.SAMLP}}}Extensions",
            f"{{{idp.DS}}}Object",
            f"{{{idp.SAML}}}Assertion",
            f"{{{idp.SAML}}}Advice",
            "x",
        )
        holder = etree.Element(data.draw(st.sampled_from(kinds)))
        parent.replace(element, holder)
        holder.append(element)


def comment(root: Any, data: st.DataObject) -> None:
    """Put a comment or an instruction into a text."""
    element = some(root, data)
    made = data.draw(st.sampled_from([etree.Comment("x"), etree.ProcessingInstruction("x", "y")]))
    text = element.text or ""
    cut = data.draw(st.integers(0, len(text)))
    element.text, made.tail = text[:cut], text[cut:]
    element.insert(0, made)


def rename(root: Any, data: st.DataObject) -> None:
    """Give an element another name."""
    element = some(root, data)
    element.tag = data.draw(st.sampled_from([e.tag for e in root.iter(etree.Element)]))


CHANGES: tuple[Change, ...] = (
    set_text, set_attribute, drop_attribute, drop, move, copy, graft, wrap, comment, rename,
)  # fmt: skip


def changed(data: st.DataObject) -> bytes:
    """Return a right answer with some changes to its tree, its bytes, or both."""
    whole: bool = data.draw(st.sampled_from([False, True]))
    root = etree.fromstring(right(whole))
    for change in data.draw(st.lists(st.sampled_from(CHANGES), min_size=0, max_size=4)):
        change(root, data)
    document = bytearray(etree.tostring(root))
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.integers(0, len(document) - 1))
        until = data.draw(st.integers(at, min(at + 40, len(document))))
        other = data.draw(
            st.sampled_from(
                [b"", b"&#0;", b"<!-- -->", b"&amp;", b"\xc3\xa9", b" ", bytes(document[at:until]) * 2, b"<x/>"]
            )
        )
        document[at:until] = other
    return bytes(document)


def test_right_answers_are_taken_and_the_strangers_is_not() -> None:
    assert taken(right()) == ADA
    assert taken(right(whole=True)) == ADA
    assert taken(stranger()) is None


def whoever_gets_in_is_whom_the_provider_meant(examples: int) -> None:
    """Try that many changed answers."""

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def agrees(data: st.DataObject) -> None:
        assert taken(changed(data)) in (None, ADA)

    agrees()


def test_whoever_gets_in_by_a_changed_answer_is_whom_the_provider_meant() -> None:
    whoever_gets_in_is_whom_the_provider_meant(150)


@pytest.mark.slow
def test_whoever_gets_in_by_one_of_thousands_of_changed_answers_is_whom_the_provider_meant() -> None:
    whoever_gets_in_is_whom_the_provider_meant(5000)


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=400))
@example(b"")
@example(b"\xef\xbb\xbf<a/>")
def test_nothing_else_than_a_refusal_comes_of_any_bytes(data: bytes) -> None:
    assert taken(data) is None


# Changes that mean nothing: without such, that nothing wrong is taken would be shown by taking nothing.
HARMLESS: dict[str, Callable[[bytes], bytes]] = {
    "a declaration": lambda data: b"<?xml version='1.0' encoding='utf-8'?>\n" + data,
    "white space around": lambda data: data + b"\n\n",
    "another order of attributes": lambda data: data.replace(b' Version="2.0"', b"", 1).replace(
        b"<samlp:Response", b'<samlp:Response Version="2.0"', 1
    ),
    "another prefix outside": lambda data: re.sub(rb"samlp([:=])", rb"other\1", data),
    "white space in tags": lambda data: data.replace(b"<NameID ", b"<NameID\n  ", 1),
    "another quote": lambda data: re.sub(rb'Version="2.0"', b"Version='2.0'", data),
    "a character by its number": lambda data: data.replace(b">Ada Lovelace<", b">&#65;da Lovelace<"),
    "characters as they are": lambda data: data.replace(b">Ada Lovelace<", b"><![CDATA[Ada Lovelace]]><"),
    "a prefix that nobody uses": lambda data: data.replace(b"<samlp:Response", b'<samlp:Response xmlns:u="urn:u"', 1),
    "an empty element written long": lambda data: re.sub(
        rb"<samlp:StatusCode ([^>]*)/>", rb"<samlp:StatusCode \1></samlp:StatusCode>", data
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", HARMLESS.values(), ids=list(HARMLESS))
def test_what_only_looks_different_is_taken(change: Callable[[bytes], bytes]) -> None:
    document = change(right())
    assert document != right()
    assert taken(document) == ADA


class Second:
    """Another library, with a service of its own that expects the same answer."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from saml2 import BINDING_HTTP_POST
            from saml2.client import Saml2Client
            from saml2.config import SPConfig
        logging.getLogger("saml2").setLevel(logging.CRITICAL + 1)
        (folder / "sp.key").write_text(pair("sp").key_pem, encoding="ascii")
        (folder / "sp.crt").write_text(pair("sp").pem, encoding="ascii")
        self.binding = BINDING_HTTP_POST
        service = {
            "endpoints": {"assertion_consumer_service": [(idp.ACS_URL, BINDING_HTTP_POST)]},
            "want_assertions_signed": True,
            "want_response_signed": False,
            "allow_unsolicited": False,
        }
        known = re.sub("<RoleDescriptor.*?/>", "", metadata("idp"))
        config = {
            "entityid": idp.ENTITY_ID,
            "service": {"sp": service},
            "metadata": {"inline": [known.partition("?>")[2]]},
            "xmlsec_binary": XMLSEC,
            "key_file": str(folder / "sp.key"),
            "cert_file": str(folder / "sp.crt"),
            "allow_unknown_attributes": True,
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.client = Saml2Client(config=SPConfig().load(config))

    def taken(self, data: bytes) -> Who | None:
        """Return who gets in by a response, or None where nobody does."""
        message = base64.b64encode(data).decode()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = self.client.parse_authn_request_response(message, self.binding, {ASKED.id: "/"})
                if found is None:
                    return None
                said, name = found.ava, found.name_id.text
            except Exception:
                return None
            finally:
                # It leaves files to be closed by themselves: here, where nobody is warned of it.
                gc.collect()
        roles = {"Reader": "reader", "Site.Admin": "admin"}
        return (
            said.get(f"{idp.MICROSOFT}objectidentifier", [""])[0],
            said.get(f"{idp.MICROSOFT}tenantid", [""])[0],
            name,
            # It has a short name for this one attribute.
            tuple(roles.get(role, role) for role in said.get(idp.ROLE) or said.get("role", [])),
        )


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Second:
    """The other library."""
    if XMLSEC is None:
        pytest.skip("the program xmlsec1, which the second library signs and checks with, is not installed")
    return Second(tmp_path_factory.mktemp("second"))


@pytest.mark.parametrize("change", [lambda data: data, *HARMLESS.values()], ids=["as it is", *HARMLESS])
def test_a_second_library_reads_a_right_answer_as_this_app_does(
    second: Second, change: Callable[[bytes], bytes]
) -> None:
    assert second.taken(change(right())) == taken(change(right())) == ADA


@pytest.mark.parametrize("examples", [25, pytest.param(500, marks=pytest.mark.slow)])
def test_a_second_library_and_this_app_never_let_in_two_different_people(second: Second, examples: int) -> None:
    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def agree(data: st.DataObject) -> None:
        document = changed(data)
        ours, theirs = taken(document), second.taken(document)
        assert ours in (None, ADA)
        assert ours is None or theirs in (None, ours)

    agree()
