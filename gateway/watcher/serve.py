"""`serve`: process 1. Starts everything, passes signals on, collects what ends."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping

from watcher import control, environment, journal
from watcher.gateway import Gateway
from watcher.layout import Layout
from watcher.nginx import NginxError

STACK_SIZE = 256 * 1024
HEARD = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD, signal.SIGHUP}
STOPPING = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}


def run(variables: Mapping[str, str], layout: Layout) -> int:
    """Serve until told to stop; return the exit status."""
    threading.stack_size(STACK_SIZE)
    signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    stop_timeout = environment.seconds(variables, "STOP_TIMEOUT", 8)
    farewell_seconds = environment.seconds(variables, "FAREWELL_SECONDS", 0)
    gateway = Gateway(layout)
    try:
        gateway.start()
        listening = control.listen(layout.control_socket)
    except (OSError, NginxError) as error:
        journal.error("the gateway cannot start", problem=str(error))
        gateway.nginx.send(signal.SIGTERM)
        return 1
    threading.Thread(target=control.serve, args=(listening, gateway), name="control", daemon=True).start()
    while True:
        heard = signal.sigtimedwait(HEARD, 1.0)
        if heard and heard.si_signo in STOPPING:
            part(gateway, farewell_seconds)
            return stop(gateway, stop_timeout)
        gateway.supervise()
        gateway.follow_flag()
        gateway.nginx.reap_orphans()


def part(gateway: Gateway, seconds: float) -> None:
    """Go on serving for some seconds, and have each answer close its connection; a second signal ends that.

    A connection that stays open until the end could be closed at the moment of the client's next request. Where there
    is another gateway, the client's next connection goes to that one.
    """
    if not seconds:
        return
    journal.info("taking leave: answers close their connections", seconds=seconds)
    try:
        gateway.nginx.take_leave()
    except NginxError as error:
        journal.warning("nginx cannot be told to close connections", problem=str(error))
        return
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        heard = signal.sigtimedwait(HEARD, min(left, 1.0))
        if heard and heard.si_signo in STOPPING:
            return
        gateway.supervise()
        gateway.nginx.reap_orphans()


def stop(gateway: Gateway, timeout: float) -> int:
    """Let requests finish for at most `timeout` seconds; return the exit status."""
    journal.info("stopping", timeout=timeout)
    gateway.stop()
    gateway.nginx.send(signal.SIGQUIT)
    gateway.nginx.retire_orphans()
    until = time.monotonic() + timeout
    while gateway.nginx.ended() is None and time.monotonic() < until:
        signal.sigtimedwait(HEARD, 0.1)
    if gateway.nginx.ended() is None:
        journal.warning("requests did not finish in time and are cut", timeout=timeout)
        gateway.nginx.send(signal.SIGTERM)
        signal.sigtimedwait({signal.SIGCHLD}, 1.0)
    journal.info("stopped")
    time.sleep(0.1)  # the follower of nginx's last words
    return 0
