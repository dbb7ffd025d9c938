"""What a signed assertion must say to be taken: pure checks, beyond those that the toolkit makes.

With an assertion-only signature, as Entra makes it by default, whatever the response around it says may have been
written by anybody: only what is inside the signed assertion is trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from . import moment
from .names import BEARER, ENTITY, NAMESPACES, SAML
from .refusal import Refusal

# How far two clocks may be apart. Not for the bearer's end: Entra gives that about five minutes, which is plenty.
DRIFT = timedelta(minutes=5)
# Less where somebody has to prove anew who they are: a login of some minutes ago is not that.
FORCED_DRIFT = timedelta(minutes=1)
LONGEST_ID, LONGEST_NAME = 256, 255
MOST_VALUES = 1000
# The conditions that are understood; one that is not must not be passed over.
CONDITIONS = frozenset(f"{{{SAML}}}{name}" for name in ("AudienceRestriction", "OneTimeUse", "ProxyRestriction"))


@dataclass(frozen=True)
class Expected:
    """What the answer to one request must say."""

    issuer: str
    audience: str
    acs_url: str
    request_id: str
    requested_at: datetime
    forced: bool = False


@dataclass(frozen=True)
class Assertion:
    """What an identity provider has signed about somebody."""

    id: str
    issuer: str
    name_id: str
    name_id_format: str | None
    session_index: str | None
    session_ends: datetime | None
    authenticated_at: datetime
    # Until then it must be remembered, so that nobody uses it again.
    keep_until: datetime
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)


def check(assertion: Any, expected: Expected, now: datetime) -> Assertion:
    """Return what a signed assertion says; raise `Refusal` where it is not the answer that is waited for."""
    identifier = checked_id(assertion)
    check_issuer(one(assertion, "saml:Issuer", "issuer"), expected.issuer)
    check_issued(assertion, expected, now)
    subject = one(assertion, "saml:Subject", "subject")
    name = name_id(subject, expected.audience)
    bearer_ends = check_bearer(subject, expected, now)
    ends = check_conditions(one(assertion, "saml:Conditions", "conditions"), expected, now)
    statement = one(assertion, "saml:AuthnStatement", "authn_statement")
    authenticated_at = check_statement(statement, expected, now)
    index = statement.get("SessionIndex")
    if index is not None and not 0 < len(index) <= LONGEST_NAME:
        raise Refusal("bad_session_index")
    return Assertion(
        id=identifier,
        issuer=expected.issuer,
        name_id=name.text,
        name_id_format=name.get("Format"),
        session_index=index,
        session_ends=session_ends(statement, now),
        authenticated_at=authenticated_at,
        keep_until=max(ends, bearer_ends) + DRIFT,
        attributes=attributes(assertion),
    )


def one(parent: Any, path: str, name: str) -> Any:
    """Return the one element at a path below another."""
    found = parent.findall(path, NAMESPACES)
    if len(found) != 1:
        raise Refusal(f"no_{name}" if not found else f"many_{name}s")
    return found[0]


def checked_id(assertion: Any) -> str:
    """Return the assertion's id."""
    if assertion.get("Version") != "2.0":
        raise Refusal("version")
    identifier = assertion.get("ID")
    if not identifier or len(identifier) > LONGEST_ID:
        raise Refusal("no_id")
    return str(identifier)


def check_issuer(issuer: Any, expected: str) -> None:
    """Raise `Refusal` unless an issuer is the one that is pinned."""
    if issuer.get("Format", ENTITY) != ENTITY:
        raise Refusal("issuer_format")
    if issuer.text != expected or len(issuer):
        raise Refusal("wrong_issuer", detail={"issuer": (issuer.text or "")[:LONGEST_NAME]})


def check_issued(element: Any, expected: Expected, now: datetime) -> None:
    """Raise `Refusal` for what was written before it was asked for, or after now."""
    issued = moment.read(element.get("IssueInstant"), "issue_instant")
    if issued < expected.requested_at - DRIFT:
        raise Refusal("issued_before_request", detail=skew(issued, expected.requested_at))
    if issued > now + DRIFT:
        raise Refusal("issued_in_future", detail=skew(issued, now))


def skew(said: datetime, now: datetime) -> dict[str, str]:
    """Return what helps somebody to see that two clocks disagree."""
    return {"said": moment.write(said), "here": moment.write(now), "hint": "compare both clocks, and both with NTP"}


def name_id(subject: Any, audience: str) -> Any:
    """Return the subject's name."""
    name = one(subject, "saml:NameID", "name_id")
    text = name.text or ""
    if not text.strip() or text != text.strip() or len(text) > LONGEST_NAME or len(name):
        raise Refusal("bad_name_id")
    if name.get("Format", ENTITY) == "" or name.get("NameQualifier", "-") == "":
        raise Refusal("bad_name_id")
    if name.get("SPNameQualifier", audience) != audience:
        raise Refusal("name_qualifier")
    return name


