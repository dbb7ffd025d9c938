"""People sign in and out by real identity providers, in Chromium, over HTTPS that a proxy in front ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.app.saml.idp import ACS_URL, SITE, SUCCESS
from tests.login.conftest import World
from tests.login.entra import Entra
from tests.login.process import Program
from tests.login.visit import SESSION, TRANSACTION, Visit, visit


@pytest.fixture
def entra(world: World) -> Entra:
    """The provider in Entra's shape, which the stack is told of."""
    provider = world.use("entra")
    assert isinstance(provider, Entra)
    return provider


@pytest.fixture
def ada(world: World) -> Iterator[Visit]:
    """Ada's browser."""
    with visit(world.browser) as made:
        yield made


def press(somebody: Visit) -> None:
    """Say to the provider who one is."""
    somebody.page.get_by_role("button", name="Sign in as Ada").click()


def sign_in(somebody: Visit) -> None:
    """Sign in as Ada."""
    somebody.begin()
    press(somebody)
    expect(somebody.page.get_by_role("heading", name="Ada Lovelace")).to_be_visible()


def is_signed_out(somebody: Visit) -> None:
    """Hold that the site knows nobody in this browser."""
    somebody.open("/account")
    expect(somebody.page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_ada_signs_in_and_out_here_and_at_the_provider(entra: Entra, ada: Visit) -> None:
    sign_in(ada)
    assert ada.page.url == f"{SITE}/account"
    assert ada.cookie(SESSION) == "Lax"
    assert ada.cookie(TRANSACTION) == "None"
    expect(ada.page.get_by_text("ada@example.org")).to_contain_text("admin")
    assert len(entra.held) == 1
    ada.page.get_by_role("button", name="Sign out").click()
    ada.page.wait_for_url(f"{SITE}/")
    assert ada.cookie(SESSION) is None
    assert entra.held == {}
    is_signed_out(ada)
    assert ada.problems == []


def test_whoever_signs_out_at_the_provider_is_signed_out_here(entra: Entra, ada: Visit) -> None:
    sign_in(ada)
    entra.confirmed.clear()
    ada.page.goto(f"{entra.origin}/logout")
    expect(ada.page.get_by_role("heading", name="You are signed out everywhere")).to_be_visible()
    assert entra.confirmed == [SUCCESS]
    is_signed_out(ada)


def test_the_providers_form_brings_the_cookie_of_the_login_and_never_that_of_the_session(
    entra: Entra, ada: Visit
) -> None:
    sign_in(ada)
    ada.answers.clear()
    ada.open("/auth/login/saml?next=/account")
    press(ada)
    expect(ada.page.get_by_role("heading", name="Ada Lovelace")).to_be_visible()
    ((form, brought),) = ada.posted()
    assert form.all_headers()["sec-fetch-site"] == "cross-site"
    assert brought == {TRANSACTION}
    ((_, shown),) = ada.sent(f"{SITE}/account", "GET")
    assert SESSION in shown


def test_a_login_whose_cookie_were_lax_would_be_refused(entra: Entra, ada: Visit) -> None:
    ada.begin()
    (kept,) = (one for one in ada.context.cookies(SITE) if one["name"] == TRANSACTION)
    lax = {"name": TRANSACTION, "value": kept["value"], "url": SITE, "secure": True, "sameSite": "Lax"}
    ada.context.add_cookies([lax])  # type: ignore[list-item]
    press(ada)
    expect(ada.page.get_by_text("Reference")).to_be_visible()
    ((_, brought),) = ada.posted()
    assert brought == set()
    assert ada.cookie(SESSION) is None


def test_another_browser_cannot_use_her_answer_and_she_can_once(world: World, entra: Entra, ada: Visit) -> None:
    ada.begin()
    (form,) = held_by(ada)
    with visit(world.browser) as eve:
        eve.page.goto(entra.origin)
        assert eve.bring(form).status == 403
        eve.begin()
        assert eve.bring(form).status == 403
        assert eve.cookie(SESSION) is None
    assert ada.bring(form).status == 303
    expect(ada.page.get_by_role("heading", name="Ada Lovelace")).to_be_visible()
    ada.page.goto(entra.origin)
    assert ada.bring(form).status == 403


def held_by(somebody: Visit) -> list[str]:
    """Sign in at the provider, and keep its answer back from the site."""
    held = somebody.hold_answer()
    with somebody.page.expect_request(ACS_URL):
        press(somebody)
    somebody.page.wait_for_timeout(0)
    return held


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_pages_look_right(world: World, entra: Entra, artefacts: Path, scheme: str, width: int) -> None:
    with visit(world.browser, color_scheme=scheme, viewport={"width": width, "height": 800}) as ada:

        def look(name: str) -> None:
            assert ada.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{name} at {width}"
            ada.page.screenshot(path=artefacts / f"{name}-{scheme}-{width}.png", full_page=True)

        ada.open("/account")
        look("sign-in")
        sign_in(ada)
        look("account")
        ada.page.get_by_role("link", name="Audit log").click()
        expect(ada.page.get_by_role("heading", name="Audit log")).to_be_visible()
        look("audit")
        ada.page.goto(entra.origin)
        ada.bring("SAMLResponse=eA==")
        expect(ada.page.get_by_text("reference")).to_be_visible()
        look("refused")


def enter(somebody: Visit, provider: Program) -> None:
    """Say to a provider of another make who one is."""
    for label, value in provider.fields:
        somebody.page.get_by_label(label).fill(value)
    somebody.page.get_by_role("button", name=provider.button).click()
    expect(somebody.page.get_by_role("heading", name=provider.person)).to_be_visible()
    expect(somebody.page.get_by_text(provider.email)).to_be_visible()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["crewjam", "samlp"])
def test_providers_of_another_make_sign_people_in_whom_the_site_then_signs_out(
    world: World, ada: Visit, name: str
) -> None:
    provider = world.use(name)
    assert isinstance(provider, Program)
    ada.begin()
    enter(ada, provider)
    assert ada.cookie(SESSION) == "Lax"
    ((form, brought),) = ada.posted()
    assert form.all_headers()["sec-fetch-site"] == "cross-site"
    assert brought == {TRANSACTION}
    ada.page.get_by_role("button", name="Sign out").click()
    ada.page.wait_for_url(f"{SITE}/")
    is_signed_out(ada)
    assert ada.problems == []


@pytest.mark.slow
def test_a_provider_of_another_make_ends_sessions_here_and_has_its_own_ended(world: World, ada: Visit) -> None:
    provider = world.use("samlp")
    assert isinstance(provider, Program)
    ada.begin()
    enter(ada, provider)
    ada.page.get_by_role("button", name="Sign out").click()
    ada.page.wait_for_url(f"{SITE}/")
    ada.begin()
    # Nobody is known there any more either.
    enter(ada, provider)
    ada.page.goto(f"{provider.origin}/logout")
    expect(ada.page.get_by_text("OK", exact=True)).to_be_visible()
    is_signed_out(ada)
    ada.begin()
    expect(ada.page.get_by_role("button", name=provider.button)).to_be_visible()
    assert ada.problems == []
