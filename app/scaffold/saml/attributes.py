"""From what an identity provider says about somebody to who that is here, and what they may do."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..users import Attributes, Identity
from .names import PERSISTENT
from .refusal import Refusal
from .response import Assertion
from .settings import Saml

ENTRA_ISSUER = re.compile(r"https://sts\.windows\.net/([0-9a-fA-F-]{36})/(?:[0-9a-fA-F-]{36}/?)?")
# More than 150 groups are not sent: this comes instead of them, with an address where they could be asked for.
GROUPS_LINK = "http://schemas.microsoft.com/claims/groups.link"
METHODS = "http://schemas.microsoft.com/claims/authnmethodsreferences"
MULTIPLE = "http://schemas.microsoft.com/claims/multipleauthn"

LONGEST_KEY = 255
OVERAGE = (
    "the person is in more groups than Entra sends, so which ones they are is not known: "
    "use app roles, or 'Groups assigned to the application' in the group claim's settings"
)
NO_MFA = "Entra did not say that more than a password was asked for: require it with a Conditional Access policy"


def single(values: Mapping[str, tuple[str, ...]], name: str, reason: str) -> str:
    """Return an attribute's one value; raise `Refusal` where there is none, a blank one, or more than one."""
    found = values.get(name, ())
    if len(found) != 1 or not found[0] or len(found[0]) > LONGEST_KEY:
        raise Refusal(reason, detail={"attribute": name, "values": str(len(found))})
    return found[0]


def identity(assertion: Assertion, saml: Saml) -> Identity:
    """Return whom the assertion is about, by words that never change: no address and no name that could move."""
    if saml.user_key == "name-id":
        if assertion.name_id_format != PERSISTENT:
            raise Refusal("name_id_not_persistent", detail={"format": assertion.name_id_format or "none"})
        return Identity(assertion.issuer, assertion.name_id)
    tenant = single(assertion.attributes, saml.claims.tenant, "bad_tenant")
    object_id = single(assertion.attributes, saml.claims.object_id, "bad_object_id")
    entra = ENTRA_ISSUER.fullmatch(assertion.issuer)
    if entra and entra.group(1).lower() != tenant.lower():
        raise Refusal("tenant_disagrees", detail={"issuer": assertion.issuer, "tenant": tenant})
    return Identity(assertion.issuer, object_id.lower(), tenant.lower())


def roles(assertion: Assertion, saml: Saml) -> tuple[str, ...] | None:
    """Return the roles that somebody has here; None where the identity provider decides about none.

    What is not known is refused, and never read as "no roles": whoever lost a role must not keep it by that.
    """
    if saml.roles_from == "none":
        return None
    if saml.roles_from == "groups":
        if GROUPS_LINK in assertion.attributes:
            raise Refusal("groups_overage", detail={"explanation": OVERAGE})
        groups = assertion.attributes.get(saml.claims.groups, ())
        return tuple(sorted({saml.roles[group] for group in groups if group in saml.roles}))
    said = assertion.attributes.get(saml.claims.roles, ())
    unknown = [role for role in said if role not in saml.roles]
    if unknown:
        wanted = ", ".join(sorted(saml.roles))
        raise Refusal("unknown_role", detail={"role": ", ".join(unknown)[:LONGEST_KEY], "known": wanted})
    return tuple(sorted({saml.roles[role] for role in said}))


def require_methods(assertion: Assertion, saml: Saml) -> None:
    """Raise `Refusal` where more than one factor is required and the identity provider does not say that it was so."""
    if saml.require_mfa and MULTIPLE not in assertion.attributes.get(METHODS, ()):
        raise Refusal("no_multiple_authentication", detail={"explanation": NO_MFA})


def profile(assertion: Assertion, saml: Saml) -> Attributes:
    """Return how somebody is called and what they may do."""
    require_methods(assertion, saml)
    return Attributes(
        email=first(assertion, saml.claims.email),
        display_name=display_name(assertion, saml),
        roles=roles(assertion, saml),
    )


def first(assertion: Assertion, name: str) -> str | None:
    """Return an attribute's first value that is not blank, without what does not belong into a line."""
    for value in assertion.attributes.get(name, ()):
        plain = "".join(character for character in value if character.isprintable()).strip()
        if plain:
            return plain
    return None


def display_name(assertion: Assertion, saml: Saml) -> str | None:
    """Return the name to show: the one that is given as such, else the first and last one."""
    given, last = first(assertion, saml.claims.given_name), first(assertion, saml.claims.surname)
    both = " ".join(part for part in (given, last) if part)
    return first(assertion, saml.claims.display_name) or both or first(assertion, saml.claims.name)
