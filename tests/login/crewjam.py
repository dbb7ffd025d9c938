"""crewjam's identity provider, a Go program that signs with goxmldsig. It knows of no logout."""

from __future__ import annotations

import json
import os
import urllib.request
from pathlib import Path
from types import MappingProxyType

import pytest

from setup.gobuild import Build, find_go, perform
from setup.problem import Problem
from tests.login.process import Program

MODULE = Path(__file__).parent / "samlidp"
NAMES = {
    "tenant": "urn:oid:1.3.6.1.4.1.5923.1.1.1.9",
    "object_id": "urn:oid:0.9.2342.19200300.100.1.1",
    "email": "urn:oid:0.9.2342.19200300.100.1.3",
    "given_name": "urn:oid:2.5.4.42",
    "surname": "urn:oid:2.5.4.4",
    "name": "urn:oid:2.5.4.3",
}


class Crewjam(Program):
    """The provider, with Grace in it."""

    host = "login.example.com"
    entity_id = f"https://{host}/metadata"
    metadata_path = "/metadata"
    settings = MappingProxyType({"samlAttributes": json.dumps(NAMES), "samlRolesFrom": "none"})
    person, email = "Grace Hopper", "grace@example.org"
    fields = ("User", "grace"), ("Password", "of a test")
    button = "Log in"

    def start(self) -> None:
        """Build it, and run it."""
        self.folder.mkdir()
        program = self.folder / "samlidp"
        build = Build("the identity provider samlidp", MODULE, "500 MB", 0)
        try:
            go = find_go(build, os.environ)
            perform(build, [go, "build", "-o", str(program), "."], os.environ, print)
        except Problem as problem:
            pytest.skip(str(problem.cause))
        command = [str(program), "-origin", self.origin, "-listen", f"127.0.0.1:{self.port}"]
        self.begin(command, self.folder / "log")

    def learn(self, metadata: str) -> None:
        """Put the site's metadata where anybody could."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/services/site", data=metadata.encode(), method="PUT"
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 204
