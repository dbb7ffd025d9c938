"""`flask saml`: says what Entra must be told and what does not fit, and looks after whose signatures are trusted."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from flask import Flask
from flask.cli import AppGroup
from sqlalchemy.exc import SQLAlchemyError

from .. import database, settings
from ..moments import now
from ..settings import Settings, SettingsError

if TYPE_CHECKING:
    from .findings import Finding, Trusted
    from .settings import Saml

commands = AppGroup("saml", help="Signing in through an identity provider.")
MARKS = {"wrong": "✗", "soon": "!", "note": "·"}


def configured() -> tuple[Settings, Saml]:
    """Return the settings that the app would serve with; end with a line for each that cannot be used."""
    try:
        found = settings.load(os.environ)
    except SettingsError as error:
        for problem in error.problems:
            click.echo(f"{MARKS['wrong']} {problem}", err=True)
        sys.exit(1)
    if found.saml is None:
        click.echo("SAML is off: no setting that begins with SAML_ is set. Begin with SAML_IDP_ENTITY_ID.", err=True)
        sys.exit(1)
    return found, found.saml


@commands.command("check")
@click.option("--json", "as_json", is_flag=True, help="The same, for programs.")
def check(*, as_json: bool) -> None:
    """Print what Entra must be told, what is trusted, and what does not fit; exit with 1 where something is wrong."""
    from . import findings, trust

    found, saml = configured()
    fetched = None
    problems = []
    try:
        trusted = trust.known(saml)
        if saml.metadata_url is not None:
            fetched = trust.fetched(saml)
    except SQLAlchemyError as error:
        trusted = trust.of_settings(saml)
        words = f"what was fetched cannot be read: {database.reason(error)}"
        problems.append(findings.Finding("wrong", "SQLALCHEMY_DATABASE_URI", words))
    told = findings.told(saml, found.site_url)
    problems += findings.findings(saml, trusted, fetched, now())
    if as_json:
        click.echo(document(told, trusted, problems))
    else:
        click.echo(report(told, trusted, problems))
    if any(problem.weight == "wrong" for problem in problems):
        sys.exit(1)


def report(told: list[tuple[str, str]], trusted: list[Trusted], problems: list[Finding]) -> str:
    """Return it for people."""
    width = max(len(name) for name, _ in told)
    lines = ["Entra must be told (Enterprise application > Single sign-on > SAML):"]
    lines += [f"  {name.ljust(width)}  {value}" for name, value in told]
    lines += ["", "Signatures are taken by these certificates:"]
    lines += [
        f"  {one.certificate.thumbprint}  until {one.certificate.ends:%Y-%m-%d}  from {one.source}  "
        f"{one.certificate.subject}"
        for one in trusted
    ] or ["  none"]
    lines += ["", "What does not fit:"]
    lines += [f"  {MARKS[one.weight]} {one.about}: {one.words}" for one in problems] or ["  nothing"]
    return "\n".join(lines)


def document(told: list[tuple[str, str]], trusted: list[Trusted], problems: list[Finding]) -> str:
    """Return it for programs."""
    return json.dumps(
        {
            "told": dict(told),
            "trusted": [
                {
                    "fingerprint": one.certificate.fingerprint,
                    "thumbprint": one.certificate.thumbprint,
                    "subject": one.certificate.subject,
                    "ends": one.certificate.ends.isoformat(),
                    "source": one.source,
                }
                for one in trusted
            ],
            "findings": [{"weight": one.weight, "about": one.about, "words": one.words} for one in problems],
        },
        indent=2,
    )


@commands.command("refresh")
def refresh() -> None:
    """Fetch the identity provider's metadata now, and keep it."""
    from . import trust

    _, saml = configured()
    try:
        added = trust.refresh(saml)
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    except SQLAlchemyError as error:
        raise click.ClickException(f"the database could not be asked: {database.reason(error)}") from None
    for one in added:
        click.echo(f"Trusted from now on: {one.thumbprint} until {one.ends:%Y-%m-%d}, {one.subject}")
    click.echo(f"The metadata was fetched: {len(added)} new certificate{'' if len(added) == 1 else 's'}.")


@commands.command("distrust")
@click.argument("fingerprint")
def distrust(fingerprint: str) -> None:
    """Take no more signatures by a certificate that metadata brought; FINGERPRINT is its SHA-256 or its thumbprint."""
    from . import keys, trust

    _, saml = configured()
    wanted = fingerprint.replace(":", "").strip().lower()
    try:
        known = [keys.certificate(row.pem) for row in trust.trusted(saml.idp_entity_id)]
        chosen = [one for one in known if wanted in (one.fingerprint, one.thumbprint.lower())]
        if not chosen:
            shown = ", ".join(one.thumbprint for one in known) or "none"
            wanted_words = "one that metadata brought (those of settings are taken out of SAML_IDP_X509_CERTS)"
            raise click.ClickException(f"{fingerprint}: got no such certificate; wanted {wanted_words}: {shown}")
        trust.distrust(saml, chosen[0].fingerprint)
    except SQLAlchemyError as error:
        raise click.ClickException(f"the database could not be asked: {database.reason(error)}") from None
    click.echo(f"Trusted no more: {chosen[0].thumbprint}, {chosen[0].subject}")


@commands.command("new-pair")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--name", default="scaffold", show_default=True, help="The name in the certificate.")
@click.option("--days", type=click.IntRange(1, 3650), default=1095, show_default=True, help="How long it is good for.")
def new_pair(folder: Path, name: str, days: int) -> None:
    """Make a key pair for this site in FOLDER: sp.key and sp.crt, neither of which may be there."""
    from . import keys

    folder.mkdir(parents=True, exist_ok=True)
    key, certificate = keys.new_pair(name, days, now())
    for file, content, mode in (("sp.key", key, 0o600), ("sp.crt", certificate, 0o644)):
        try:
            descriptor = os.open(folder / file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError:
            raise click.ClickException(f"{folder / file} is there already: choose another folder") from None
        with os.fdopen(descriptor, "w", encoding="ascii") as written:
            written.write(content)
            written.flush()
            os.fsync(written.fileno())
    click.echo(f"Made {folder / 'sp.key'} and {folder / 'sp.crt'}, good for {days} days.")
    click.echo("To change keys without anybody noticing: set SAML_SP_X509_CERT_NEW to the new certificate and tell the")
    click.echo(
        "identity provider; then make it SAML_SP_X509_CERT, with SAML_SP_PRIVATE_KEY_OLD as the former key; then"
    )
    click.echo("take that and the former certificate away.")


def init_app(app: Flask) -> None:
    """Add the commands."""
    app.cli.add_command(commands)
