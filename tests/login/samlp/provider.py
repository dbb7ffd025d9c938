"""An identity provider out of node: samlp, which signs with xml-crypto. It ends sessions, and has its own ended."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.app.saml.idp import ACS_URL, CLAIMS, ENTITY_ID, MICROSOFT, SLS_URL, pair
from tests.login.process import Program

HERE = Path(__file__).parent
FILES = ("package.json", "package-lock.json", "provider.js")
INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund")
INSTALL_SECONDS = 600


class Samlp(Program):
    """The provider, with Hedy in it, of whom it tells by Entra's names."""

    host = "id.example.edu"
    entity_id = f"https://{host}/metadata"
    metadata_path = "/metadata"
    headers = MappingProxyType({"X-Forwarded-Proto": "https", "X-Forwarded-Host": host})
    settings = MappingProxyType({"samlRolesFrom": "none"})
    person, email = "Hedy Lamarr", "hedy@example.org"
    fields = ("User", "hedy"), ("Password", "of a test")
    button = "Log in"

    def start(self) -> None:
        """Install what it is made of, and run it."""
        npm, node = shutil.which("npm"), shutil.which("node")
        if npm is None or node is None:
            pytest.skip("node and npm, by which the provider runs, are not installed")
        self.folder.mkdir()
        for name in FILES:
            shutil.copy(HERE / name, self.folder)
        done = subprocess.run(
            [npm, *INSTALL], cwd=self.folder, env=os.environ, capture_output=True, text=True,
            timeout=INSTALL_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"
        told = self.folder / "settings.json"
        told.write_text(json.dumps(self.configuration()))
        self.begin([node, str(self.folder / "provider.js"), str(told)], self.folder / "log")

    def configuration(self) -> dict[str, object]:
        """Return what it is told, which is all that it ever knows."""
        own = pair("samlp")
        claims = {
            f"{MICROSOFT}tenantid": "studio",
            f"{MICROSOFT}objectidentifier": "9114-1942",
            f"{MICROSOFT}displayname": self.person,
            f"{CLAIMS}emailaddress": self.email,
        }
        return {
            "port": self.port,
            "issuer": self.entity_id,
            "key": own.key_pem,
            "certificate": own.pem,
            "person": {"user": "hedy", "password": "of a test", "name": "Y2FsbCBtZSBIZWR5", "claims": claims},
            "site": {"entityId": ENTITY_ID, "acsUrl": ACS_URL, "slsUrl": SLS_URL, "certificate": pair("sp").pem},
        }

    def learn(self, metadata: str) -> None:
        """Hold that it was told the truth."""
        assert pair("sp").body in "".join(metadata.split())
