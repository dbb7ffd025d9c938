"""From a response's bytes to what is believed of it: the toolkit's checks between two passes of this app's own."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import xmlsec
from lxml import etree
from onelogin.saml2.response import OneLogin_Saml2_Response
from onelogin.saml2.utils import OneLogin_Saml2_Utils

from . import response, signed, toolkit, wire
from .names import NAMESPACES, SUCCESS
from .provider import Provider
from .refusal import MALFORMED, Refusal
from .response import LONGEST_NAME, Assertion, Expected
from .settings import Saml


def shaped(data: bytes) -> Any:
    """Return a response as a tree that has the shape of one; nothing of it is to be believed yet."""
    root = wire.tree(data)
    signed.check(root)
    return root


def verify(data: bytes, saml: Saml, provider: Provider, expected: Expected, now: datetime) -> Assertion:
    """Return what the identity provider has signed; raise `Refusal` for any response that is not its answer to us."""
    root = shaped(data)
    check_envelope(root, expected, now)
    taken, root = opened(data, root, saml, provider)
    try:
        taken.is_valid(toolkit.request_data(expected.acs_url), expected.request_id, raise_exceptions=True)
    except Exception as error:  # whatever it stumbles over, the response is not taken
        raise explained(error, root, expected, now) from None
    assertion = signed.assertion_of(root, own=saml.want_assertion_signed or bool(taken.encrypted))
    return response.check(assertion, expected, now)


def explained(error: Exception, root: Any, expected: Expected, now: datetime) -> Refusal:
    """Return why the toolkit does not take a response: for the log in this app's words where it says it by halves.

    Nothing is taken here, so that it does not matter who wrote what is looked at.
    """
    reason = toolkit.reason(error)
    assertion = root.find("saml:Assertion", NAMESPACES)
    if assertion is not None and "sign" not in reason:
        try:
            response.check(assertion, expected, now)
        except Refusal as finer:
            return finer
    return Refusal(reason, detail={"toolkit": str(error)[:LONGEST_NAME]})


def check_envelope(root: Any, expected: Expected, now: datetime) -> None:
    """Raise `Refusal` for a response around an assertion that is not addressed to us.

    Nobody need have signed it, so that nothing is allowed because of it.
    """
    if root.get("InResponseTo") is None:
        raise Refusal("no_in_response_to")
    if root.get("InResponseTo") != expected.request_id:
        raise Refusal("wrong_in_response_to")
    if root.get("Destination") != expected.acs_url:
        raise Refusal("wrong_destination", detail={"destination": str(root.get("Destination"))[:LONGEST_NAME]})
    issuer = response.one(root, "saml:Issuer", "issuer")
    response.check_issuer(issuer, expected.issuer)
    response.check_issued(root, expected, now)
    check_status(root)


def check_status(root: Any) -> None:
    """Raise `Refusal` for a status that is not success."""
    status = root.find("samlp:Status/samlp:StatusCode", NAMESPACES)
    if status is None or status.get("Value") != SUCCESS:
        second = root.find("samlp:Status/samlp:StatusCode/samlp:StatusCode", NAMESPACES)
        said = [str(code.get("Value")).rpartition(":")[2] for code in (status, second) if code is not None]
        message = (root.findtext("samlp:Status/samlp:StatusMessage", "", NAMESPACES) or "")[:LONGEST_NAME]
        raise Refusal("status", detail={"status": "/".join(said), "message": message})


def opened(data: bytes, root: Any, saml: Saml, provider: Provider) -> tuple[Any, Any]:
    """Return a response as the toolkit has it, and its tree with what was encrypted in it."""
    if root.find("saml:EncryptedAssertion", NAMESPACES) is None:
        return take(data, saml, provider, saml.private_key), root
    problem = Refusal("no_key_to_decrypt")
    for key in (saml.private_key, saml.private_key_old):
        if key is None:
            continue
        try:
            taken = take(data, saml, provider, key)
        except (xmlsec.Error, etree.LxmlError, ValueError, TypeError):
            # Said of every key and every ciphertext alike: who asks often must learn nothing.
            problem = Refusal("undecryptable")
            continue
        tree = wire.tree(etree.tostring(taken.get_xml_document(), encoding="utf-8"))
        signed.check(tree)
        return taken, tree
    raise problem


def take(data: bytes, saml: Saml, provider: Provider, key: str | None) -> Any:
    """Return a response as the toolkit has it, decrypted by one key."""
    settings = toolkit.settings(saml, provider, key=key)
    try:
        return OneLogin_Saml2_Response(settings, OneLogin_Saml2_Utils.b64encode(data))
    except (xmlsec.Error, etree.LxmlError, ValueError, TypeError):
        raise
    except Exception as error:  # it raises more than it says
        raise Refusal(toolkit.reason(error), MALFORMED, {"toolkit": str(error)[:LONGEST_NAME]}) from None
