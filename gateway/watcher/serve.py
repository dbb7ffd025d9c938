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
            return stop(gateway, stop_timeout)
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
