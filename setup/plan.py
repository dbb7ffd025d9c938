"""Decides from the facts what has to be done, and why; nothing here touches the machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from setup.facts import Docker, Facts, Machine, Toolchain
from setup.problem import Problem

OLDEST_PYTHON = (3, 11)
OLDEST_CLI = (3, 256, 0)
GIB = 1 << 30
SPACE_FOR_IMAGES = 3 * GIB
SPACE_WITH_IMAGES = 1 * GIB
SPACE_FOR_BUILD = 3 * GIB
SPACE_FOR_FILES = GIB // 4

BY_HAND = {
    "docker": "Docker Engine 20.10 or newer (https://docs.docker.com/engine/install/)",
    "venv": "Python's venv and ensurepip modules for this interpreter",
}


@dataclass(frozen=True)
class Step:
    """One thing that has to be there: what will be done for it (`action`), why, and whether that needs a network."""

    name: str
    action: str
    reason: str
    ready: bool = False
    network: bool = False


@dataclass(frozen=True)
class Plan:
    """The steps in order, and every reason not to begin."""

    steps: Sequence[Step]
    problems: Sequence[Problem]

    @property
    def ready(self) -> bool:
        """Whether nothing has to be done."""
        return all(step.ready for step in self.steps) and not self.problems


def decide(facts: Facts) -> Plan:
    """Return what has to be done on this machine, or why it cannot be."""
    found: list[Step] = []
    problems: list[Problem] = []
    for decision in (decide_packages, decide_cli, decide_plugins, decide_docker, decide_image):
        step = decision(facts)
        if isinstance(step, Problem):
            problems.append(step)
        else:
            found.append(step)
    problems += [*python_problems(facts.machine), *network_problems(facts, found), *space_problems(facts, found)]
    return Plan(found, problems)


def decide_packages(facts: Facts) -> Step | Problem:
    """Decide what the virtual environment needs."""
    packages = facts.packages
    if packages.complete:
        return Step("packages", "keep", "as pinned", ready=True)
    if packages.broken:
        reason = "its interpreter is gone, so it is made anew"
    elif packages.installed:
        reason = "the pins have changed"
    else:
        reason = "there is none yet"
    if facts.machine.ensurepip:
        return Step("packages", "install", reason, network=True)
    if may_install(facts.machine):
        return Step("packages", "install-venv-first", f"{reason}; Python's venv module comes from apt", network=True)
    version = ".".join(map(str, facts.machine.python))
    return Problem(
        f"This Python {version} cannot make virtual environments: ensurepip is missing.",
        "apt-get install python3-venv (as root)" if facts.machine.apt else f"install {BY_HAND['venv']}",
    )


def decide_cli(facts: Facts) -> Step | Problem:
    """Decide which Pulumi command line is used; `fetch` prefers the official installer and builds where it is away."""
    toolchain = facts.toolchain
    if toolchain.named_cli and toolchain.cli_on_path_version is None:
        return Problem(
            f"SCAFFOLD_PULUMI is {toolchain.named_cli!r}, which is no Pulumi command line that runs.",
            "unset it, or name the program itself",
        )
    version = toolchain.cli_on_path_version
    if version is not None and version >= OLDEST_CLI:
        return Step("pulumi", "path", f"{'.'.join(map(str, version))} at {toolchain.cli_on_path}", ready=True)
    too_old = ""
    if version is not None:
        too_old = (
            f"{toolchain.cli_on_path} is {'.'.join(map(str, version))}, older than {'.'.join(map(str, OLDEST_CLI))}; "
        )
    if toolchain.cached_cli is not None:
        return Step("pulumi", "cached", f"{too_old}{toolchain.version} from the cache", ready=True)
    return Step("pulumi", "fetch", f"{too_old or 'there is none yet; '}{toolchain.version} is wanted", network=True)


def decide_plugins(facts: Facts) -> Step:
    """Decide which plugins are used; `fetch` takes the official ones with an official command line, else our own."""
    toolchain = facts.toolchain
    if toolchain.plugins_on_path:
        return Step("plugins", "path", "on PATH", ready=True)
    if uses_official_cli(toolchain):
        if toolchain.plugins_in_user_home:
            return Step("plugins", "home", f"in {toolchain.plugins_in_user_home}", ready=True)
        if official_ones_are_there(toolchain):
            return Step("plugins", "cached", "the official ones, from the cache", ready=True)
    if toolchain.installed_plugins == toolchain.wanted_plugins:
        return Step("plugins", "cached", "from offline/, as it is now", ready=True)
    reason = "offline/ has changed" if toolchain.installed_plugins else "there are none yet"
    return Step("plugins", "fetch", reason)


def uses_official_cli(toolchain: Toolchain) -> bool:
    """Return whether the command line brings its language host, as the official archive does."""
    version = toolchain.cli_on_path_version
    if version is not None and version >= OLDEST_CLI:
        return toolchain.language_beside_cli
    return toolchain.cached_cli is not None and toolchain.cached_cli_official


def official_ones_are_there(toolchain: Toolchain) -> bool:
    """Return whether the plugin folder has every official plugin that is wanted; it may have more."""
    return set(official_stamp(toolchain).split()) <= set((toolchain.installed_plugins or "").split())


def official_stamp(toolchain: Toolchain) -> str:
    """Return what the plugin folder's stamp says once the official plugins are in it."""
    return "official " + " ".join(f"{name}-{version}" for name, version in sorted(toolchain.plugins.items()))


