"""`flask users`: makes local accounts, and keeps people out or lets them in."""

from __future__ import annotations

import re

import click
from alembic.util import CommandError
from flask.cli import AppGroup
from sqlalchemy import select

from .. import audit, factors, hashing, passwords, sessions, throttle, users
from ..database import db
from ..release import explained
from .person import by, local, named

commands = AppGroup("users", help="People who may sign in.")

ADDRESS = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}")
ROLE = re.compile(r"[a-z][a-z0-9_-]{0,31}")
HOURS = int(passwords.ISSUED_FOR.total_seconds() // 3600)


def issued(user: users.User) -> str:
    """Give a user a password for one sign-in; raise `CommandError` where that cannot be made just now."""
    try:
        return passwords.issue(user)
    except hashing.Busy:
        raise CommandError("the machine was too busy to hash a password: nothing was changed, run this again") from None


def checked_roles(roles: tuple[str, ...]) -> tuple[str, ...]:
    """Return the roles; raise `CommandError` for one that is no name."""
    for role in roles:
        if not ROLE.fullmatch(role):
            raise CommandError(f"--role: got {role!r}; wanted a short name in small letters, such as {users.ADMIN}")
    return tuple(sorted(set(roles)))


@commands.command("list")
@explained
def show() -> None:
    """Show everybody, those with a password first."""
    found = list(db.session.scalars(select(users.User).order_by(users.User.local.desc(), users.User.email)))
    for user in found:
        kind = "local" if user.local else "provider"
        state = "disabled" if user.disabled_at else "enabled"
        roles = ",".join(user.roles) or "-"
        click.echo(f"{user.id}  {kind:8}  {state:8}  {user.email or '-'}  {user.display_name or '-'}  {roles}")
    if not found:
        click.echo("Nobody yet.")


@commands.command("add")
@click.argument("email")
@click.option("--name", default=None, help="What the person is called.")
@click.option("--role", "roles", multiple=True, help="A role; may be given more than once.")
@by
@explained
def add(*, email: str, name: str | None, roles: tuple[str, ...], by: str) -> None:
    """Make a local account, and print a password for its first sign-in."""
    if not ADDRESS.fullmatch(email):
        raise CommandError(f"got {email!r}; wanted an address, such as oncall@example.org")
    chosen = checked_roles(roles)
    if users.local_of(email) is not None:
        raise CommandError(f"{email} is there already: `flask users password {email}` gives it a new password")
    user = users.User(email=email, display_name=name, roles=list(chosen), local=True)
    db.session.add(user)
    db.session.flush()
    password, user_id = issued(user), user.id
    db.session.commit()
    audit.record("user_created", user_id=user_id, method="command", detail={"by": by, "roles": ",".join(chosen)})
    told(email, password)


def told(email: str, password: str) -> None:
    """Print a password, which is shown only now."""
    click.echo(f"Password of {email}, good for one sign-in within {HOURS} hours, in which it is changed:\n{password}")


@commands.command("password")
@click.argument("words", metavar="USER")
@by
@explained
def password(*, words: str, by: str) -> None:
    """Give a local account a new password for one sign-in, and end its sessions."""
    user = local(words)
    made, user_id, email = issued(user), user.id, user.email or words
    ended = sessions.end_all(user_id)
    throttle.unlock(*throttle.of(email, user_id))
    db.session.commit()
    detail = {"by": by, "sessions_ended": str(ended)}
    audit.record("authn_password_change", user_id=user_id, method="command", detail=detail)
    told(email, made)


@commands.command("reset-factors")
@click.argument("words", metavar="USER")
@by
@explained
def reset_factors(*, words: str, by: str) -> None:
    """Remove every second factor of a local account, which makes a new one when it signs in next."""
    user = local(words)
    user_id = user.id
    factors.remove_all(user_id)
    ended = sessions.end_all(user_id)
    db.session.commit()
    detail = {"by": by, "sessions_ended": str(ended)}
    audit.record("authn_factor_removed", user_id=user_id, method="command", reason="all", detail=detail)
    click.echo(f"{words} has no second factor now. Sessions that were ended: {ended}.")


@commands.command("unlock")
@click.argument("words", metavar="USER")
@by
@explained
def unlock(*, words: str, by: str) -> None:
    """Listen again to a local account that too many wrong tries have locked."""
    user = local(words)
    user_id, email = user.id, user.email or ""
    found = throttle.unlock(*throttle.of(email, user_id))
    db.session.commit()
    if found:
        audit.record("authn_login_unlock", user_id=user_id, method="command", detail={"by": by})
    click.echo(f"{words} is listened to again." if found else f"{words} was not locked.")


@commands.command("disable")
@click.argument("words", metavar="USER")
@by
@explained
def disable(*, words: str, by: str) -> None:
    """Keep a person out from now on, however they sign in, and end their sessions."""
    user = named(words)
    user_id = user.id
    users.disable(user)
    db.session.commit()
    audit.record("user_disabled", user_id=user_id, method="command", detail={"by": by})
    click.echo(f"{words} is kept out, and signed out everywhere.")


@commands.command("enable")
@click.argument("words", metavar="USER")
@by
@explained
def enable(*, words: str, by: str) -> None:
    """Let a person in again."""
    user = named(words)
    user_id = user.id
    users.enable(user)
    db.session.commit()
    audit.record("user_enabled", user_id=user_id, method="command", detail={"by": by})
    click.echo(f"{words} may sign in again.")


@commands.command("roles")
@click.argument("words", metavar="USER")
@click.option("--role", "roles", multiple=True, help="A role; may be given more than once. None takes all away.")
@by
@explained
def give(*, words: str, roles: tuple[str, ...], by: str) -> None:
    """Give a local account these roles and no other, and end its sessions; a provider's people get theirs from it."""
    user = local(words)
    chosen, before, user_id = checked_roles(roles), tuple(user.roles), user.id
    users.give_roles(user, chosen)
    db.session.commit()
    detail = {"by": by, "before": ",".join(before), "after": ",".join(chosen)}
    audit.record("privilege_permissions_changed", user_id=user_id, method="command", detail=detail)
    click.echo(f"Roles of {words}: {', '.join(chosen) or 'none'}.")
