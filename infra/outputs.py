"""What a stack tells: the addresses that people register elsewhere, and the release that serves."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from infra.settings import Settings


def of(settings: Settings, addresses: Mapping[str, str], serving: pulumi.Input[str]) -> dict[str, pulumi.Input[str]]:
    """Return the stack's outputs by name; `addresses` are its platform's, `serving` is the release, once it serves."""
    site = settings.site_url
    return {
        "siteUrl": site,
        "healthUrl": f"{site}/healthz",
        "readyUrl": f"{site}/readyz",
        "samlMetadataUrl": f"{site}/auth/login/saml/metadata",
        "samlAcsUrl": f"{site}/auth/login/saml/acs",
        "samlSlsUrl": f"{site}/auth/login/saml/sls",
        **addresses,
        "release": serving,
    }
