"""Named points at which a test ends the process as a crash would, or stops it and harms what it works with."""

from __future__ import annotations

import os
import signal

SETTING = "FAULT_AT"
PAUSE = "FAULT_PAUSE_AT"


def point(name: str) -> None:
    """Kill this process when FAULT_AT names this point, stop it when FAULT_PAUSE_AT does; elsewhere nothing happens."""
    if os.environ.get(SETTING) == name:
        os.kill(os.getpid(), signal.SIGKILL)
    if os.environ.get(PAUSE) == name:
        os.kill(os.getpid(), signal.SIGSTOP)
