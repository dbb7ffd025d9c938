"""How a process that was started ends before its time."""

from __future__ import annotations

import signal
import subprocess
from typing import Any

GRACE_SECONDS = 5.0


def interrupt(process: subprocess.Popen[Any]) -> None:
    """Interrupt a process that still runs; kill it when it is there five seconds later."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
