"""Somebody else's suite of hostile responses, which Italy's federation makes its members pass, against the stack."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.app.saml.idp import SITE
from tests.login import tunnel
from tests.login.conftest import METADATA, World
from tests.login.entra import XMLSEC
from tests.login.spid.suite import Suite

# What only SPID's own rules forbid: a name's format and its qualifier, an issuer's format, its levels of assurance.
OF_SPID_ALONE = {"30", *map(str, range(45, 50)), *map(str, range(70, 73)), *map(str, range(94, 98))}
LEAST = 90


@pytest.mark.slow
def test_all_that_italy_tries_is_answered_right(world: World, tmp_path: Path) -> None:
    if XMLSEC is None:
        pytest.skip("the program xmlsec1, by which the suite signs, is not installed")
    world.use("entra")
    metadata = world.site.get(METADATA, {"Host": urlsplit(SITE).netloc}).body
    suite = Suite(tmp_path)
    suite.install()
    names = [name for name in suite.names() if name not in OF_SPID_ALONE]
    with tunnel.leading_to(world.front.port) as proxy:
        found = suite.send(metadata, proxy, names)
    assert [one.id for one in found] == names
    assert len(found) >= LEAST
    # An error of the site would do for the suite, and is none of what a site may answer.
    assert [one for one in found if not one.passed or one.status >= 500] == []
