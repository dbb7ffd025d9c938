"""Pulumi's command line and plugins: the official ones where they can be had, else built from offline/."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from setup import apt
from setup.facts import Facts, Toolchain, find, parse_version
from setup.files import write_atomically
from setup.places import Places
from setup.plan import Step, may_install, official_stamp
from setup.problem import Problem
from setup.processes import Failed, follow, run
from setup.terminal import Progress

INSTALLER = "https://get.pulumi.com/install.sh"
REACH_SECONDS = 4.0
INSTALL_SECONDS = 600
PLUGIN_SECONDS = 300


@dataclass(frozen=True)
class Tools:
    """What runs a stack: the command line, and the folder with its plugins."""

    cli: Path
    pulumi_home: Path
    official: bool


def installer_reachable(offline: bool) -> bytes | None:
    """Return the official installer's script if it arrives within a few seconds, else None."""
    if offline:
        return None
    arrived: list[bytes] = []

    def fetch() -> None:
        try:
            with urllib.request.urlopen(INSTALLER, timeout=REACH_SECONDS) as answer:
                arrived.append(answer.read())
        except (OSError, urllib.error.URLError, ValueError):
            return

    # A thread of its own, because looking up a name can take longer than any limit set on the connection.
    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    thread.join(REACH_SECONDS)
    return arrived[0] if arrived and arrived[0].startswith(b"#!") else None


def provide_cli(
    facts: Facts, step: Step, places: Places, environment: Mapping[str, str], progress: Progress
) -> tuple[Path, bool, str]:
    """Return the command line's path, whether it is official, and how it came; raise Problem when it cannot be had."""
    toolchain = facts.toolchain
    if step.action == "path":
        path = Path(str(toolchain.cli_on_path))
        return path, toolchain.language_beside_cli, step.reason
    if step.action == "cached":
        return Path(str(toolchain.cached_cli)), toolchain.cached_cli_official, step.reason
    target = places.toolchain / f"cli-{toolchain.version}" / "bin"
    progress("asking for the official installer")
    script = installer_reachable(facts.machine.offline)
    if script is not None:
        try:
            return (
                install_official(script, toolchain.version, target, environment, progress),
                True,
                f"{toolchain.version} from the official installer",
            )
        except Failed as error:
            progress(f"the official installer failed: {apt.last_words(error.words, 1)}")
    return (
        build(facts, target, environment, progress, places.logs),
        False,
        f"{toolchain.version} built from offline/cli",
    )


def install_official(
    script: bytes, version: str, target: Path, environment: Mapping[str, str], progress: Progress
) -> Path:
    """Run the official installer for the version, and put what it brings in place in one step; raise Failed."""
    progress(f"the official installer brings {version}")
    target.parent.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent.parent, prefix=".installing-") as folder:
        file = Path(folder) / "install.sh"
        file.write_bytes(script)
        root = Path(folder) / "root"
        command = ["sh", str(file), "--version", version, "--install-root", str(root), "--no-edit-path"]
        follow(command, INSTALL_SECONDS, progress, environment=environment)
        return put_in_place(root / "bin", target)


def build(facts: Facts, target: Path, environment: Mapping[str, str], progress: Progress, logs: Path) -> Path:
    """Build the command line from its Go module, after installing Go where there is none; raise Problem."""
    from offline import install

    if facts.toolchain.go is None and may_install(facts.machine):
        apt.get_permission(environment)
        apt.install(["golang-go"], environment, progress, logs / "go-install.log")
    go = find("go", environment)
    if go is not None:
        # It may lie where a plain user's PATH does not look.
        path = f"{environment.get('PATH', os.defpath)}{os.pathsep}{Path(go).parent}"
        environment = {**environment, "PATH": path}
    return install.build_cli(target / "pulumi", progress, environment)


def put_in_place(made: Path, target: Path) -> Path:
    """Move a finished folder of programs to where it belongs, see that the command line runs, and return its path."""
    version = parse_version(run([str(made / "pulumi"), "version"], timeout=60))
    if version is None:
        raise Problem(
            "The Pulumi command line that was made does not tell its version.", "remove the cache and try again"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    made.rename(target)
    return target / "pulumi"


def provide_plugins(
    facts: Facts,
    step: Step,
    cli: Path,
    official: bool,
    places: Places,
    environment: Mapping[str, str],
    progress: Progress,
) -> tuple[Path, str]:
    """Return Pulumi's home with the plugins in it, and where they came from; raise Problem when they cannot be had."""
    toolchain = facts.toolchain
    if step.action == "home":
        return Path(str(toolchain.plugins_in_user_home)), step.reason
    if step.ready:
        return places.pulumi_home, step.reason
    stamp = places.pulumi_home / ".scaffold-plugins"
    stamp.unlink(missing_ok=True)
    places.pulumi_home.mkdir(parents=True, exist_ok=True)
    if official and not facts.machine.offline and download(toolchain, cli, places, environment, progress):
        write_atomically(stamp, official_stamp(toolchain).encode())
        return places.pulumi_home, f"the official ones ({names(toolchain)})"
    from offline import install

    progress("installing from offline/")
    install.install_plugins(places.pulumi_home, places.python, places.repository)
    write_atomically(stamp, toolchain.wanted_plugins.encode())
    return places.pulumi_home, f"from offline/ ({names(toolchain)})"


def download(
    toolchain: Toolchain, cli: Path, places: Places, environment: Mapping[str, str], progress: Progress
) -> bool:
    """Download the official plugins and return whether all came."""
    if installer_reachable(offline=False) is None:
        return False
    own = {**environment, "PULUMI_HOME": str(places.pulumi_home), "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        for name, version in toolchain.plugins.items():
            progress(f"downloading {name} {version}")
            follow(
                [str(cli), "plugin", "install", "resource", name, version], PLUGIN_SECONDS, progress, environment=own
            )
    except Failed:
        return False
    return True


def names(toolchain: Toolchain) -> str:
    """Return the plugins as a person reads them."""
    return ", ".join(f"{name} {version}" for name, version in sorted(toolchain.plugins.items()))
