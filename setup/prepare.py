"""Makes a machine ready: looks, decides, does what is missing, and says each step."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

from setup import base_image, daemon, engine, toolchain, virtualenv
from setup.apt import get_permission, install
from setup.facts import Facts, gather, machine_facts, packages_digest, packages_facts
from setup.locks import Held, Holder, lock
from setup.places import Places
from setup.plan import Plan, Step, decide, may_install
from setup.problem import Problem
from setup.terminal import Terminal
from setup.toolchain import Tools

WAIT_SECONDS = 1800


@dataclass(frozen=True)
class Wish:
    """What a verb needs: the pinned requirements, and the image that the others are built from."""

    requirements: str
    base_image: str


@dataclass(frozen=True)
class Prepared:
    """What a machine has once it is ready: the tools, the daemon, and the environment that programs run with."""

    tools: Tools
    daemon: daemon.Daemon
    environment: Mapping[str, str]


def look(places: Places, environment: Mapping[str, str], wish: Wish) -> tuple[Facts, Plan]:
    """Return the facts and what follows from them; nothing is changed."""
    facts = gather(places, environment, wish.requirements, wish.base_image)
    return facts, decide(facts)


def prepare(
    places: Places, environment: Mapping[str, str], wish: Wish, terminal: Terminal, seen: tuple[Facts, Plan]
) -> Prepared:
    """Do what the plan says and return what came of it; raise the first Problem that stands in the way.

    Runs that share a cache wait for each other here, and look again afterwards.
    """
    if seen[1].ready:
        return _carry_out(places, environment, wish, terminal, seen[0], seen[1])

    def waiting(holder: Holder | None) -> None:
        terminal.say(f"  waiting for {holder or 'another run'}, which prepares this machine already")

    try:
        with lock(places.locks / "prepare.lock", "preparing this machine", WAIT_SECONDS, waiting):
            facts, plan = look(places, environment, wish)
            if plan.problems:
                raise plan.problems[0]
            return _carry_out(places, environment, wish, terminal, facts, plan)
    except Held as error:
        raise kept_waiting(error) from None


def kept_waiting(error: Held) -> Problem:
    """Return who has been waited for in vain."""
    return Problem(
        f"{error.holder or 'another run'} has prepared this machine for half an hour.",
        "see what it waits for, and run this again",
    )


def provide_packages(places: Places, environment: Mapping[str, str], requirements: str, terminal: Terminal) -> None:
    """Install the requirements where they are missing, and prepare nothing else; raise Problem."""
    facts = packages_facts(places, requirements)
    if facts.complete:
        return
    machine = machine_facts(environment)
    if not machine.ensurepip and may_install(machine):
        get_permission(environment)
    try:
        with (
            lock(places.locks / "prepare.lock", "preparing this machine", WAIT_SECONDS),
            terminal.step("packages", f"{requirements} is not installed") as step,
        ):
            if not machine.ensurepip and may_install(machine):
                install(["python3-venv"], environment, step, places.logs / "venv-install.log")
            virtualenv.make(places, requirements, facts.wanted, environment, step)
            step.outcome = f"{requirements} installed in {places.venv.name}"
    except Held as error:
        raise kept_waiting(error) from None


def _carry_out(
    places: Places, environment: Mapping[str, str], wish: Wish, terminal: Terminal, facts: Facts, plan: Plan
) -> Prepared:
    steps = {step.name: step for step in plan.steps}
    _packages(steps["packages"], places, environment, wish, terminal)
    started = time.monotonic()
    if steps["pulumi"].ready:
        cli, official, how = toolchain.provide_cli(facts, steps["pulumi"], places, environment, _unheard)
        terminal.done("pulumi", how, time.monotonic() - started)
    else:
        with terminal.step("pulumi", steps["pulumi"].reason) as step:
            cli, official, step.outcome = toolchain.provide_cli(facts, steps["pulumi"], places, environment, step)
    environment = _with_path(environment, cli.parent.as_posix())
    if steps["plugins"].ready:
        home, how = toolchain.provide_plugins(facts, steps["plugins"], cli, official, places, environment, _unheard)
        terminal.done("plugins", how, 0)
    else:
        with terminal.step("plugins", steps["plugins"].reason) as step:
            home, step.outcome = toolchain.provide_plugins(
                facts, steps["plugins"], cli, official, places, environment, step
            )
    client = _docker(steps["docker"], facts, places, environment, terminal)
    _image(steps["base image"], facts, client, places, environment, wish, terminal)
    own = {**environment, "PULUMI_HOME": str(home), "PULUMI_SKIP_UPDATE_CHECK": "true"}
    if client.endpoint != daemon.Endpoint(socket=daemon.DEFAULT_SOCKET):
        own["DOCKER_HOST"] = str(client.endpoint)
    return Prepared(Tools(cli, home, official), client, own)


def _packages(step: Step, places: Places, environment: Mapping[str, str], wish: Wish, terminal: Terminal) -> None:
    if step.ready:
        terminal.done("packages", f"{step.reason} in {wish.requirements}", 0)
        return
    if step.action == "install-venv-first":
        get_permission(environment)
    with terminal.step("packages", f"{wish.requirements}: {step.reason}") as shown:
        if step.action == "install-venv-first":
            install(["python3-venv"], environment, shown, places.logs / "venv-install.log")
        digest = packages_digest(places.repository, wish.requirements)
        virtualenv.make(places, wish.requirements, digest, environment, shown)
        shown.outcome = f"{wish.requirements} installed in {places.venv.name}; {step.reason}"


def _docker(
    step: Step, facts: Facts, places: Places, environment: Mapping[str, str], terminal: Terminal
) -> daemon.Daemon:
    docker = facts.docker
    if step.ready:
        terminal.done("docker", step.reason, 0)
    else:
        get_permission(environment)
        with terminal.step("docker", step.reason) as shown:
            shown.outcome = engine.bring_up(
                docker, step.action, facts.machine.service_manager, places, environment, shown
            )
    return daemon.Daemon(docker.endpoint)


def _image(
    step: Step,
    facts: Facts,
    client: daemon.Daemon,
    places: Places,
    environment: Mapping[str, str],
    wish: Wish,
    terminal: Terminal,
) -> None:
    if step.ready:
        terminal.done("base image", step.reason, 0)
        return
    with terminal.step("base image", step.reason) as shown:
        shown.outcome = base_image.ensure(wish.base_image, client, places, environment, facts.machine.offline, shown)


def _unheard(_progress: str) -> None:
    """Take the progress of a step that has nothing to do."""


def _with_path(environment: Mapping[str, str], folder: str) -> dict[str, str]:
    parts = environment.get("PATH", os.defpath).split(os.pathsep)
    return {**environment, "PATH": os.pathsep.join([folder, *(part for part in parts if part != folder)])}
