"""Finding the database's address with a bound: a resolver can leave an absent name unanswered for many seconds."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import psycopg
from sqlalchemy import event
from sqlalchemy.engine import Engine

from .question import Question

PATIENCE = 1.0


def needs_resolving(host: str | None) -> bool:
    """Tell whether a host is one name, and not an address, a socket's folder or a list."""
    if not host or host.startswith("/") or "," in host:
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False


def bound(engine: Engine, patience: float = PATIENCE) -> None:
    """Make every new connection of the engine wait no longer than the patience (seconds) for the resolver."""
    host, port = engine.url.host, engine.url.port or 5432
    if host is None or not needs_resolving(host):
        return

    def resolve() -> str:
        return str(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0])

    question = Question(resolve, "resolve", give_up=True)

    @event.listens_for(engine, "do_connect")
    def add_address(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        try:
            # Beside the name and not for it: the name is what a certificate is checked against.
            parameters["hostaddr"] = question.answer(patience)
        except TimeoutError:
            raise psycopg.OperationalError(f"no address for {host!r} within {patience:g} s") from None
        except OSError as error:
            raise psycopg.OperationalError(f"no address for {host!r}: {error}") from None
