"""The maintenance page: one template, rendered here once, served by the gateway and by the app."""

from __future__ import annotations

import html
from pathlib import Path
from string import Template

from infra.model import File
from infra.release import public_file
from infra.settings import Settings

TEMPLATE = Path(__file__).resolve().parent.parent / "gateway" / "maintenance.html.tmpl"
FILE = "maintenance.html"


def page(settings: Settings) -> File:
    """Return the rendered page as a file."""
    return public_file(FILE, render(settings, TEMPLATE.read_text(encoding="utf-8")))


def render(settings: Settings, template: str) -> str:
    """Return the page with every setting escaped; raise KeyError or ValueError for a template that cannot be filled."""
    return Template(template).substitute(
        brand=html.escape(settings.site_name),
        title=html.escape(f"{settings.site_name} is being looked after"),
        message=html.escape(settings.maintenance_message),
        contact=contact(settings),
    )


def contact(settings: Settings) -> str:
    """Return the contact line, or nothing where none is set; a link goes before a mail address."""
    email, link = settings.maintenance_contact_email, settings.maintenance_contact_link
    target = link or (f"mailto:{email}" if email else "")
    label = settings.maintenance_contact_label or email or link
    if not label:
        return ""
    text = html.escape(label)
    if not target:
        return f'<p class="contact">{text}</p>'
    return f'<p class="contact"><a href="{html.escape(target)}">{text}</a></p>'
