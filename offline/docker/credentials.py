"""Finds what proves to a registry who pushes: the image's own, what `docker login` keeps, else the provider's."""

from __future__ import annotations

import base64
import binascii
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from offline.docker import image_name
from offline.docker.pull import Auths
from offline.plugin.errors import PluginError

HUB = f"https://{image_name.HUB_ALIAS}/v1/"  # the one address under which Docker keeps its hub's credentials
HUB_NAMES = frozenset({image_name.HUB, image_name.HUB_ALIAS, f"registry-1.{image_name.HUB}"})
HELPER_SECONDS = 30.0
NOT_KEPT = "credentials not found"
TOKEN_USER = "<token>"  # noqa: S105  how a helper says that its secret is a token
SECRETS = ("password", "identitytoken", "registrytoken")
ENTRIES = "DOCKER_AUTH_CONFIG"  # entries of `docker login` handed over without a file


@dataclass(frozen=True)
class Credentials:
    """What is shown to a registry, which one it is for, and where it was found; empty where there is none."""

    host: str
    source: str = ""
    values: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def sent(self) -> dict[str, str]:
        """Return them as the daemon reads them."""
        return {**self.values, "serveraddress": self.host}

    @property
    def header(self) -> dict[str, str]:
        """Return the header that carries them to the daemon; Docker wants one for an anonymous push too."""
        return {"X-Registry-Auth": _encoded(self.sent)}

    @property
    def shown_host(self) -> str:
        """Return the registry as a person names it."""
        return image_name.HUB if self.host == HUB else self.host

    def hidden(self, text: str) -> str:
        """Return a text without these secrets, should a registry have repeated them."""
        for name in SECRETS:
            if self.values.get(name):
                text = text.replace(self.values[name], "[secret]")
        return text


def host_of(server: str, image: str) -> str:
    """Return the registry that a server's address, or else an image's name, means; raise MisnamedError."""
    host = (server.partition("://")[2] or server).partition("/")[0] if server else image_name.parse(image).registry
    return HUB if host in HUB_NAMES else host


def find(own: Mapping[str, str], image: str, auths: Auths) -> Credentials:
    """Return the credentials for an image's registry; raise PluginError.

    `own` are the image's server, username and password, `auths` the provider's by registry. The official provider
    never looks at the latter, so they come last: where it finds some, the same ones are found here.
    """
    host = host_of(own.get("server", ""), image)
    if own.get("username") and own.get("password"):
        values = {"username": own["username"], "password": own["password"]}
        return Credentials(host, "the image's `registry`", values)
    found = kept(host, folder())
    if found.values:
        return found
    for address, auth in auths.items():
        if address and host_of(address, "") == host:
            return Credentials(host, "the provider's `registryAuth`", auth)
    return found


def build_header(shown: Credentials | None, auths: Auths) -> dict[str, str]:
    """Return the header with which the daemon pulls what a build starts from, whatever registry that is in.

    Raise PluginError where `docker login` keeps something that cannot be read.
    """
    found = {host_of(address, ""): auth for address, auth in auths.items() if address}
    every = {host: Credentials(host, values=auth).sent for host, auth in found.items()}
    every |= {one.host: one.sent for one in all_kept(folder())}
    if shown is not None and shown.values:
        every[shown.host] = shown.sent
    return {"X-Registry-Config": _encoded(every)} if every else {}


def _encoded(value: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(dict(value)).encode()).decode()


def folder() -> Path:
    """Return the folder of the Docker command line's settings."""
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def kept(host: str, place: Path) -> Credentials:
    """Return what `docker login` keeps for a registry, in its file or with a helper; raise PluginError."""
    given = os.environ.get(ENTRIES)
    if given and (entry := _entry_for(_parsed(given, ENTRIES), host)):
        return Credentials(host, f"the environment's {ENTRIES}", _values(entry, host))
    file = place / "config.json"
    settings = _settings(file)
    helpers = settings.get("credHelpers")
    by_host = helpers if isinstance(helpers, dict) else {}
    helper = by_host[host] if host in by_host else settings.get("credsStore")
    if not helper:
        entry = _entry_for(settings, host)
        if entry:
            return Credentials(host, str(file), _values(entry, host))
        helper = _default_helper()
    return _ask(str(helper), host) if helper else Credentials(host)


