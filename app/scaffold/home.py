"""The first page."""

from __future__ import annotations

from flask import Blueprint, render_template
from sqlalchemy import text

from .database import db

blueprint = Blueprint("home", __name__)


@blueprint.get("/")
def home() -> str:
    """Show who runs the site and which release and schema it is on."""
    revision = db.session.execute(text("SELECT max(version_num) FROM alembic_version")).scalar()
    return render_template("home.html", revision=revision)
