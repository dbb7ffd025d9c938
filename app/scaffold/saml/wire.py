"""What came over the wire, made into a tree: bounded before it is decoded, inflated or parsed."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from typing import Any

from lxml import etree

from .refusal import MALFORMED, TOO_LARGE, Refusal

# A response with 150 groups has about 30 kB, and a logout request one or two.
LARGEST_MESSAGE = 256 * 1024
LARGEST_LOGOUT = 32 * 1024
DEEPEST = 64
MOST_ELEMENTS = 10_000

SPACE = re.compile(r"[ \t\r\n]+")
DECLARATION = re.compile(rb"""^<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
# A document type would bring entities, and with them other files, other hosts and any size.
FORBIDDEN_MARKUP = (b"<!DOCTYPE", b"<!ENTITY")


def decoded(message: str, largest: int = LARGEST_MESSAGE) -> bytes:
    """Return the bytes of a message in base64; raise `Refusal` for any other text."""
    if len(message) > largest * 4 // 3 + 1024:
        raise Refusal("oversize", TOO_LARGE)
    try:
        return base64.b64decode(SPACE.sub("", message), validate=True)
    except (binascii.Error, ValueError):
        raise Refusal("not_base64", MALFORMED) from None


def inflated(data: bytes, largest: int = LARGEST_LOGOUT) -> bytes:
    """Return deflated bytes inflated, and never more than `largest` of them."""
    inflater = zlib.decompressobj(-15)
    try:
        found = inflater.decompress(data, largest + 1)
    except zlib.error:
        raise Refusal("not_deflated", MALFORMED) from None
    if len(found) > largest:
        raise Refusal("oversize", TOO_LARGE)
    if not inflater.eof or inflater.unused_data:
        raise Refusal("not_deflated", MALFORMED)
    return found


def tree(data: bytes, largest: int = LARGEST_MESSAGE) -> Any:
    """Return the root of an XML document; raise `Refusal` for what could be read in more than one way."""
    if len(data) > largest:
        raise Refusal("oversize", TOO_LARGE)
    declared = DECLARATION.match(data)
    if declared and declared.group(1).lower() not in (b"utf-8", b"us-ascii"):
        raise Refusal("encoding", MALFORMED)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal("encoding", MALFORMED) from None
    if b"\0" in data:
        raise Refusal("encoding", MALFORMED)
    if any(markup in data for markup in FORBIDDEN_MARKUP):
        raise Refusal("document_type", MALFORMED)
    root = parse(data)
    if root.getroottree().docinfo.doctype:
        raise Refusal("document_type", MALFORMED)
    bound(root)
    return root


def parse(data: bytes) -> Any:
    """Return the root of an XML document, read by one parser that fetches nothing and expands nothing."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=False,
        remove_pis=False, remove_blank_text=False, strip_cdata=True, recover=False, encoding="utf-8",
    )  # fmt: skip
    try:
        return etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise Refusal("not_xml", MALFORMED) from None


def bound(root: Any) -> None:
    """Raise `Refusal` for a tree that is deeper or larger than any message is."""
    depth = count = 0
    for event, _ in etree.iterwalk(root, events=("start", "end")):
        depth += 1 if event == "start" else -1
        count += event == "start"
        if depth > DEEPEST or count > MOST_ELEMENTS:
            raise Refusal("oversize", TOO_LARGE)
