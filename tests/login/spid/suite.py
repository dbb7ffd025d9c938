"""spid_sp_test: installed from hashes into an environment of its own, told of this site, and asked what it found."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.app.saml import idp
from tests.app.saml.idp import SITE, pair

HERE = Path(__file__).parent
INSTALL_SECONDS, RUN_SECONDS = 900, 1200
TRANSIENT = "nameid-format:transient"
STATUS = re.compile(r"status_code: (\d+)")


@dataclass(frozen=True)
class Found:
    """What became of one of its responses."""

    id: str
    what: str
    status: int
    passed: bool


class Suite:
    """The suite, and a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "environment" / "bin" / "python"

    def install(self) -> None:
        """Install it, and what it is told."""
        run([sys.executable, "-m", "venv", str(self.folder / "environment")], INSTALL_SECONDS)
        wanted = ["--require-hashes", "--requirement", str(HERE / "requirements.txt")]
        run([str(self.python), "-m", "pip", "install", "--quiet", *wanted], INSTALL_SECONDS)
        (self.folder / "private.key").write_text(pair("idp").key_pem)
        (self.folder / "public.cert").write_text(pair("idp").pem)
        (self.folder / "attributes.json").write_text(json.dumps(attributes()))
        shutil.copy(HERE / "begun.py", self.folder)
        (package,) = self.folder.glob("environment/lib/*/site-packages/spid_sp_test")
        shutil.copytree(package / "responses" / "templates", self.folder / "templates")
        for template in (self.folder / "templates").iterdir():
            template.write_text(persistent(template.read_text()))

    def names(self) -> list[str]:
        """Return by which names it knows its responses."""
        listed: dict[str, object] = json.loads(self.ask(["--print-responses-settings"], {}))
        return list(listed)

    def send(self, metadata: str, proxy: str, names: Sequence[str]) -> list[Found]:
        """Send its responses to the site, through a proxy, and return what became of each."""
        (self.folder / "metadata.xml").write_text(metadata)
        report = self.folder / "report.json"
        arguments = [
            "--metadata-url", f"file://{self.folder / 'metadata.xml'}",
            "--authn-url", f"{SITE}/auth/login/saml?next=/account",
            "--profile", "saml2-sp", "--authn-plugin", "begun.Begun", "--attr-json", "attributes.json",
            "--template-path", "templates", "--test-response", "--test-names", *names,
            "--report_format", "json", "--report-output-file", str(report), "--debug", "ERROR", "--exit-zero",
        ]  # fmt: skip
        said = self.ask(arguments, {"HTTPS_PROXY": proxy})
        assert report.exists(), said
        return found(json.loads(report.read_text()))

    def ask(self, arguments: Sequence[str], more: dict[str, str]) -> str:
        """Run it, as the identity provider that the site knows, and return what it prints."""
        told = {"IDP_ENTITYID": idp.ISSUER, "IDP_CERT_PATH": str(self.folder), "PYTHONPATH": str(self.folder)}
        program = str(self.python.parent / "spid_sp_test")
        return run([str(self.python), program, *arguments], RUN_SECONDS, self.folder, {**os.environ, **told, **more})


def attributes() -> dict[str, str]:
    """Return what is told of Ada, each with one value."""
    return {name: values[0] for name, values in idp.entras(role="Site.Admin").items()}


def persistent(template: str) -> str:
    """Return a template that names people as this site asks for it."""
    named = template.replace(TRANSIENT, "nameid-format:persistent")
    return re.sub(r"\s*(\{\{ ?NameID ?\}\})\s*", r"\1", named)


def found(report: dict[str, dict[str, dict[str, dict[str, list[dict[str, str]]]]]]) -> list[Found]:
    """Return what a report says of the responses."""
    (listed,) = report["test"]["sp"]["response"].values()
    return [
        Found(one["test_id"], one["test"], int(STATUS.findall(one["value"])[0]), one["result"] == "success")
        for one in listed
    ]


def run(command: Sequence[str], seconds: float, folder: Path = HERE, environment: dict[str, str] | None = None) -> str:
    """Run a command and return what it prints; raise AssertionError with its words where it fails."""
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout
