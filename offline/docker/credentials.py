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

HUB = "https://index.docker.io/v1/"  # the one address under which Docker keeps its hub's credentials
HUB_NAMES = frozenset({image_name.HUB, image_name.HUB_ALIAS, "registry-1.docker.io"})
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
    def header(self) -> dict[str, str]:
        """Return the header that carries them to the daemon; Docker wants one for an anonymous push too."""
        sent = {**self.values, "serveraddress": self.host}
        return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(sent).encode()).decode()}

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
    path = shutil.which(program)
    if path is None:
        raise PluginError(
            f'error getting credentials - err: exec: "{program}": executable file not found in $PATH, out: ``'
        )
    try:
        done = subprocess.run(
            [path, "get"], input=host, capture_output=True, text=True, timeout=HELPER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise PluginError(
            f"error getting credentials - err: {program} did not answer in {HELPER_SECONDS:g} s"
        ) from None
    except OSError as error:
        raise PluginError(f"error getting credentials - err: {program}: {error.strerror}") from None
    if done.returncode != 0:
        # What a helper that fails prints is its reason; what it prints otherwise is the secret.
        if NOT_KEPT in done.stdout:
            return Credentials(host)
        reason = f"err: exit status {done.returncode}, out: `{done.stdout.strip()}`"
        raise PluginError(f"error getting credentials - {reason}")
    try:
        answer = json.loads(done.stdout)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError):
        raise PluginError(f"error getting credentials - err: {program} did not answer as helpers do") from None
    values = {"identitytoken": secret} if user == TOKEN_USER else {"username": user, "password": secret}
    return Credentials(host, program, values)
