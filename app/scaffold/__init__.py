"""A Flask app for production: settings, database, health, maintenance page, logs."""

from __future__ import annotations

import os

import click
from flask import Flask

from . import (
    access_log,
    account,
    audit,
    csrf,
    database,
    errors,
    forwarded,
    health,
    home,
    journal,
    logs,
    maintenance,
    metrics,
    notices,
    outage,
    pages,
    request_id,
    saml,
    security_headers,
    sessions,
    signin,
)
from .settings import Settings, load

__all__ = ["Settings", "create_app"]


def is_command() -> bool:
    """Tell whether a `flask` command such as `db upgrade` makes the app, and not something that serves pages."""
    context = click.get_current_context(silent=True)
    return context is not None and context.info_name != "run"


def create_app(settings: Settings | None = None) -> Flask:
    """Return the app, with settings from the environment unless given; raise `SettingsError` when they are unusable."""
    command = is_command()
    if settings is None:
        logs.configure()
        settings = load(os.environ, serving=not command)
        logs.configure(settings.log_level, settings.release)
    app = Flask(__name__)
    app.debug = settings.debug
    app.config["RELEASE"] = settings.release
    app.extensions["settings"] = settings
    database.init_app(app, settings)
    sessions.init_app(app, settings)
    audit.init_app(app, settings)
    if command:
        from . import commands, migration, release

        migration.init_app(app)
        release.init_app(app)
        commands.init_app(app)
        saml.add_commands(app)
        return app
    health.init_app(app, settings)
    outage.init_app(app)
    maintenance.init_app(app, settings)
    csrf.init_app(app)
    errors.init_app(app)
    notices.init_app(app)
    pages.init_app(app, settings)
    security_headers.init_app(app, settings)
    app.register_blueprint(home.blueprint)
    signin.init_app(app)
    account.init_app(app)
    journal.init_app(app)
    metrics.init_app(app)
    saml.init_app(app, settings)
    wsgi = forwarded.Forwarded(access_log.AccessLog(app.wsgi_app), settings.site_url, settings.gateway_networks)
    app.wsgi_app = request_id.RequestId(wsgi)  # type: ignore[method-assign]
    return app
