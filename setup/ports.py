"""Who listens on a TCP port of this machine, from /proc."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LISTENING = "0A"


@dataclass(frozen=True)
class Listener:
    """A socket that accepts connections; `pid` is 0 and `command` empty where they may not be seen."""

    address: str
    port: int
    inode: str
    pid: int = 0
    command: str = ""

    def __str__(self) -> str:
        if not self.pid:
            return f"a process of another user (on {self.address}; `sudo ss -ltnp` names it)"
        return f"process {self.pid} ({self.command}, on {self.address})"


def listeners_on(port: int, proc: Path = Path("/proc")) -> list[Listener]:
    """Return every listener on the port with its process; an empty list where /proc is not Linux's."""
    found: list[Listener] = []
    for name in ("tcp", "tcp6"):
        try:
            table = (proc / "net" / name).read_text()
        except OSError:
            continue
        found += [listener for listener in parse_table(table) if listener.port == port]
    if not found:
        return []
    owners = owners_of({listener.inode for listener in found}, proc)
    return [
        Listener(listener.address, listener.port, listener.inode, *owners.get(listener.inode, (0, "")))
        for listener in found
    ]


def parse_table(table: str) -> Iterable[Listener]:
    """Yield the listening sockets in the text of /proc/net/tcp or tcp6."""
    for row in table.splitlines()[1:]:
        fields = row.split()
        if len(fields) < 10 or fields[3] != LISTENING:
            continue
        address, _, port = fields[1].partition(":")
        yield Listener(address_from(address), int(port, 16), fields[9])


def address_from(text: str) -> str:
    """Return the address that /proc prints as hexadecimal words in the machine's own byte order."""
    words = [bytes.fromhex(text[start : start + 8]) for start in range(0, len(text), 8)]
    packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    address = ipaddress.ip_address(packed)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def collide(first: str, second: str) -> bool:
    """Return whether two listeners on one port and these addresses exclude each other."""
    every = {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
    return first == second or first in every or second in every


def owners_of(inodes: set[str], proc: Path = Path("/proc")) -> dict[str, tuple[int, str]]:
    """Return process number and command of each socket inode whose process this user may see."""
    links = {f"socket:[{inode}]": inode for inode in inodes}
    owners: dict[str, tuple[int, str]] = {}
    for process in proc.iterdir():
        if not process.name.isdigit():
            continue
        try:
            descriptors = list((process / "fd").iterdir())
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                inode = links.get(str(descriptor.readlink()))
            except OSError:
                continue
            if inode and inode not in owners:
                owners[inode] = (int(process.name), command_of(process))
        if len(owners) == len(inodes):
            break
    return owners


def command_of(process: Path) -> str:
    """Return the name of a process's program, from its folder in /proc; no arguments, for these can be secret."""
    try:
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        return Path(words[0]).name or (process / "comm").read_text().strip()
    except OSError:
        return "unknown"
