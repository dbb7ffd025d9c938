"""`flask keys`: makes keys, and encrypts anew what was encrypted with an old one.

Nobody's session depends on a key, so that changing one signs nobody out. SECRET_KEY signs what forms keep in a cookie,
and FACTOR_KEY (without one, SECRET_KEY) encrypts the seeds of authenticator apps. Either changes in three releases: the
new key among the fallbacks; the new key first and the old one among the fallbacks; then, after `flask keys renew`, the
old one gone.
"""

from __future__ import annotations

import secrets

import click
from alembic.util import CommandError
from flask.cli import AppGroup
from sqlalchemy import select, update

from .. import audit
from ..database import db
from ..factors import seeds
from ..factors.totp import Totp
from ..release import explained
from .person import by

commands = AppGroup("keys", help="Keys that sign and encrypt.")

BYTES = 48


@commands.command("make")
def make() -> None:
    """Print a new key, for SECRET_KEY, FACTOR_KEY or METRICS_TOKEN."""
    click.echo(secrets.token_urlsafe(BYTES))


def require_keys() -> None:
    """Raise `CommandError` where no setting has the keys."""
    if not seeds.keys():
        raise CommandError("FACTOR_KEY: got nothing, nor SECRET_KEY; wanted the app's own: run this in a web container")


@commands.command("status")
@explained
def status() -> None:
    """Say how many seeds are encrypted with the key of today, with an old one, and with none that is known."""
    require_keys()
    today = old = lost = 0
    for seed in db.session.scalars(select(Totp.seed)):
        if seeds.is_of_first_key(seed):
            today += 1
            continue
        try:
            seeds.opened(seed)
            old += 1
        except seeds.Unreadable:
            lost += 1
    click.echo(f"Seeds with the key of today: {today}; with an old key: {old}; with a key that is gone: {lost}.")
    if old:
        click.echo("Before an old key goes: flask keys renew")


@commands.command("renew")
@by
@explained
def renew(*, by: str) -> None:
    """Encrypt the seeds that an old key encrypts with the key of today, while people go on signing in."""
    require_keys()
    done = lost = 0
    for row_id, seed in db.session.execute(select(Totp.id, Totp.seed)).all():
        if seeds.is_of_first_key(seed):
            continue
        try:
            anew = seeds.sealed(seeds.opened(seed))
        except seeds.Unreadable:
            lost += 1
            continue
        # Not over one that its owner has just replaced.
        db.session.execute(update(Totp).where(Totp.id == row_id, Totp.seed == seed).values(seed=anew))
        db.session.commit()
        done += 1
    detail = {"by": by, "seeds": str(done), "unreadable": str(lost)}
    audit.record("authn_factor_key_changed", method="command", detail=detail)
    click.echo(f"Encrypted anew: {done}.")
    if lost:
        raise CommandError(
            f"{lost} seeds are encrypted with a key that is in no setting: add it to FACTOR_KEY_FALLBACKS and run this "
            "again, or let their owners make new ones (`flask users reset-factors`)"
        )
