"""Telling the identity provider that somebody has signed out here."""

from __future__ import annotations

from flask import current_app, redirect
from werkzeug.wrappers import Response

from ..moments import now
from ..sessions import Session
from . import messages, transactions, trust
from .refusal import Refusal
from .settings import Saml

SEE_OTHER = 303


def to_provider(session: Session, saml: Saml) -> Response | None:
    """Return the redirect with a logout request; None where the provider takes none. The session here is over."""
    try:
        provider = trust.current(saml)
    except Refusal:
        return None
    if provider.slo_url is None or session.name_id is None or session.issuer != saml.idp_entity_id:
        return None
    begun = transactions.begin("logout")
    asked = messages.logout_request(
        saml, begun.request_id, provider.slo_url, now(), session.name_id, session.session_index
    )
    parameters = {"SAMLRequest": messages.deflated(asked), "RelayState": begun.relay_state}
    url = messages.redirect(provider.slo_url, parameters, saml.private_key, {})
    return begun.remember(current_app.make_response(redirect(url, SEE_OTHER)))
