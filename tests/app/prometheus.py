"""Prometheus of the distribution, unpacked and not installed: no server of it would run from then on."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import free_port

SECONDS = 60


def programs(folder: Path) -> Path:
    """Return the folder with prometheus and promtool: PATH's, or what the distribution's package brings."""
    found = [shutil.which(name) for name in ("prometheus", "promtool")]
    if found[0] and found[1]:
        return Path(found[0]).parent
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        pytest.skip("no Prometheus on PATH, and no apt-get that could bring one")
    # As whoever runs this, and not as apt's own user, who may not write here.
    fetch = ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=", "-o", "Acquire::Retries=2", "prometheus"]
    fetched = subprocess.run(fetch, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    packages = list(folder.glob("prometheus_*.deb"))
    if not packages:
        pytest.skip(f"no Prometheus on PATH, and apt-get brings none: {fetched.stderr.strip()[-300:]}")
    subprocess.run(["dpkg", "-x", str(packages[0]), str(folder)], timeout=120, check=True)
    return folder / "usr" / "bin"


class Server:
    """A Prometheus that watches one address by some rules, every second, for as long as the block lasts."""

    def __init__(self, programs: Path, folder: Path, target: str, token: str, rules: Path) -> None:
        (folder / "token").write_text(token)
        document = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rules)],
            "scrape_configs": [
                {
                    "job_name": "app",
                    "authorization": {"credentials_file": str(folder / "token")},
                    "static_configs": [{"targets": [target]}],
                }
            ],
        }
        # JSON is YAML too.
        (folder / "prometheus.yml").write_text(json.dumps(document))
        self.port = free_port()
        self.said = folder / "said"
        self.command = [
            str(programs / "prometheus"), f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        ]  # fmt: skip

    def __enter__(self) -> Server:
        """Start it."""
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(self.command, stdout=said, stderr=subprocess.STDOUT)
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.process.kill()
        self.process.wait(30)

    def ask(self, path: str) -> Any:
        """Return the data of an answer, None while it does not answer."""
        assert self.process.poll() is None, self.said.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}", timeout=5) as answer:
                return json.load(answer)["data"]
        except OSError:
            return None

    def health(self) -> str:
        """Return how the last look at the app went, and why."""
        found = self.ask("targets")
        targets = found["activeTargets"] if found else []
        return "".join(f"{each['health']} {each['lastError']}".strip() for each in targets)

    def firing(self) -> set[str]:
        """Return the alerts that fire now."""
        found = self.ask("alerts") or {"alerts": []}
        return {each["labels"]["alertname"] for each in found["alerts"] if each["state"] == "firing"}

    def value(self, query: str) -> float | None:
        """Return what a query comes to, None for nothing."""
        found = self.ask(f"query?query={query}")
        return float(found["result"][0]["value"][1]) if found and found["result"] else None
