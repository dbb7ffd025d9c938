"""What a signature covers: its shape is held against a list of what is allowed, and the bytes that it means are read.

The toolkit finds out whether a key made a signature. Here is seen to it that the signature is about the whole of one
element and nothing else, and everything after this reads the very bytes whose digest was signed.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from copy import deepcopy
from typing import Any

from lxml import etree

from . import algorithms, wire
from .names import DS, NAMESPACES, SAML, SAMLP, XENC
from .refusal import Refusal

RESPONSE, ASSERTION = f"{{{SAMLP}}}Response", f"{{{SAML}}}Assertion"
INCLUSIVE = f"{{{algorithms.CANONICAL}}}InclusiveNamespaces"
IDS = ("ID", "Id", "id", "AssertionID", "{http://www.w3.org/XML/1998/namespace}id")


def children(element: Any) -> list[Any]:
    """Return an element's child elements, without comments and instructions."""
    return [child for child in element if isinstance(child.tag, str)]


def ds(name: str) -> str:
    """Return a name of XML signatures with its namespace."""
    return f"{{{DS}}}{name}"


INFO = [ds("CanonicalizationMethod"), ds("SignatureMethod"), ds("Reference")]


def check_ids(root: Any) -> None:
    """Raise `Refusal` where two elements have one id, whatever the attribute is called."""
    seen: set[str] = set()
    for element in root.iter(etree.Element):
        for name in IDS:
            value = element.get(name)
            if value is not None and value in seen:
                raise Refusal("duplicate_id")
            if value is not None:
                seen.add(value)


def check_signatures(root: Any) -> None:
    """Raise `Refusal` for a signature in a document that has not the one shape that is taken."""
    for reference in root.iter(ds("RetrievalMethod"), f"{{{XENC}}}CipherReference"):
        if not (reference.get("URI") or "").startswith("#"):
            raise Refusal("outside_reference")
    for signature in root.iter(ds("Signature")):
        signed = signature.getparent()
        if signed is None or not (signed is root or (signed.tag == ASSERTION and signed.getparent() is root)):
            raise Refusal("signature_misplaced")
        if len(signed.findall(ds("Signature"))) != 1:
            raise Refusal("signature_count")
        check_shape(signature, signed.get("ID"))


def check_shape(signature: Any, signed_id: str | None) -> None:
    """Raise `Refusal` unless a signature is one reference to the element that holds it, by allowed algorithms."""
    parts = [child.tag for child in children(signature)]
    if parts not in ([ds("SignedInfo"), ds("SignatureValue")], [ds("SignedInfo"), ds("SignatureValue"), ds("KeyInfo")]):
        raise Refusal("signature_shape")
    info = children(signature)[0]
    if [child.tag for child in children(info)] != [
        ds("CanonicalizationMethod"),
        ds("SignatureMethod"),
        ds("Reference"),
    ]:
        raise Refusal("signature_shape")
    canonical, method, reference = children(info)
    if canonical.get("Algorithm") != algorithms.CANONICAL:
        raise Refusal("canonicalization")
    prefixes_of(canonical)
    if method.get("Algorithm") not in algorithms.SIGNATURES or children(method):
        raise Refusal("signature_algorithm", detail={"algorithm": str(method.get("Algorithm"))})
    if not signed_id or reference.get("URI") != f"#{signed_id}":
        raise Refusal("signature_reference")
    check_reference(reference)


def check_reference(reference: Any) -> None:
    """Raise `Refusal` unless a reference means an element as it is, without its signature."""
    if [child.tag for child in children(reference)] != [ds("Transforms"), ds("DigestMethod"), ds("DigestValue")]:
        raise Refusal("signature_shape")
    transforms, method, value = children(reference)
    if tuple(transform.get("Algorithm") for transform in children(transforms)) != algorithms.TRANSFORMS:
        raise Refusal("transforms")
    enveloped, canonical = children(transforms)
    if len(enveloped):
        raise Refusal("transforms")
    prefixes_of(canonical)
    if method.get("Algorithm") not in algorithms.DIGESTS or len(method):
        raise Refusal("digest_algorithm", detail={"algorithm": str(method.get("Algorithm"))})
    if len(value):
        raise Refusal("digest_shape")


