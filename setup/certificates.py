"""The certificate authorities that this machine trusts beyond the usual ones, for instance a company's own."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----\s+(.*?)\s+-----END CERTIFICATE-----", re.DOTALL)
BUNDLE_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
LOCAL_FOLDERS = (Path("/usr/local/share/ca-certificates"), Path("/etc/pki/ca-trust/source/anchors"))
BUNDLES = (Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pki/tls/certs/ca-bundle.crt"))
USUAL = (Path("/usr/share/ca-certificates"),)


def beyond_the_usual(environment: Mapping[str, str]) -> dict[str, str]:
    """Return file name and PEM text of each authority that this machine trusts and Debian's own package does not bring.

    Where that package's certificates are not on this machine, what was added by hand or named in a variable counts.
    """
    usual = set(authorities(_files(USUAL)))
    added = _files(LOCAL_FOLDERS)
    added += [Path(environment[name]) for name in BUNDLE_VARIABLES if environment.get(name)]
    if usual:
        added += BUNDLES
    found = {key: text for key, text in authorities(added).items() if key not in usual}
    # Without the usual ones to compare with, a named bundle may be the whole of what the machine trusts: still right.
    return {f"host-{key[:16]}.crt": text for key, text in found.items()}


def authorities(files: Iterable[Path]) -> dict[str, str]:
    """Return the certificates in PEM files by the digest of their content; files that cannot be read have none."""
    found: dict[str, str] = {}
    for file in files:
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for body in BLOCK.findall(text):
            try:
                content = base64.b64decode(body)
            except ValueError:
                continue
            key = hashlib.sha256(content).hexdigest()
            found[key] = f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
    return found


def _files(folders: Iterable[Path]) -> list[Path]:
    return [path for folder in folders for kind in ("*.crt", "*.pem") for path in sorted(folder.rglob(kind))]
