"""The maintenance page as it is rendered from the settings."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from infra import maintenance
from infra.settings import read

TEMPLATE = "<h1>$brand</h1><title>$title</title><p>$message</p>$contact"


class Tags(HTMLParser):
    """Collects the tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        """Keep a tag."""
        self.found.append(tag)


def rendered(**given: str) -> str:
    """Render the small template with settings."""
    return maintenance.render(read({"environment": "development", **given}), TEMPLATE)


@given(st.text(max_size=200))
def test_no_message_brings_its_own_markup_onto_the_page(message: str) -> None:
    tags = Tags()
    tags.feed(rendered(maintenanceMessage=message))
    assert tags.found == ["h1", "title", "p"]


def test_without_a_contact_there_is_no_contact_line() -> None:
    assert "contact" not in rendered()


def test_a_mail_address_becomes_a_link_with_its_label() -> None:
    """M6: contact and label are on the page."""
    page = rendered(maintenanceContactEmail="ops@example.com", maintenanceContactLabel="Operations & friends")
    assert '<a href="mailto:ops@example.com">Operations &amp; friends</a>' in page


def test_a_link_goes_before_a_mail_address() -> None:
    page = rendered(maintenanceContactEmail="ops@example.com", maintenanceContactLink="https://status.example.com/")
    assert '<a href="https://status.example.com/">ops@example.com</a>' in page


def test_a_label_alone_is_plain_text() -> None:
    assert '<p class="contact">Ask at the desk</p>' in rendered(maintenanceContactLabel="Ask at the desk")


def test_the_template_can_be_filled() -> None:
    page = maintenance.page(read({"environment": "development", "maintenanceMessage": "Back at <noon>."}))
    assert "Back at &lt;noon&gt;." in str(page.content)
    assert "$" not in str(page.content)
