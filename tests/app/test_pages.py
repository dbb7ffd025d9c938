"""The pages of signing in, in Chromium: with passkeys of a virtual authenticator, without JavaScript, for everybody."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from flask import Flask
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, expect
from scaffold import audit
from scaffold.settings import Settings
from sqlalchemy import make_url
from werkzeug.serving import make_server

from tests.app.browser import EMAIL, PASSWORD, Browser, add_account
from tests.app.conftest import Postgres, running
from tests.e2e.browser import chromium

KEY = {
    "protocol": "ctap2",
    "transport": "usb",
    "hasResidentKey": False,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


# What is wider than its place: the page itself, or anything in it that scrolls or hides the rest.
CUT_OFF = """() => [document.documentElement, ...document.querySelectorAll("main *:not(input, select, option, svg *)")]
  .filter(one => one === document.documentElement || getComputedStyle(one).overflowX !== "visible")
  .filter(one => one.clientWidth > 1 && one.scrollWidth > one.clientWidth).map(one => one.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def program() -> Iterator[Chromium]:
    """Chromium."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def served(settings: Settings, postgres: Postgres, migrated: str, light_hashes: None) -> Iterator[Flask]:
    """The app of a trial, which Chromium can reach; localhost counts as a secure origin."""
    urls = postgres.copy(migrated)
    with running(settings) as placeholder:
        server = make_server("127.0.0.1", 0, placeholder, threaded=True)
    chosen = replace(
        settings,
        environment="development",
        password_login_enabled=True,
        site_url=f"http://localhost:{server.server_port}",
        database_url=make_url(urls.app).set(host=postgres.address),
    )
    with running(chosen) as app:
        app.extensions["urls"] = urls
        server.app = app
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield app
        finally:
            server.shutdown()
            thread.join(10)
            server.server_close()


@pytest.fixture
def context(program: Chromium, served: Flask) -> Iterator[BrowserContext]:
    """A window of its own."""
    context = program.new_context(base_url=served.extensions["settings"].site_url)
    context.set_default_timeout(20_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A page on which nothing goes wrong unnoticed, and that has a security key."""
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    devtools = context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": KEY})
    return page


def give_password(page: Page) -> None:
    """Fill in the first form."""
    page.goto("/auth/login")
    page.get_by_role("link", name="With address and password").click()
    page.get_by_label("Address").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()


def test_somebody_enrols_a_passkey_signs_out_and_in_with_it_and_shows_it_again(served: Flask, page: Page) -> None:
    add_account(served)
    give_password(page)
    page.get_by_label("Name of the key").fill("Blue key")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("heading", name="Keep these codes")).to_be_visible()
    assert page.get_by_role("listitem").count() == 10
    page.get_by_role("link", name="I have kept them").click()
    page.goto("/account")
    page.get_by_role("button", name="Sign out").click()

    give_password(page)
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(re.compile(r"/$"))
    page.goto("/account")
    expect(page.get_by_text("Passkey “Blue key”, last used")).to_be_visible()

    page.goto("/account/prove")
    form = page.locator("form[data-passkey]")
    form.get_by_label("Password").fill(PASSWORD)
    form.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(re.compile(r"/$"))
    with served.app_context(), audit.engine().connect() as connection:
        assert audit.newest(connection, 1)[0]["event"] == "authn_reauthenticated"


def test_a_key_whose_owner_is_not_there_says_so_and_signs_nobody_in(
    served: Flask, page: Page, context: BrowserContext
) -> None:
    add_account(served)
    give_password(page)
    page.get_by_role("button", name="Add a passkey").click()
    page.get_by_role("link", name="I have kept them").click()
    page.goto("/account")
    page.get_by_role("button", name="Sign out").click()
    context.new_cdp_session(page)
    fresh = context.new_page()
    give_password(fresh)
    devtools = context.new_cdp_session(fresh)
    devtools.send("WebAuthn.enable")
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": {**KEY, "isUserVerified": False}})
    fresh.get_by_role("button", name="Use a passkey").click()
    expect(fresh.get_by_text("The browser could not use a passkey")).to_be_visible(timeout=60_000)
    assert "scaffold_session" not in {cookie.get("name") for cookie in context.cookies()}


def test_everything_but_passkeys_works_without_javascript(served: Flask, program: Chromium) -> None:
    add_account(served)
    context = program.new_context(base_url=served.extensions["settings"].site_url, java_script_enabled=False)
    page = context.new_page()
    give_password(page)
    assert not page.get_by_role("button", name="Add a passkey").is_visible()
    expect(page.get_by_text("Passkeys need JavaScript")).to_be_visible()
    reader = Browser(served)
    reader.seed = base64.b32decode(page.locator("code.letters").inner_text())
    page.get_by_label("Code from the app").fill(reader.code())
    page.get_by_role("button", name="Add the app").click()
    page.get_by_role("link", name="I have kept them").click()
    page.goto("/account")
    page.get_by_role("button", name="Sign out").click()
    give_password(page)
    page.get_by_label("Code from your app, or a recovery code").fill(reader.code())
    page.get_by_role("button", name="Continue").click()
    page.goto("/account")
    expect(page.get_by_role("heading", name="On Call")).to_be_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_shuts_anybody_out_or_breaks_its_policy(served: Flask, page: Page, scheme: str, tmp_path: Path) -> None:
    """What axe finds is nothing, in either scheme and on a telephone's width too; nothing sticks out or is cut off."""
    add_account(served, EMAIL, PASSWORD, "admin")
    with served.app_context():
        audit.record("authn_login_fail", method="saml", reason="no_transaction_cookie", detail={"toolkit": "x" * 400})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)

    def look(name: str) -> None:
        for width, height in ((390, 844), (1280, 800)):
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate(CUT_OFF) == [], f"{name} at {width}"
            found = Axe().run(page)
            assert found.violations_count == 0, f"{name} at {width}: {found.generate_report()}"
            page.screenshot(path=tmp_path / f"{name}-{scheme}-{width}.png", full_page=True)

    page.goto("/auth/login")
    look("sign-in")
    give_password(page)
    look("enrol")
    page.get_by_label("Code from the app").fill("000000")
    page.get_by_role("button", name="Add the app").click()
    look("enrol-wrong")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("heading", name="Keep these codes")).to_be_visible()
    look("recovery-codes")
    for path in ("account", "account/prove", "account/factors/new", "account/password", "audit", "nowhere"):
        page.goto(f"/{path}")
        look(path.replace("/", "-"))
    page.goto("/account")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("status")).to_have_text("You are signed out.")
    look("signed-out")
    page.goto("/auth/login/password")
    look("password")
    page.locator("[name=csrf_token]").evaluate("field => field.value = ''")
    page.locator("form").evaluate("form => form.submit()")
    expect(page.get_by_role("link", name="Sign in again")).to_be_visible()
    look("refused")
    give_password(page)
    look("factor")
    assert [text for text in complaints if "403" not in text and "404" not in text] == []
