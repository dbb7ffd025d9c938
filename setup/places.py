"""Where things live: the clone, what can be made again (cache), and what must not be lost (state)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

NAME = "scaffold"


@dataclass(frozen=True)
class Places:
    """The folders and files of one user on this machine; nothing of value is kept in the clone."""

    repository: Path
    cache: Path
    state: Path
    venv: Path

    @property
    def python(self) -> Path:
        """The interpreter that runs the program and the plugins."""
        return self.venv / "bin" / "python"

    @property
    def toolchain(self) -> Path:
        """Command-line tools by version: `cli-VERSION/pulumi`."""
        return self.cache / "toolchain"

    @property
    def pulumi_home(self) -> Path:
        """Pulumi's own folder: plugins, logs. One for each clone, because the plugins in it are that clone's."""
        return self.cache / "pulumi" / clone_name(self.repository)

    @property
    def backend(self) -> Path:
        """The folder of the `file://` state backend."""
        return self.state / "backend"

    @property
    def passphrase(self) -> Path:
        """The passphrase that secrets in the state and in the stack files are encrypted with."""
        return self.state / "passphrase"

    @property
    def locks(self) -> Path:
        """Lock files; they may be empty, and stay."""
        return self.cache / "locks"

    @property
    def logs(self) -> Path:
        """Logs of what setup starts or builds."""
        return self.state / "logs"

    def stack_file(self, stack: str) -> Path:
        """The configuration that this machine runs the stack with."""
        return self.state / "stacks" / f"Pulumi.{stack}.yaml"

    def taken_file(self, stack: str) -> Path:
        """What was last taken from the tracked stack file."""
        return self.state / "stacks" / f"{stack}.taken.json"

    def tracked_file(self, stack: str) -> Path:
        """The stack file in the clone."""
        return self.repository / f"Pulumi.{stack}.yaml"


def places_from(environment: Mapping[str, str], repository: Path) -> Places:
    """Return the places for these environment variables.

    `SCAFFOLD_CACHE_DIR`, `SCAFFOLD_STATE_DIR` and `SCAFFOLD_VENV` name folders themselves; otherwise they are
    `scaffold` under `XDG_CACHE_HOME` and `XDG_STATE_HOME`, and `.venv` in the clone. Relative XDG paths are ignored,
    as the specification asks.
    """
    home = Path(environment.get("HOME") or Path.home())
    return Places(
        repository=repository,
        cache=_own(environment, "SCAFFOLD_CACHE_DIR") or _xdg(environment, "XDG_CACHE_HOME", home / ".cache") / NAME,
        state=_own(environment, "SCAFFOLD_STATE_DIR")
        or _xdg(environment, "XDG_STATE_HOME", home / ".local" / "state") / NAME,
        venv=_own(environment, "SCAFFOLD_VENV") or repository / ".venv",
    )


def clone_name(repository: Path) -> str:
    """Return a name that tells this clone from others."""
    return f"{repository.name}-{hashlib.sha256(str(repository).encode()).hexdigest()[:8]}"


def _own(environment: Mapping[str, str], name: str) -> Path | None:
    value = environment.get(name)
    return Path(value).absolute() if value else None


def _xdg(environment: Mapping[str, str], name: str, otherwise: Path) -> Path:
    value = environment.get(name)
    return Path(value) if value and Path(value).is_absolute() else otherwise
