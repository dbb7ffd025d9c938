"""One stack for the module, HTTPS in front of it, and a browser for which site and providers are different sites."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from tests.app.saml.idp import SITE, pair
from tests.conftest import ROOT, Docker, remove_labelled, remove_what_dead_runs_left
from tests.e2e.browser import chromium
from tests.e2e.site import Site, new_site
from tests.login import front
from tests.login.crewjam import Crewjam
from tests.login.entra import Entra
from tests.login.front import Front
from tests.login.provider import Provider
from tests.login.samlp.provider import Samlp

ARTEFACTS = ROOT / "artefacts"
METADATA = "/auth/login/saml/metadata"
PREFIX = "login-"
PROVIDERS: dict[str, type[Provider]] = {"entra": Entra, "crewjam": Crewjam, "samlp": Samlp}
USUAL = {"samlAttributes": "", "samlRolesFrom": "roles", "samlRoles": '{"Site.Admin":"admin"}'}
"""Settings that differ from one provider to another."""
NETWORKS_OF_DOCKER = ("172.16.0.0/12", "192.168.0.0/16", "10.0.0.0/8")


@dataclass
class World:
    """A stack that one provider at a time signs people in to, and a browser that reaches both by their names."""

    site: Site
    front: Front
    browser: Browser
    providers: dict[str, Provider]
    used: str = ""
    started: set[str] = field(default_factory=set)

    def use(self, name: str) -> Provider:
        """Have people sign in by a provider; it is another `up` where it was another one before."""
        provider = self.providers[name]
        if name not in self.started:
            self.started.add(name)
            provider.start()
        if self.used != name:
            for key, value in {**USUAL, **provider.settings, "samlIdpEntityId": provider.entity_id}.items():
                self.site.config(key, value)
            told(self.site, "samlIdpMetadata", provider.metadata())
            self.site.up()
            answer = self.site.get(METADATA, {"Host": urlsplit(SITE).netloc})
            assert answer.status == 200, answer.body
            provider.learn(answer.body)
            self.used = name
        return provider


def told(site: Site, key: str, value: str, *arguments: str) -> None:
    """Set a setting of many lines, or one that is secret, which nobody sees in a list of processes."""
    done = subprocess.run(
        [site.environment["SCAFFOLD_PULUMI"], "config", "set", *arguments, key, "--non-interactive"],
        cwd=site.folder, env=site.environment, input=value, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{key}: {done.stdout}{done.stderr}"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, run_id: str, docker: Docker) -> Iterator[Site]:
    """A stack behind a proxy that ends HTTPS, with a key of its own for SAML; no `up` has touched it yet."""
    remove_what_dead_runs_left("scaffold.stack", PREFIX)
    stack = f"{PREFIX}{run_id}"
    made = new_site(tmp_path_factory.mktemp("login"), stack, {"siteUrl": SITE})
    for number, network in enumerate(NETWORKS_OF_DOCKER):
        made.config(f"trustedProxies[{number}]", network, "--path")
    told(made, "releaseKey", secrets.token_hex(16), "--secret")
    told(made, "samlSpCertificate", pair("sp").pem)
    told(made, "samlSpPrivateKey", pair("sp").key_pem, "--secret")
    made.config("samlSignAuthnRequests", "true")
    yield made
    remove_labelled(f"scaffold.stack={stack}")


@pytest.fixture(scope="session")
def world(
    site: Site,
    docker: Docker,
    run_id: str,
    gateway_image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    """The stack, its front, and the browser."""
    kept = tmp_path_factory.mktemp("providers")
    providers: dict[str, Provider] = {name: kind(kept / name) for name, kind in PROVIDERS.items()}
    behind = {"www.example.org": site.port} | {provider.host: provider.port for provider in providers.values()}
    folder: Path = tmp_path_factory.mktemp("front") / "front"
    proxy = front.start(docker, run_id, gateway_image, folder, pair("front"), behind)
    with chromium(*proxy.flags) as browser:
        made = World(site, proxy, browser, providers)
        yield made
        for name in made.started:
            providers[name].stop()


@pytest.fixture
def artefacts() -> Path:
    """The folder where pictures are kept for a person to look at."""
    ARTEFACTS.mkdir(exist_ok=True)
    return ARTEFACTS