def decide_docker(facts: Facts) -> Step | Problem:
    """Decide how the Docker daemon comes to run."""
    docker, machine = facts.docker, facts.machine
    if docker.state == "running":
        return Step("docker", "keep", f"{docker.version} at {docker.endpoint}", ready=True)
    if docker.state == "forbidden":
        return forbidden(docker)
    if not docker.local:
        return Problem(
            f"No Docker daemon answers at {docker.endpoint}, which DOCKER_HOST names.",
            "start it there, or unset DOCKER_HOST to use one on this machine",
        )
    if machine.system != "Linux":
        return Problem(
            f"No Docker daemon answers at {docker.endpoint}, and {machine.description} cannot be prepared from here.",
            f"install and start {BY_HAND['docker']} by hand, then run this again",
        )
    if not (machine.root or machine.sudo):
        what = "start it" if docker.program else "install it"
        return Problem(
            f"No Docker daemon answers at {docker.endpoint}, and this user is neither root nor has sudo to {what}.",
            f"ask an administrator to {what} and to add this user to the group `docker`",
        )
    if docker.program:
        how = {"systemd": "with systemctl", "service": "with service"}.get(machine.service_manager, "by hand")
        return Step("docker", f"start-{machine.service_manager or 'by-hand'}", f"installed and stopped; started {how}")
    if not machine.apt:
        return Problem(
            f"Docker is not installed, and {machine.description or 'this system'} has no apt-get to install it with.",
            f"install and start {BY_HAND['docker']} by hand, then run this again",
        )
    return Step("docker", "install", "not installed; from the distribution's packages", network=True)


def forbidden(docker: Docker) -> Problem:
    """Return what to do where the daemon's socket may not be opened."""
    return Problem(
        f"This user may not open the Docker daemon's socket {docker.endpoint.socket}.",
        'sudo usermod -aG docker "$USER", then log in again (or `newgrp docker`) and run this again',
    )


def decide_image(facts: Facts) -> Step | Problem:
    """Decide where the base image comes from; whether it can be pulled is found out by trying."""
    if facts.docker.base_image:
        return Step("base image", "keep", f"{facts.base_image} is present", ready=True)
    return Step("base image", "ensure", f"{facts.base_image} is not known to be present", network=True)


def may_install(machine: Machine) -> bool:
    """Return whether packages can be installed here."""
    return machine.apt and (machine.root or machine.sudo)


def python_problems(machine: Machine) -> list[Problem]:
    """Return what is wrong with the interpreter."""
    if machine.python >= OLDEST_PYTHON:
        return []
    found, wanted = (".".join(map(str, version)) for version in (machine.python, OLDEST_PYTHON))
    return [
        Problem(f"Python {found} runs this; {wanted} or newer is wanted.", "make up PYTHON=python3.13 (or another one)")
    ]


def network_problems(facts: Facts, steps: Sequence[Step]) -> list[Problem]:
    """Return what cannot be had because there is no network at all."""
    wanting = [step.name for step in steps if step.network]
    if not wanting or facts.machine.route:
        return []
    verb = "needs" if len(wanting) == 1 else "need"
    return [
        Problem(
            f"This machine has no network route, and {listing(wanting)} still {verb} one.",
            "connect it (or set HTTPS_PROXY) for the first run; later runs need no network",
        )
    ]


def space_problems(facts: Facts, steps: Sequence[Step]) -> list[Problem]:
    """Return the file systems on which the steps, the images and the state would not fit."""
    building = any(step.name == "pulumi" and not step.ready for step in steps)
    images = SPACE_WITH_IMAGES if facts.docker.built_images else SPACE_FOR_IMAGES
    wanted = {
        "Docker": images if facts.docker.local else 0,
        "the cache": SPACE_FOR_BUILD if building else SPACE_FOR_FILES,
        "the state": SPACE_FOR_FILES,
    }
    found = []
    for space in facts.space:
        if space.free < wanted.get(space.purpose, 0):
            fix = "free some space"
            if space.purpose == "Docker":
                fix += (
                    ": `docker system df` shows what uses it, `docker builder prune` and `docker image prune` are safe"
                )
            found.append(
                Problem(
                    f"The disk that holds {space.purpose} ({space.path}) has {space.free / GIB:.1f} GiB free; "
                    f"{wanted[space.purpose] / GIB:.2g} GiB are wanted.",
                    fix,
                )
            )
    return found


def listing(words: Sequence[str]) -> str:
    """Return words as a person lists them: `a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