def all_kept(place: Path) -> list[Credentials]:
    """Return what `docker login` keeps for every registry; raise PluginError."""
    settings = _settings(place / "config.json")
    given = os.environ.get(ENTRIES)
    entries = [
        _parsed(given, ENTRIES).get("auths") if given else None,
        settings.get("auths"),
        settings.get("credHelpers"),
    ]
    hosts = {host_of(name, "") for found in entries if isinstance(found, dict) for name in found if name}
    if store := settings.get("credsStore"):
        listed = _parsed(_answer(str(store), "list", "") or "{}", f"the list of docker-credential-{store}")
        hosts |= {host_of(name, "") for name in listed if name}
    return [found for host in sorted(hosts) if (found := kept(host, place)).values]


def _settings(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise PluginError(f"error loading {file}: {type(error).__name__}; mend it, or log in again") from None
    return _parsed(text, str(file))


def _parsed(text: str, source: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        # It holds passwords, so nothing of it is repeated here.
        raise PluginError(f"error loading {source}: it is no JSON; mend it, or log in again") from None
    return found if isinstance(found, dict) else {}


def _entry_for(settings: Mapping[str, Any], host: str) -> Mapping[str, Any] | None:
    """Return the entry of a registry: the one that is named so, else one that older programs wrote with a scheme."""
    entries = settings.get("auths")
    found = {str(name): entry for name, entry in entries.items()} if isinstance(entries, dict) else {}
    named_so = [host, *(name for name in found if name and host_of(name, "") == host)]
    return next((found[name] for name in named_so if isinstance(found.get(name), dict)), None)


def _values(entry: Mapping[str, Any], host: str) -> dict[str, str]:
    found = {name: str(entry[name]) for name in ("username", *SECRETS) if entry.get(name)}
    if entry.get("auth"):
        try:
            user, colon, password = base64.b64decode(str(entry["auth"])).decode().rstrip("\0").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            user = colon = password = ""
        if not user or not colon:
            raise PluginError(
                f"the Docker settings' entry for {host} cannot be read: `auth` is not the base64 of USER:PASSWORD; "
                f"docker login {host}"
            )
        found |= {"username": user, "password": password}
    return found


def _default_helper() -> str:
    helper = "pass" if shutil.which("pass") else "secretservice"
    return helper if shutil.which(f"docker-credential-{helper}") else ""


def _ask(helper: str, host: str) -> Credentials:
    program = f"docker-credential-{helper}"
    said = _answer(helper, "get", host)
    if said is None:
        return Credentials(host)
    try:
        answer = json.loads(said)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError):
        raise PluginError(f"error getting credentials - err: {program} did not answer as helpers do") from None
    values = {"identitytoken": secret} if user == TOKEN_USER else {"username": user, "password": secret}
    return Credentials(host, program, values)


def _answer(helper: str, verb: str, asked: str) -> str | None:
    """Return what a helper answers, or None where it keeps nothing of the kind; raise PluginError."""
    program = f"docker-credential-{helper}"
    failed = f"error {'getting' if verb == 'get' else 'listing'} credentials - err:"
    path = shutil.which(program)
    if path is None:
        raise PluginError(f'{failed} exec: "{program}": executable file not found in $PATH, out: ``')
    try:
        done = subprocess.run(
            [path, verb], input=asked, capture_output=True, text=True, timeout=HELPER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise PluginError(f"{failed} {program} did not answer in {HELPER_SECONDS:g} s") from None
    except OSError as error:
        raise PluginError(f"{failed} {program}: {error.strerror}") from None
    if done.returncode == 0:
        return done.stdout
    # What a helper that fails prints is its reason; what it prints otherwise is the secret.
    if NOT_KEPT in done.stdout:
        return None
    raise PluginError(f"{failed} exit status {done.returncode}, out: `{done.stdout.strip()}`")
