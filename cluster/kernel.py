"""Settings of this machine's kernel that the node's agent changes, kept so that they can be put back."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from setup.files import write_atomically

ROOT = Path("/proc/sys")
CHANGED = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)


def remember(file: Path, root: Path = ROOT) -> None:
    """Keep the settings as they are now, unless an earlier run has kept them."""
    if file.exists():
        return
    found = {}
    for name in CHANGED:
        with contextlib.suppress(OSError):
            found[name] = (root / name).read_text().strip()
    write_atomically(file, json.dumps(found, indent=2).encode())


def restore(file: Path, root: Path = ROOT) -> None:
    """Put the settings back and forget them; what cannot be written to stays as it is."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    for name, value in found.items():
        with contextlib.suppress(OSError):
            if name in CHANGED and (root / name).read_text().strip() != value:
                (root / name).write_text(value)
    file.unlink()
