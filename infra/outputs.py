"""What a stack tells: the addresses that people register elsewhere, and the release that serves."""

from __future__ import annotations

import pulumi

from infra.settings import Settings


def of(settings: Settings, serving: pulumi.Input[str]) -> dict[str, pulumi.Input[str]]:
    """Return the stack's outputs by name; `serving` is the release, once it serves."""
    site = settings.site_url
    address = f"[{settings.gateway_address}]" if ":" in settings.gateway_address else settings.gateway_address
    return {
        "siteUrl": site,
        "healthUrl": f"{site}/healthz",
        "readyUrl": f"{site}/readyz",
        "samlMetadataUrl": f"{site}/auth/login/saml/metadata",
        "samlAcsUrl": f"{site}/auth/login/saml/acs",
        "samlSlsUrl": f"{site}/auth/login/saml/sls",
        "gatewayAddress": f"{address}:{settings.gateway_port}",
        "release": serving,
    }
