"""Where the gate's socket is, for those who open it and those who ask there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from backup import setting

SETTING = "RESTORE_GATE_SOCKET"
SOCKET = "/run/restore-gate/gate.sock"


def of(environ: Mapping[str, str]) -> Path:
    """Return the socket's path."""
    return Path(setting.read(SETTING, environ) or SOCKET)
