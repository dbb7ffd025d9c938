"""Somebody in Chromium: what they see, what their browser sent, and which cookies it keeps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response, Route, expect

from tests.app.saml.idp import ACS_URL, SITE

# Other work on the machine is no failure.
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)

SESSION, TRANSACTION = "__Host-scaffold_session", "__Host-saml_tx"
FORM = """([url, fields]) => {
    const form = document.createElement("form");
    form.method = "post";
    form.action = url;
    for (const [name, value] of Object.entries(fields)) {
        const input = document.createElement("input");
        input.name = name;
        input.value = value;
        form.append(input);
    }
    document.body.append(form);
    setTimeout(() => form.submit());
}"""


@dataclass
class Visit:
    """One person's browser, which shares nothing with another one's."""

    context: BrowserContext
    page: Page
    answers: list[Response] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def open(self, path: str = "/") -> Response:
        """Open a page of the site."""
        answer = self.page.goto(SITE + path)
        assert answer is not None
        return answer

    def begin(self, path: str = "/account") -> None:
        """Go where one must be signed in, and from there to the provider."""
        self.open(path)
        self.page.get_by_role("link", name="With your organisation’s account").click()

    def cookie(self, name: str) -> str | None:
        """Return how a cookie of the site may be sent, or None where it is not kept."""
        found = {str(one["name"]): str(one["sameSite"]) for one in self.context.cookies(SITE)}
        return found.get(name)

    def sent(self, url: str, method: str) -> list[tuple[Request, set[str]]]:
        """Return the requests to an address, each with the names of the cookies that it carried."""
        requests = [answer.request for answer in self.answers]
        wanted = [one for one in requests if one.method == method and one.url.partition("?")[0] == url]
        return [(one, names(one.all_headers().get("cookie", ""))) for one in wanted]

    def posted(self) -> list[tuple[Request, set[str]]]:
        """Return the provider's answers that this browser brought to the site."""
        return self.sent(ACS_URL, "POST")

    def hear(self, message: ConsoleMessage) -> None:
        """Keep what the browser finds wrong with the site's pages; what it thinks of a provider's is not ours."""
        if message.type == "error" and message.location["url"].startswith(SITE):
            self.problems.append(message.text)

    def hold_answer(self) -> list[str]:
        """Keep the provider's next answers back from the site, and return where their forms will be."""
        held: list[str] = []

        def keep(route: Route, request: Request) -> None:
            held.append(request.post_data or "")
            route.fulfill(status=204)

        self.page.route(ACS_URL, keep)
        return held

    def bring(self, form: str) -> Response:
        """Send a provider's answer from the page at hand to the site, as the provider's own page does."""
        self.page.unroute_all()
        # The page at hand is loaded already: what is waited for is that the next one is.
        with (
            self.page.expect_event("load"),
            self.page.expect_response(lambda answer: answer.request.method == "POST" and answer.url == ACS_URL) as got,
        ):
            self.page.evaluate(FORM, [ACS_URL, dict(parse_qsl(form))])
        return got.value


def names(cookies: str) -> set[str]:
    """Return the names of the cookies in a header."""
    return {part.partition("=")[0].strip() for part in cookies.split(";") if part.strip()}


@contextmanager
def visit(browser: Browser, **more: object) -> Iterator[Visit]:
    """Open a browser's window with nothing in it, and close it."""
    context = browser.new_context(**more)  # type: ignore[arg-type]
    try:
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        made = Visit(context, page)
        page.on("response", lambda answer: made.answers.append(answer))
        page.on("console", made.hear)
        page.on("pageerror", lambda error: made.problems.append(str(error)))
        yield made
    finally:
        context.close()
