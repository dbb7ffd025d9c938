"""`make upgrade-images`: the distribution's security updates come in as a release, when asked for and only then."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from operate import kept, packages, throwaway, up
from operate import stack as stacks
from operate.packages import Newer
from operate.request import BASE_IMAGE, Request
from setup import daemon
from setup.daemon import Daemon, name_in_path
from setup.problem import Problem

SETTING = "packages"
LIST_SECONDS = 60
ASK_SECONDS = 600
NAMED_BY = {"docker:index/remoteImage:RemoteImage": "name", "docker:index/image:Image": "imageName"}
"""The property that holds an image's name, by what each platform declares it as."""


def run(request: Request) -> int:
    """Ask which packages of the stack's images have newer versions; where any has, build anew and run `pulumi up`."""
    if request.arguments:
        raise Problem(
            f"make upgrade-images takes no arguments, and got {' '.join(request.arguments)!r}.",
            f"make upgrade-images STACK={request.stack}",
        )
    refuse_a_pin(request)
    with request.alone():
        prepared = up.ready(request)
        stack = stacks.get_open(request.stack, request.places, prepared, request.terminal)
        client = Daemon(daemon.endpoint_from(request.docker_environment()))
        installed, newer = look(request, client, images_of(stack.resources(), request.stack))
        if not newer:
            request.terminal.say("Nothing newer: the images have what the distribution has. Nothing was changed.")
            return 0
        for line in packages.table(newer):
            request.terminal.say(f"  {line}")
        former = request.setting(SETTING) or ""
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        wanted = packages.record(installed, newer, today, former)
        stack.set(SETTING, wanted)
        request.terminal.note(f"the setting {SETTING} is {wanted}: every image is built anew")
        return up.update(request, stack)


def refuse_a_pin(request: Request) -> None:
    """Raise Problem where the stack runs a former release, of which nothing is built."""
    pinned = kept.pinned(request)
    if pinned:
        raise Problem(
            f"The stack {request.stack} is pinned to the release {pinned}, whose images stay as they are. "
            "Nothing was changed.",
            f"{kept.unpin_words(request.stack)}; then run this again",
        )


def images_of(resources: Iterable[Mapping[str, Any]], stack: str) -> list[str]:
    """Return the names of the images that the stack's state knows; raise Problem where there are none."""
    names = {
        str((resource.get("outputs") or {}).get(NAMED_BY[resource["type"]], ""))
        for resource in resources
        if resource.get("type") in NAMED_BY and not resource.get("delete")
    }
    if not names - {""}:
        raise Problem(
            f"The stack {stack} has no images yet. Nothing was changed.",
            f"make up STACK={stack} builds them, with what the distribution has",
        )
    return sorted(names - {""})


def look(request: Request, client: Daemon, images: list[str]) -> tuple[set[tuple[str, str]], list[Newer]]:
    """Return what is installed in the images, and what of it the distribution has newer; nothing is changed."""
    with request.terminal.step(SETTING, "looking at what is installed") as step:
        installed: set[tuple[str, str]] = set()
        for image in images:
            step(f"looking at what is installed in {image}")
            refuse_an_absent_image(client, image, request.stack)
            said = throwaway.run(client, image, packages.INSTALLED, ignore, online=False, seconds=LIST_SECONDS)
            installed |= packages.installed_from(said)
        lines = "\n".join(sorted(f"{name} {version}" for name, version in installed))
        base = request.setting("baseImage") or BASE_IMAGE
        step("asking the distribution")
        newer = packages.newer_from(ask(client, base, lines, step))
        step.outcome = f"{len(installed)} in {len(images)} images, {len(newer)} of them older than the distribution's"
    return installed, newer


def ask(client: Daemon, base: str, lines: str, step: Any) -> list[str]:
    """Return the answer of the distribution; raise Problem where it cannot be reached."""
    command = ("sh", "-c", packages.QUESTION, "ask", lines)
    try:
        return throwaway.run(
            client, base, command, lambda line: step(f"asking the distribution: {line}"), online=True,
            seconds=ASK_SECONDS,
        )  # fmt: skip
    except Problem as problem:
        raise Problem(
            f"The distribution cannot be asked for newer packages. {problem.cause}\nNothing was changed.",
            "see that containers on this machine reach a Debian mirror (docker run --rm "
            f"{base} apt-get update), and run this again",
        ) from problem


def refuse_an_absent_image(client: Daemon, image: str, stack: str) -> None:
    """Raise Problem where the daemon does not have an image of the stack."""
    if not client.exists(f"/images/{name_in_path(image)}/json"):
        raise Problem(
            f"The image {image} of the stack {stack} is not on this machine, so nobody can say what is in it. "
            "Nothing was changed.",
            f"docker pull {image} where it comes from a registry; else make up STACK={stack} builds it",
        )


def ignore(_: str) -> None:
    """Leave a line as it is."""
