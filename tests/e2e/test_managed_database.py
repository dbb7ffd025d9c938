"""A stack on a PostgreSQL that somebody else runs: it is checked first, and none of the stack's own is started."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import LABEL, Docker, remove_labelled
from tests.e2e.site import Site, new_site

PASSWORD = "p@ss:w/rd%'1"
ENCODED = "p%40ss%3Aw%2Frd%25%271"


@dataclass(frozen=True)
class Managed:
    """A server that is reached over the machine's bridge, as one in another network would be."""

    host: str
    port: int

    def url(self, role: str) -> str:
        """Return a role's URL."""
        return f"postgresql+psycopg://{role}:{ENCODED}@{self.host}:{self.port}/scaffold"


@pytest.fixture(scope="module")
def managed(docker: Docker, run_id: str, database_image: str, tmp_path_factory: pytest.TempPathFactory) -> Managed:
    """A PostgreSQL with the roles that the guide asks for, outside every stack."""
    name = f"managed-{run_id}"
    label = f"{LABEL}={run_id}"
    bridge = (
        docker("run", "--rm", "--label", label, database_image, "cat", "/proc/net/route").splitlines()[1].split()[2]
    )
    bridge = str(ipaddress.ip_address(int.from_bytes(bytes.fromhex(bridge), "little")))
    for volume in ("data", "socket"):
        docker("volume", "create", "--label", label, f"{name}-{volume}")
    socket = f"{name}-socket:/run/postgresql"
    docker(
        "run", "--detach", "--name", name, "--label", label, "--publish", f"{bridge}::5432",
        "--volume", f"{name}-data:/var/lib/postgresql", "--volume", socket, database_image,
    )  # fmt: skip
    roles = tmp_path_factory.mktemp("managed") / "roles.json"
    app = [{"name": each, "password": PASSWORD} for each in ("app_a", "app_b")]
    roles.write_text(json.dumps({"database": "scaffold", "owner": {"name": "owner", "password": PASSWORD}, "app": app}))
    roles.chmod(0o444)
    roles.parent.chmod(0o755)
    docker(
        "run", "--rm", "--label", label, "--volume", socket, "--volume", f"{roles}:/run/files/roles.json:ro",
        database_image, "python3", "-m", "server", "roles",
    )  # fmt: skip
    published = docker("port", name, "5432").splitlines()[0]
    return Managed(bridge, int(published.rpartition(":")[2]))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, run_id: str, docker: Docker) -> Iterator[Site]:
    """A stack of its own, removed at the end."""
    stack = f"e2e-{run_id}-managed"
    yield new_site(tmp_path_factory.mktemp("managed-site"), stack)
    remove_labelled(f"scaffold.stack={stack}")


def keep_secret(site: Site, key: str, value: str) -> None:
    """Set a secret as a person does who knows that arguments are public."""
    subprocess.run(
        [site.environment["SCAFFOLD_PULUMI"], "config", "set", "--secret", key],
        cwd=site.folder,
        env=site.environment,
        input=value,
        text=True,
        capture_output=True,
        timeout=60,
        check=True,
    )


def test_an_app_role_that_may_change_the_schema_is_refused_by_name(site: Site, managed: Managed) -> None:
    keep_secret(site, "releaseKey", os.urandom(32).hex())
    keep_secret(site, "databaseUrl", managed.url("owner"))
    keep_secret(site, "databaseOwnerUrl", managed.url("owner"))
    refused = site.up(check=False)
    said = refused.stdout + refused.stderr
    assert refused.returncode != 0
    assert "job database-check failed" in said
    assert "the database cannot be used yet" in said
    assert "mend=" in said
    assert PASSWORD not in said
    assert ENCODED not in said
    assert site.containers("web") == site.containers("migrate") == []


def test_the_site_serves_from_the_managed_database_and_starts_none(site: Site, managed: Managed) -> None:
    keep_secret(site, "databaseUrl", managed.url("app_a"))
    site.up()
    assert site.get("/").status == 200
    assert json.loads(site.get("/readyz").body)["release"] == site.outputs()["release"]
    assert site.containers("database") == []
    assert ENCODED not in site.state()
    site.up("--expect-no-changes")


def test_the_stack_files_hold_no_url_in_clear_text(site: Site) -> None:
    files = list(Path(site.folder).glob("Pulumi.*.yaml"))
    assert files
    for file in files:
        assert ENCODED not in file.read_text()