def prefixes_of(method: Any) -> list[str]:
    """Return the prefixes that exclusive canonicalization is told to keep; raise `Refusal` for any other parameter."""
    if any(child.tag != INCLUSIVE for child in children(method)) or len(children(method)) > 1:
        raise Refusal("transforms")
    return [prefix for child in children(method) for prefix in (child.get("PrefixList") or "").split()]


def check_encryption(root: Any) -> None:
    """Raise `Refusal` for encrypted data in which another cipher is named than those that are allowed."""
    for data in root.iter(f"{{{XENC}}}EncryptedData", f"{{{XENC}}}EncryptedKey"):
        allowed = algorithms.KEY_CIPHERS if data.tag.endswith("Key") else algorithms.CONTENT_CIPHERS
        method = data.find("xenc:EncryptionMethod", NAMESPACES)
        if method is None or method.get("Algorithm") not in allowed:
            named = "" if method is None else str(method.get("Algorithm"))
            raise Refusal("encryption_algorithm", detail={"algorithm": named})


def check(root: Any) -> None:
    """Raise `Refusal` for a response that has not the shape of one: one assertion, and signatures as they must be."""
    if root.tag != RESPONSE:
        raise Refusal("not_a_response")
    check_ids(root)
    check_signatures(root)
    check_encryption(root)


def covered(element: Any) -> Any:
    """Return a response or its assertion as its own signature means it, read anew from the bytes that were signed."""
    # All of the document is copied: what a prefix stands for may be said further out.
    root = element.getroottree().getroot()
    copied = deepcopy(root)
    copy = copied if element is root else copied[root.index(element)]
    signature = copy.find("ds:Signature", NAMESPACES)
    if signature is None:
        raise Refusal("unsigned")
    reference = signature.find("ds:SignedInfo/ds:Reference", NAMESPACES)
    _, canonical = children(reference[0])
    remove(signature)
    try:
        data = etree.tostring(
            copy,
            method="c14n",
            exclusive=True,
            with_comments=False,
            with_tail=False,
            inclusive_ns_prefixes=prefixes_of(canonical) or None,
        )
    except etree.C14NError:
        raise Refusal("canonicalization") from None
    digest = algorithms.DIGESTS[reference.find("ds:DigestMethod", NAMESPACES).get("Algorithm")](data).digest()
    if not hmac.compare_digest(digest, digest_value(reference)):
        raise Refusal("digest")
    return wire.tree(data)


def digest_value(reference: Any) -> bytes:
    """Return the digest that a reference names."""
    try:
        value = reference.findtext("ds:DigestValue", "", NAMESPACES)
        return base64.b64decode(wire.SPACE.sub("", value), validate=True)
    except (binascii.Error, ValueError):
        raise Refusal("digest_shape") from None


def remove(element: Any) -> None:
    """Take an element out of its parent, and leave the text that follows it."""
    parent, tail = element.getparent(), element.tail or ""
    before = element.getprevious()
    if before is None:
        parent.text = (parent.text or "") + tail
    else:
        before.tail = (before.tail or "") + tail
    parent.remove(element)


def assertion_of(root: Any, *, own: bool = True) -> Any:
    """Return the one assertion of a response out of signed bytes: its `own`, else those of the response around it."""
    assertions = root.findall("saml:Assertion", NAMESPACES)
    if len(assertions) != 1 or len(list(root.iter(ASSERTION))) != 1:
        raise Refusal("assertion_count")
    assertion = assertions[0]
    if any(not isinstance(node.tag, str) for node in assertion.iter()):
        # A comment or an instruction inside a name cuts it short for whoever reads on carelessly.
        raise Refusal("comment_or_instruction")
    if own or assertion.find("ds:Signature", NAMESPACES) is not None:
        return covered(assertion)
    response = covered(root)
    return response.find("saml:Assertion", NAMESPACES)
