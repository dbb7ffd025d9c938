"""What the jobs ask the control."""

from __future__ import annotations

import json
import time
from typing import Any

from watcher.exchange import Answer, ExchangeError, exchange
from watcher.layout import Layout

CONTROL_TIMEOUT = 45.0
POLL = 0.1


class JobError(RuntimeError):
    """A job did not do what it is for; the message says why and what holds now."""


def ask(layout: Layout, method: str, path: str, document: object = None, timeout: float = CONTROL_TIMEOUT) -> Any:
    """Return the control's answer; raise JobError with its words when it refuses, or does not answer."""
    body = b"" if document is None else json.dumps(document).encode()
    try:
        answer = exchange(layout.control_socket, method, path, body=body, timeout=timeout)
    except ExchangeError as error:
        raise JobError(
            f"the gateway's control {layout.control_socket}: {error}; is the gateway running, with its volume here?"
        ) from error
    if answer.status != 200:
        raise JobError(words(answer))
    return answer.document()


def parsed(text: str) -> Any:
    """Return the JSON in a text; raise JobError."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise JobError(f"what was given is not JSON: {error}") from error


def words(answer: Answer) -> str:
    """Return what the control said is wrong."""
    document = answer.document()
    said = document.get("error") if isinstance(document, dict) else None
    return str(said or f"the gateway's control answered {answer.status}")


def await_control(layout: Layout, timeout: float) -> None:
    """Wait until the control answers; raise JobError when it does not within `timeout` seconds."""
    until = time.monotonic() + timeout
    while True:
        try:
            ask(layout, "GET", "/status", timeout=5)
        except JobError:
            if time.monotonic() >= until:
                raise
            time.sleep(POLL)
        else:
            return
