"""The addresses of SAML: this site's metadata, where a login begins, where its answer comes, and where logout does."""

from __future__ import annotations

import re
from collections import Counter
from urllib.parse import urlsplit

import structlog
from flask import Blueprint, Flask, Response, abort, current_app, redirect, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.wrappers import Response as Answer

from .. import audit, csrf, sessions
from ..database import db
from ..moments import now
from . import acs, logout, messages, sp_metadata, transactions, trust, watch
from .refusal import MALFORMED, TOO_LARGE, Refusal
from .settings import PREFIX, Saml

log = structlog.stdlib.get_logger(__name__)

# A response of the largest size in base64, with every character of it that may be escaped.
LARGEST_FORM = 420_000
SEE_OTHER = 303
LOGIN_HINT = re.compile(r"[^\s@<>\"'&?#]{1,64}@[A-Za-z0-9.-]{1,189}")


def configured() -> Saml:
    """Return the settings of SAML."""
    found: Saml = current_app.extensions["saml"]
    return found


def metadata() -> Response:
    """Show what an identity provider must know of this site."""
    return Response(sp_metadata.document(configured(), now()), content_type=f"{sp_metadata.MIMETYPE}; charset=utf-8")


def login() -> Answer:
    """Send somebody to the identity provider; `next` is a page of this site, and `reauthenticate=1` asks them anew."""
    saml = configured()
    try:
        provider = trust.current(saml)
    except Refusal as error:
        return refuse(error, "authn_login_fail")
    forced = request.args.get("reauthenticate") == "1"
    begun = transactions.begin("login", transactions.local_path(request.args.get("next")), forced=forced)
    asked = messages.authn_request(saml, begun.request_id, provider.sso_url or "", now(), forced=forced)
    parameters = {"SAMLRequest": messages.deflated(asked), "RelayState": begun.relay_state}
    hint = request.args.get("login_hint", "")
    unsigned = {"login_hint": hint} if LOGIN_HINT.fullmatch(hint) else {}
    key = saml.private_key if saml.sign_requests else None
    url = messages.redirect(provider.sso_url or "", parameters, key, unsigned)
    begun.remember(answer := current_app.make_response(redirect(url, SEE_OTHER)))
    return answer


@csrf.exempt
def consume() -> Answer:
    """Take the identity provider's answer, which another site's page posts."""
    try:
        message, relay_state = posted()
        entered = acs.enter(message, relay_state, configured())
    except Refusal as error:
        return refuse(error, "authn_login_fail")
    answer = current_app.make_response(redirect(entered.path, SEE_OTHER))
    return entered.set_cookie(answer)


def posted() -> tuple[str, str | None]:
    """Return the form's two fields; raise `Refusal` for another form, or one too large to be read."""
    request.max_content_length = LARGEST_FORM
    request.max_form_memory_size = LARGEST_FORM
    try:
        form = request.form
    except RequestEntityTooLarge:
        raise Refusal("oversize", TOO_LARGE) from None
    except HTTPException:
        raise Refusal("no_message", MALFORMED) from None
    if len(form.getlist("SAMLResponse")) != 1 or len(form.getlist("RelayState")) > 1:
        raise Refusal("no_message" if "SAMLResponse" not in form else "parameter_twice", MALFORMED)
    return form["SAMLResponse"], form.get("RelayState")


def single_logout() -> Answer:
    """Take a logout message of the identity provider: its wish to end a session, or its answer to ours."""
    saml = configured()
    try:
        message = logout.received(request.query_string.decode("ascii", "strict"))
        provider = trust.current(saml)
        db.session.rollback()
        logout.check(message, saml, provider, now())
        if message.kind == logout.RESPONSE:
            return confirmed(message)
        return ended(logout.asked(message, now()), saml, provider.slo_url)
    except UnicodeDecodeError:
        return refuse(Refusal("encoding", MALFORMED), "authn_logout_fail")
    except Refusal as error:
        return refuse(error, "authn_logout_fail")


def ended(asked: logout.Asked, saml: Saml, slo_url: str | None) -> Answer:
    """End the sessions that the identity provider means, and tell it so."""
    transactions.consume_message(saml.idp_entity_id, asked.id, asked.keep_until)
    indexes: tuple[str | None, ...] = asked.session_indexes or (None,)
    whose = Counter(
        user_id for index in indexes for user_id in sessions.end_by_name_id(asked.name_id, index, saml.idp_entity_id)
    )
    db.session.commit()
    # A name is one person's; where no session began with it, nobody here is known by it.
    for user_id, count in whose.items() or ((None, 0),):
        detail = {"saml_request": asked.id, "sessions": str(count)}
        audit.record("authn_logout", user_id=user_id, method="saml", reason="by_provider", detail=detail)
    if slo_url is None:
        return redirect(transactions.FIRST_PAGE, SEE_OTHER)
    parameters = {"SAMLResponse": messages.deflated(messages.logout_response(saml, slo_url, now(), asked.id))}
    if asked.relay_state is not None:
        parameters["RelayState"] = asked.relay_state
    return redirect(messages.redirect(slo_url, parameters, saml.private_key, {}), SEE_OTHER)


def confirmed(message: logout.Message) -> Answer:
    """Take the identity provider's answer to our logout request; the session here ended before that was sent."""
    request_id = message.root.get("InResponseTo")
    transactions.awaited(request_id, "logout")
    transactions.consume(request_id)
    db.session.commit()
    done = logout.succeeded(message)
    audit.record("authn_logout", method="saml", reason=None if done else "idp_kept_session")
    return redirect(transactions.FIRST_PAGE, SEE_OTHER)


def refuse(error: Refusal, event: audit.Event) -> Answer:
    """Keep why a message was not taken, and show whoever sent it nothing but a reference."""
    db.session.rollback()
    # What somebody sent is kept as words: a character that the log cannot hold must not keep the line out of it.
    detail = {name: plain(value) for name, value in error.detail.items()}
    audit.record(event, user_id=error.user_id, method="saml", reason=error.reason, detail=detail)
    abort(error.status)


def plain(value: str) -> str:
    """Return a text with a mark in place of each character that cannot be shown."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in value)


def init_app(app: Flask, saml: Saml) -> None:
    """Add the pages at the addresses that the settings give."""
    blueprint = Blueprint("saml", __name__)
    blueprint.add_url_rule(PREFIX, "login", login, methods=["GET"])
    blueprint.add_url_rule(f"{PREFIX}/metadata", "metadata", metadata, methods=["GET"])
    blueprint.add_url_rule(urlsplit(saml.acs_url).path, "acs", consume, methods=["POST"])
    blueprint.add_url_rule(urlsplit(saml.sls_url).path, "sls", single_logout, methods=["GET"])
    app.register_blueprint(blueprint)
    app.extensions["saml"] = saml
    app.extensions["saml_watch"] = watch.Watch(app, saml)
