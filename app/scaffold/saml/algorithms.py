"""Which algorithms may have signed or encrypted a message: what is not named here is refused, new or old."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

DSIG = "http://www.w3.org/2000/09/xmldsig#"
MORE = "http://www.w3.org/2001/04/xmldsig-more#"
ENC = "http://www.w3.org/2001/04/xmlenc#"
ENC11 = "http://www.w3.org/2009/xmlenc11#"

RSA_SHA256 = f"{MORE}rsa-sha256"
SIGNATURES = frozenset({RSA_SHA256, f"{MORE}rsa-sha384", f"{MORE}rsa-sha512"})
DIGESTS: dict[str, Callable[[bytes], Any]] = {
    f"{ENC}sha256": hashlib.sha256,
    f"{MORE}sha384": hashlib.sha384,
    f"{ENC}sha512": hashlib.sha512,
}

# With comments, or without their being exclusive, the same bytes can mean another tree elsewhere.
CANONICAL = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = f"{DSIG}enveloped-signature"
TRANSFORMS = (ENVELOPED, CANONICAL)

CONTENT_CIPHERS = frozenset(
    {f"{ENC}aes128-cbc", f"{ENC}aes192-cbc", f"{ENC}aes256-cbc"}
    | {f"{ENC11}aes128-gcm", f"{ENC11}aes192-gcm", f"{ENC11}aes256-gcm"}
)
# The older padding (PKCS#1 v1.5) tells whoever asks often enough what the key is.
KEY_CIPHERS = frozenset({f"{ENC}rsa-oaep-mgf1p", f"{ENC11}rsa-oaep"})
