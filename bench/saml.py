"""A login by SAML: the CPU time of all that is looked at in an answer, over python3-saml's own look at the same one."""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "app"))

from lxml import etree
from onelogin.saml2.response import OneLogin_Saml2_Response
from scaffold.saml import attributes, keys, toolkit, verification, wire
from scaffold.saml.provider import Provider
from scaffold.saml.response import Expected
from scaffold.saml.settings import Saml

from bench.row import Row, spread
from tests.app.saml import idp

TURNS, LOGINS = 15, 60
BOUND = 1.4
REQUEST = "_bench"


def rows() -> list[Row]:
    """Look at one answer many times, in turn by both; the database has no part in it."""
    certificate = keys.certificate(idp.pair("idp").pem)
    saml = Saml(
        sp_entity_id=idp.ENTITY_ID,
        acs_url=idp.ACS_URL,
        sls_url=idp.SLS_URL,
        idp_entity_id=idp.ISSUER,
        sso_url=idp.SSO_URL,
        idp_certificates=(certificate,),
    )
    provider = Provider(idp.ISSUER, idp.SSO_URL, None, (certificate.pem,))
    root = idp.signed(idp.Said(REQUEST))
    message = idp.encoded(root)
    asked = datetime.now(UTC) - timedelta(seconds=10)
    expected = Expected(idp.ISSUER, idp.ENTITY_ID, idp.ACS_URL, REQUEST, asked)

    def ours() -> None:
        found = verification.verify(wire.decoded(message), saml, provider, expected, datetime.now(UTC))
        attributes.identity(found, saml)
        attributes.profile(found, saml)

    def bare() -> None:
        taken = OneLogin_Saml2_Response(toolkit.settings(saml, provider), message)
        assert taken.is_valid(toolkit.request_data(idp.ACS_URL), REQUEST, raise_exceptions=True)
        taken.get_nameid()
        taken.get_attributes()

    ours()
    bare()
    pairs = [(cpu(ours), cpu(bare)) for _ in range(TURNS)]
    mine, theirs = ([pair[place] * 1000 for pair in pairs] for place in (0, 1))
    ratio = statistics.median(one / other for one, other in pairs)
    how = f"ms of CPU for an answer of {len(etree.tostring(root))} bytes: ours {spread(mine)}; bare {spread(theirs)}"
    return [Row("login by SAML: CPU time over bare python3-saml", ratio, BOUND, "of its time", how)]


def cpu(look: Callable[[], None]) -> float:
    """Return the seconds of CPU time that one look takes, over some of them."""
    gc.collect()
    began = time.process_time()
    for _ in range(LOGINS):
        look()
    return (time.process_time() - began) / LOGINS
