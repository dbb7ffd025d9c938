"""Where things are: what survives (a volume), what need not (a temporary file system), what the image brings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """The directories and the files in them.

    What the gateway itself needs and what clients send are on two file systems: clients can fill theirs.
    """

    state: Path = Path("/var/lib/gateway")
    runtime: Path = Path("/dev/shm/gateway")  # noqa: S108 - memory of this container alone
    spool: Path = Path("/tmp/gateway")  # noqa: S108 - a temporary file system of this container alone
    image: Path = Path("/usr/lib/gateway")

    @property
    def control_socket(self) -> Path:
        """The control's unix socket."""
        return self.state / "control.sock"

    @property
    def upstream_file(self) -> Path:
        """The last upstream that was told."""
        return self.state / "upstream.json"

    @property
    def flag_file(self) -> Path:
        """The maintenance that is on; absent while none is. In a cluster its folder is a mounted ConfigMap."""
        return self.state / "flag" / "maintenance.json"

    @property
    def current(self) -> Path:
        """A link to the generation of files in use."""
        return self.state / "current"

    @property
    def generations(self) -> Path:
        """The generations of files, one directory each."""
        return self.state / "generations"

    @property
    def configuration(self) -> Path:
        """The rendered nginx.conf in use."""
        return self.runtime / "nginx.conf"

    @property
    def candidate(self) -> Path:
        """A rendered nginx.conf that is being tested."""
        return self.runtime / "candidate.conf"

    @property
    def peers(self) -> Path:
        """The addresses a starting Nginx begins with."""
        return self.runtime / "peers"

    @property
    def flag(self) -> Path:
        """What a starting Nginx is told of the maintenance."""
        return self.runtime / "flag"

    @property
    def planned_page(self) -> Path:
        """The page with the maintenance's own message."""
        return self.runtime / "planned.html"

    @property
    def nginx_socket(self) -> Path:
        """Nginx's side door."""
        return self.runtime / "nginx.sock"
