"""How spid_sp_test begins a login here; it runs inside that program.

By itself it wants the request of a post, or a redirect of one status alone, and an issuer by SPID's own rules.
"""

from __future__ import annotations

import base64
import zlib
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from lxml import etree

ISSUER = "{urn:oasis:names:tc:SAML:2.0:assertion}Issuer"


class Begun:
    """A login at an address of the site, in a session of requests'."""

    def __init__(self, session: Any, url: str, *_: object) -> None:
        self.session = session
        self.url = url

    def request(self) -> dict[str, Any]:
        """Return what the site asks, as the program wants it."""
        answer = self.session.get(self.url, allow_redirects=False, verify=False)
        location = answer.headers["Location"]
        said = dict(parse_qsl(urlsplit(location).query))
        root = etree.fromstring(zlib.decompress(base64.b64decode(said["SAMLRequest"]), -15))
        issuer = root.find(ISSUER)
        assert issuer is not None
        issuer.set("NameQualifier", issuer.text or "")
        return {
            **said,
            "SAMLRequest_redirect": location,
            "SAMLRequest_xml": etree.tostring(root),
            "requests_session": self.session,
        }

    def response(self, url: str, data: dict[str, Any], **_: object) -> Any:
        """Bring the identity provider's answer, and go where the site says."""
        return self.session.post(url, data=data, verify=False, allow_redirects=True)
