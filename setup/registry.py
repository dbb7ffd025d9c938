"""Whether a registry of images answers, asked as the Docker daemon asks it before a push."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from setup.daemon import Daemon, DaemonError
from setup.problem import Problem

ANSWER_SECONDS = 10.0
AUTHORITIES = Path("/etc/docker/certs.d")
# Docker's own registry answers at another name than the one that images carry, and takes none without a user.
HUB = "docker.io"


@dataclass(frozen=True)
class Answer:
    """What came of asking: an HTTP status, 0 where nobody answers, and the words for it."""

    status: int
    words: str = ""

    @property
    def speaks(self) -> bool:
        """Whether what answers is a registry that is willing, or one that asks who we are."""
        return self.status in (200, 401)


def host_of(address: str) -> str:
    """Return host and port of a registry's address."""
    return address.partition("/")[0]


def insecure(host: str, information: Mapping[str, Any]) -> bool:
    """Return whether the daemon, by what it says of itself, speaks to the registry without proof of who it is."""
    told = information.get("RegistryConfig") or {}
    known = (told.get("IndexConfigs") or {}).get(host)
    if isinstance(known, dict):
        return not known.get("Secure", True)
    name = host.rpartition(":")[0] or host
    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return any(
        address.version == network.version and address in network
        for network in map(ipaddress.ip_network, told.get("InsecureRegistryCIDRs") or ["127.0.0.0/8"])
    )


def ask(address: str, daemon: Daemon) -> Answer:
    """Ask the registry for its version of the protocol, over TLS or, where the daemon would, without."""
    host = host_of(address)
    if host == HUB:
        return Answer(401)
    information: dict[str, Any] = {}
    with contextlib.suppress(DaemonError, OSError):
        information = daemon.get("/info")
    if not insecure(host, information):
        return get(f"https://{host}/v2/", context_for(host))
    unproven = ssl.create_default_context()
    unproven.check_hostname = False
    unproven.verify_mode = ssl.CERT_NONE
    secured = get(f"https://{host}/v2/", unproven)
    return secured if secured.speaks else get(f"http://{host}/v2/", None)


def get(url: str, context: ssl.SSLContext | None) -> Answer:
    """Return what answers at the address, whatever the status."""
    handlers = [urllib.request.HTTPSHandler(context=context)] if context else []
    opener = urllib.request.build_opener(*handlers)
    try:
        with opener.open(url, timeout=ANSWER_SECONDS) as answer:
            return Answer(answer.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return Answer(refused.code, refused.reason)
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return Answer(0, str(reason) or type(reason).__name__)


def context_for(host: str, folder: Path = AUTHORITIES) -> ssl.SSLContext:
    """Return what the machine trusts, and the authorities that Docker was given for this registry."""
    context = ssl.create_default_context()
    for file in sorted((folder / host).glob("*.crt")):
        with contextlib.suppress(OSError, ssl.SSLError):
            context.load_verify_locations(file)
    return context


def logged_in(host: str, folder: Path) -> bool:
    """Return whether Docker's command line keeps credentials for the registry, or has a helper that may."""
    try:
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(settings, dict):
        return False
    if settings.get("credsStore"):
        return True
    names = [*(settings.get("auths") or {}), *(settings.get("credHelpers") or {})]
    hosts = {host_of(name.partition("://")[2] or name) for name in names}
    return host in hosts or (host == HUB and any(name.endswith(f".{HUB}") for name in hosts))


def problem(address: str, answer: Answer, *, user: bool, stack: str) -> Problem | None:
    """Return why images cannot be pushed there; `user` says that somebody is named to the registry."""
    host = host_of(address)
    setting = f"make config STACK={stack} ARGS='set imageRegistry HOST[:PORT][/PATH]'"
    if not answer.status:
        return Problem(
            f"No registry answers at {host}, which imageRegistry names: {answer.words}.",
            f"start it, or name another one: {setting}",
        )
    if answer.status == 401 and not user:
        return Problem(
            f"The registry {host} asks who pushes, and imageRegistryUser is not set.",
            f"make config STACK={stack} ARGS='set imageRegistryUser NAME', and the same with "
            "'set --secret imageRegistryPassword' (the cluster pulls with them too)",
        )
    if not answer.speaks:
        return Problem(
            f"What answers at {host}, which imageRegistry names, is no registry that takes images: "
            f"GET /v2/ gave {answer.status} {answer.words}".rstrip()
            + ".",
            f"name a registry: {setting}",
        )
    return None
