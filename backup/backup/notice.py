"""Tells others what a run came to: a web hook, a dead man's switch, and mail. None of them changes what came of it."""

from __future__ import annotations

import http.client
import json
import smtplib
import ssl
import threading
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from backup import line, setting
from backup.error import StopError

SECONDS = 10.0
# A server that sends a byte now and then would otherwise hold up the next run.
WHOLE_SECONDS = 20.0
PINGS = {
    "start": "/start", "success": "", "failure": "/fail", "overdue": "/fail", "drill-failure": "/fail",
    "archive-gap": "/fail", "archive-failing": "/fail",
}  # fmt: skip
MAILED = (
    "failure", "overdue", "recovered", "drill-failure", "drill-recovered", "archive-gap", "archive-failing",
    "archive-recovered", "restore-done", "restore-rejected", "restore-failed", "restore-held",
)  # fmt: skip


class Channels(NamedTuple):
    """Where to tell it; addresses are secrets, as who knows one can write there."""

    webhook: SplitResult | None
    ping: SplitResult | None
    smtp: SplitResult | None
    sender: str
    recipients: tuple[str, ...]

    def __repr__(self) -> str:
        """Show which there are."""
        return f"Channels({', '.join(name for name in ('webhook', 'ping', 'smtp') if getattr(self, name))})"


class Event(NamedTuple):
    """What happened, in a word, and what belongs to it."""

    name: str
    fields: Mapping[str, object]


def find(environ: Mapping[str, str]) -> Channels:
    """Return the configured channels; raise StopError that names the unusable setting and quotes no address."""
    smtp = address("BACKUP_SMTP_URL", ("smtp", "smtps"), environ)
    recipients = setting.words("BACKUP_MAIL_TO", environ)
    sender = setting.read("BACKUP_MAIL_FROM", environ) or ""
    if smtp and not (recipients and sender):
        raise StopError("BACKUP_MAIL_TO and BACKUP_MAIL_FROM: wanted both with BACKUP_SMTP_URL")
    if recipients and not smtp:
        raise StopError("BACKUP_SMTP_URL: not set, wanted with BACKUP_MAIL_TO: smtp://user:password@host:587")
    return Channels(
        webhook=address("BACKUP_WEBHOOK_URL", ("https", "http"), environ),
        ping=address("BACKUP_PING_URL", ("https", "http"), environ),
        smtp=smtp,
        sender=sender,
        recipients=recipients,
    )


def address(name: str, schemes: tuple[str, ...], environ: Mapping[str, str]) -> SplitResult | None:
    """Return an address from a setting, None where it is not set."""
    text = setting.read(name, environ)
    if not text:
        return None
    try:
        found = urlsplit(text)
        usable = found.scheme in schemes and bool(found.hostname) and (found.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise StopError(f"{name}: wanted a URL that begins with {schemes[0]}://, with a host")
    return found


def tell(channels: Channels, event: Event) -> bool:
    """Tell an event to every channel that wants it; one that does not answer is passed over, and that is told here.

    Return whether one of them took it, or none wants it.
    """
    todo: list[tuple[str, SplitResult, Callable[[], None]]] = []
    if channels.webhook:
        hook = channels.webhook
        todo.append(("web hook", hook, lambda: post(hook, hook.path, body(event))))
    if channels.ping and event.name in PINGS:
        ping = channels.ping
        todo.append(("ping", ping, lambda: post(ping, ping.path.rstrip("/") + PINGS[event.name], b"")))
    if channels.smtp and event.name in MAILED:
        smtp = channels.smtp
        todo.append(("mail", smtp, lambda: mail(channels, smtp, event)))
    taken = [within(what, where, act) for what, where, act in todo]
    return any(taken) or not taken


def within(what: str, where: SplitResult, act: Callable[[], None]) -> bool:
    """Do something for at most some seconds and return whether it was done; what goes wrong is told, but no address."""
    trouble: list[str] = [f"no answer within {WHOLE_SECONDS:.0f} s"]

    def work() -> None:
        try:
            act()
            trouble.clear()
        except (OSError, http.client.HTTPException, smtplib.SMTPException, ValueError) as error:
            # Its text may hold an address; its kind says enough.
            reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            trouble[:] = [str(error) if isinstance(error, RefusedError) else reason]

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(WHOLE_SECONDS)
    if trouble:
        line.say("warning", f"{what} to {where.hostname}: {trouble[0]}; the {line.LOGGER} is none the worse")
    return not trouble


class RefusedError(ValueError):
    """The other side answered, and did not take it."""


def body(event: Event) -> bytes:
    """Return an event as the web hook gets it."""
    return json.dumps({"event": event.name, "source": line.LOGGER, **event.fields}, default=str).encode()


def post(where: SplitResult, path: str, content: bytes) -> None:
    """Send a request and read its answer; a redirect is an answer that is not taken."""
    kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
    connection = kind(where.hostname or "", where.port, timeout=SECONDS)
    try:
        target = (path or "/") + (f"?{where.query}" if where.query else "")
        headers = {"Content-Type": "application/json", "User-Agent": "scaffold-backup"}
        connection.request("POST", target, content, headers)
        status = connection.getresponse().status
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise RefusedError(f"it answered {status}")


def mail(channels: Channels, where: SplitResult, event: Event) -> None:
    """Send mail, over TLS from the start or by STARTTLS; a password never goes over anything else."""
    message = EmailMessage()
    database = event.fields.get("database", "")
    what = line.LOGGER.capitalize()
    message["Subject"] = f"{what} of {database}: {event.name}" if database else f"{what}: {event.name}"
    message["From"], message["To"] = channels.sender, ", ".join(channels.recipients)
    message.set_content("".join(f"{key}: {value}\n" for key, value in event.fields.items()))
    context = ssl.create_default_context()
    host, port = where.hostname or "", where.port
    with (
        smtplib.SMTP_SSL(host, port or 465, timeout=SECONDS, context=context)
        if where.scheme == "smtps"
        else smtplib.SMTP(host, port or 587, timeout=SECONDS)
    ) as server:
        server.ehlo()
        if where.scheme == "smtp" and (where.username or server.has_extn("starttls")):
            server.starttls(context=context)
        if where.username:
            server.login(unquote(where.username), unquote(where.password or ""))
        server.send_message(message)
