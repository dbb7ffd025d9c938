"""M18: every key of a login changes under people at work, on two replicas: nobody fails or is signed out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests.app.saml.idp import SITE, pair
from tests.e2e.site import Site
from tests.login.caller import Caller
from tests.login.conftest import METADATA, USUAL, World, told
from tests.login.signer import Signer, metadata
from tests.login.visit import SESSION
from tests.login.work import Work, person

REPLICAS = 2
OWN_PAIR = ("samlSpCertificate", "samlSpPrivateKey")


@pytest.fixture
def signer(world: World) -> Iterator[Signer]:
    """A provider that the stack is told of, which has two replicas and makes its own pair meanwhile."""
    site, signer = world.site, Signer()
    for key in OWN_PAIR:
        site.pulumi("config", "rm", key)
    for key, value in {**USUAL, "replicas": str(REPLICAS), "samlWantAssertionEncrypted": "true"}.items():
        site.config(key, value)
    world.used = ""
    told(site, "samlIdpMetadata", metadata([signer.key]))
    site.config("samlIdpEntityId", world.providers["entra"].entity_id)
    site.up()
    learn(site, signer)
    yield signer
    for key in ("replicas", "samlWantAssertionEncrypted", "samlSpKeyVersion"):
        site.pulumi("config", "rm", key, check=False)
    told(site, "samlSpCertificate", pair("sp").pem)
    told(site, "samlSpPrivateKey", pair("sp").key_pem, "--secret")


def learn(site: Site, signer: Signer) -> None:
    """Tell the provider what the site says of itself now, as somebody does once the keys have changed."""
    answer = site.get(METADATA, {"Host": urlsplit(SITE).netloc})
    assert answer.status == 200, answer.body
    signer.learn(answer.body)


@contextmanager
def unnoticed(work: Work) -> Iterator[None]:
    """Hold that all get on meanwhile, and that a form and a login end well after it that were begun before."""
    somebody = person("Ada Lovelace")
    with Caller(work.port, "198.51.100.22") as caller:
        work.sign_in(caller, somebody)
        token = work.look(caller, somebody, caller.cookies[SESSION])
        asked = caller.begin("/account?begun=before")
        work.wait_for(pages=20, logins=2)
        yield
        work.wait_for(pages=20, logins=2)
        # The gateway has closed what nobody used for so long.
        caller.connection.close()
        work.sign_out(caller, token)
        entered = caller.bring(work.signer.answer(asked, somebody), asked)
        assert (entered.status, entered.headers["Location"]) == (303, "/account?begun=before"), entered.body
    assert work.failures == []


@pytest.mark.slow
def test_keys_change_and_nobody_notices(world: World, signer: Signer) -> None:
    site = world.site
    assert len(site.containers("web", running=True)) == REPLICAS
    first, second = signer.key, pair("idp-next")
    with Work(site.port, signer) as work:
        for version in ("2", "3"):
            with unnoticed(work):
                site.config("secretKeyVersion", version)
                site.up()
        (_, published) = signer.trusted
        with unnoticed(work):
            site.config("samlSpKeyVersion", "2")
            site.up()
        learn(site, signer)
        assert signer.trusted[0] == published
        with unnoticed(work):
            told(site, "samlIdpMetadata", metadata([first, second]))
            site.up()
        signer.key = second
        with unnoticed(work):
            told(site, "samlIdpMetadata", metadata([second]))
            site.up()
    assert work.failures == []
    assert len(site.containers("web", running=True)) == REPLICAS
