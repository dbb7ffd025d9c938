"""Fetching the identity provider's metadata: over TLS, bounded in time and size, and from nowhere else."""

from __future__ import annotations

import os
import ssl
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO

from . import idp_metadata

PATIENCE = 10.0
# Where the image has the authorities that are trusted; other places are named by SSL_CERT_FILE.
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")


class Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the address in the settings is the one that was checked."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, _words: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Refuse to go elsewhere."""
        raise urllib.error.HTTPError(req.full_url, code, f"it leads to {newurl[:200]}: set that", headers, fp)


def context() -> ssl.SSLContext:
    """Return how TLS is spoken: with whom the system's authorities, or those of SSL_CERT_FILE, vouch for."""
    made = ssl.create_default_context()
    if "SSL_CERT_FILE" not in os.environ and AUTHORITIES.exists():
        made.load_verify_locations(AUTHORITIES)
    return made


def text(url: str) -> str:
    """Return the document at an address; raise OSError or ValueError with words for whoever looks after this."""
    opener = urllib.request.build_opener(Stay, urllib.request.HTTPSHandler(context=context()))
    request = urllib.request.Request(url, headers={"Accept": "application/samlmetadata+xml, application/xml"})  # noqa: S310
    try:
        with opener.open(request, timeout=PATIENCE) as answer:
            content = answer.read(idp_metadata.LARGEST + 1)
    except urllib.error.HTTPError as error:
        with error:
            raise OSError(f"{url} answered {error.code} ({error.reason}); wanted the metadata") from None
    except urllib.error.URLError as error:
        raise OSError(f"{url} cannot be reached: {error.reason}") from None
    except (OSError, HTTPException) as error:
        raise OSError(f"{url} cannot be read: {error}") from None
    if len(content) > idp_metadata.LARGEST:
        raise ValueError(f"{url} has more than {idp_metadata.LARGEST} bytes; wanted the metadata of one provider")
    return idp_metadata.decode(content)