def check_bearer(subject: Any, expected: Expected, now: datetime) -> datetime:
    """Return when the first confirmation that fits ends; raise what is wrong with the first one if none does."""
    problem: Refusal | None = None
    for confirmation in subject.findall("saml:SubjectConfirmation", NAMESPACES):
        try:
            return confirmed(confirmation, expected, now)
        except Refusal as error:
            problem = problem or error
    raise problem or Refusal("no_subject_confirmation")


def confirmed(confirmation: Any, expected: Expected, now: datetime) -> datetime:
    """Return when a confirmation ends; raise `Refusal` unless it hands the assertion to us, now, for our request."""
    if confirmation.get("Method") != BEARER:
        raise Refusal("confirmation_method")
    data = one(confirmation, "saml:SubjectConfirmationData", "confirmation_data")
    if data.get("InResponseTo") is None:
        raise Refusal("no_in_response_to")
    if data.get("InResponseTo") != expected.request_id:
        raise Refusal("wrong_in_response_to")
    if data.get("Recipient") is None:
        raise Refusal("no_recipient")
    if data.get("Recipient") != expected.acs_url:
        raise Refusal("wrong_recipient", detail={"recipient": data.get("Recipient")[:LONGEST_NAME]})
    ends = moment.read(data.get("NotOnOrAfter"), "bearer_end")
    if ends <= now:
        raise Refusal("bearer_expired", detail=skew(ends, now))
    if data.get("NotBefore") is not None and moment.read(data.get("NotBefore"), "bearer_begin") > now + DRIFT:
        raise Refusal("bearer_not_yet", detail=skew(moment.read(data.get("NotBefore"), "bearer_begin"), now))
    return ends


def check_conditions(conditions: Any, expected: Expected, now: datetime) -> datetime:
    """Return when the conditions end; raise `Refusal` unless all of them hold."""
    begins = moment.read(conditions.get("NotBefore"), "not_before")
    ends = moment.read(conditions.get("NotOnOrAfter"), "not_on_or_after")
    if begins > now + DRIFT:
        raise Refusal("not_yet_valid", detail=skew(begins, now))
    if ends + DRIFT <= now:
        raise Refusal("expired", detail=skew(ends, now))
    if any(isinstance(child.tag, str) and child.tag not in CONDITIONS for child in conditions):
        raise Refusal("unknown_condition")
    restrictions = conditions.findall("saml:AudienceRestriction", NAMESPACES)
    if not restrictions:
        raise Refusal("no_audience")
    for restriction in restrictions:
        audiences = [audience.text for audience in restriction.findall("saml:Audience", NAMESPACES)]
        if expected.audience not in audiences:
            raise Refusal("wrong_audience", detail={"audience": ", ".join(a or "" for a in audiences)[:LONGEST_NAME]})
    return ends


def check_statement(statement: Any, expected: Expected, now: datetime) -> datetime:
    """Return when somebody proved who they are; where that was asked for anew, it must have been since."""
    authenticated_at = moment.read(statement.get("AuthnInstant"), "authn_instant")
    if authenticated_at > now + DRIFT:
        raise Refusal("authenticated_in_future", detail=skew(authenticated_at, now))
    if expected.forced and authenticated_at < expected.requested_at - FORCED_DRIFT:
        raise Refusal("not_authenticated_anew", detail=skew(authenticated_at, expected.requested_at))
    context = one(statement, "saml:AuthnContext", "authn_context")
    for reference in context.findall("saml:AuthnContextClassRef", NAMESPACES):
        if not (reference.text or "").strip():
            raise Refusal("bad_authn_context")
    return authenticated_at


def session_ends(statement: Any, now: datetime) -> datetime | None:
    """Return when the identity provider wants the session to end."""
    said = statement.get("SessionNotOnOrAfter")
    if said is None:
        return None
    ends = moment.read(said, "session_end")
    if ends <= now:
        raise Refusal("session_expired", detail=skew(ends, now))
    return ends


def attributes(assertion: Any) -> dict[str, tuple[str, ...]]:
    """Return the attributes by name; raise `Refusal` where a name comes twice, as nobody knows which one is meant."""
    found: dict[str, tuple[str, ...]] = {}
    for attribute in assertion.findall("saml:AttributeStatement/saml:Attribute", NAMESPACES):
        name = attribute.get("Name")
        if not name or name in found:
            raise Refusal("duplicate_attribute" if name else "bad_attribute")
        values = attribute.findall("saml:AttributeValue", NAMESPACES)
        if len(values) > MOST_VALUES:
            raise Refusal("bad_attribute", detail={"attribute": name[:LONGEST_NAME]})
        # What is not plain text is for nobody here, and is not read as if it were.
        found[name] = () if any(len(value) for value in values) else tuple((v.text or "").strip() for v in values)
    return found
