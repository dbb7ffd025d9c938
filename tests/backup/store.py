"""An S3 server over TLS, with a proxy in front that spoils what it is told to."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from setup.gobuild import Build, find_go, perform
from setup.problem import Problem
from tests.conftest import run_docker, until

MODULE = Path(__file__).parent / "s3"
USER = 10004
KEY_ID, SECRET, BUCKET = "key-of-a-test", "geheim/of+a=test", "backups"
DIRECT, PROXIED = 7070, 7071


def certificate(folder: Path, address: str = "127.0.0.1") -> None:
    """Make a key and a certificate that signs itself, for the server's name in its network and an address."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "s3")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("s3"), x509.IPAddress(ipaddress.ip_address(address))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    (folder / "s3.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "s3.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def build(folder: Path) -> Path:
    """Build the server from its module into a folder; without a Go to do it with the test is skipped."""
    wanted = Build("the S3 server of the tests", MODULE, "1 GB", 0)
    program = folder / "versitygw"
    command = ["build", "-o", str(program), "github.com/versity/versitygw/cmd/versitygw"]
    try:
        perform(wanted, [find_go(wanted, os.environ), *command], os.environ, print)
    except Problem as problem:
        pytest.skip(str(problem.cause))
    return program


def own_address() -> str:
    """Return this machine's address on Docker's usual bridge, which a daemon that was restarted does not name."""
    (found, *_) = json.loads(run_docker("network", "inspect", "bridge", "--format", "{{json .IPAM.Config}}"))
    return str(found.get("Gateway") or next(ipaddress.ip_network(found["Subnet"]).hosts()))


class OnTheMachine:
    """The server as a process of this machine, at an address where containers reach it; it can be away for a while."""

    def __init__(self, folder: Path, address: str = "") -> None:
        """Serve at an address, that of Docker's usual bridge where none is given."""
        self.folder = folder
        self.program = build(folder)
        self.address = address or own_address()
        with socket.create_server((self.address, 0)) as free:
            self.port = free.getsockname()[1]
        certificate(folder, self.address)
        self.data = folder / "data" / BUCKET
        self.data.mkdir(parents=True)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Where it is."""
        return f"https://{self.address}:{self.port}"

    @property
    def authorities(self) -> str:
        """By which certificate it is known."""
        return (self.folder / "s3.crt").read_text(encoding="utf-8")

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        serve = [
            str(self.program), "--port", f"{self.address}:{self.port}", "--cert", str(self.folder / "s3.crt"),
            "--key", str(self.folder / "s3.key"), "posix", str(self.folder / "data"),
        ]  # fmt: skip
        with (self.folder / "s3.log").open("ab") as log:
            environment = {**os.environ, "ROOT_ACCESS_KEY": KEY_ID, "ROOT_SECRET_KEY": SECRET}
            self.process = subprocess.Popen(serve, stdout=log, stderr=log, env=environment)
        until(self.answers, f"S3 server, whose log is {self.folder / 's3.log'}")

    def answers(self) -> bool:
        """Whether it takes connections."""
        with socket.socket() as probe:
            return probe.connect_ex((self.address, self.port)) == 0

    def stop(self) -> None:
        """Take it away."""
        if self.process:
            self.process.terminate()
            self.process.wait(30)
        self.process = None


class Store:
    """The server and the proxy in a container beside the one that makes backups."""

    def __init__(self, stage: Any, folder: Path) -> None:
        self.stage = stage
        self.folder = folder
        self.name = f"{stage.name}-s3"
        self.data = folder / "data"

    def build(self) -> None:
        """Build the server from its module."""
        build(self.folder)

    def start(self) -> None:
        """Start both and wait for them."""
        certificate(self.folder)
        (self.data / BUCKET).mkdir(parents=True)
        (self.folder / "proxy.py").write_text((MODULE / "proxy.py").read_text(encoding="utf-8"))
        self.faults()
        for path in (self.folder, *self.folder.rglob("*")):
            os.chown(path, USER, USER)
        serve = f"/s3/versitygw --port :{DIRECT} --cert /s3/s3.crt --key /s3/s3.key posix /s3/data"
        proxy = f"python /s3/proxy.py {PROXIED} {DIRECT} /s3/s3.crt /s3/s3.key /s3/faults.json"
        self.stage.docker(
            "run", "-d", "--name", self.name, "--label", self.stage.database.label, "--init",
            "--network", self.stage.network, "--network-alias", "s3", "--user", f"{USER}:{USER}",
            "-e", f"ROOT_ACCESS_KEY={KEY_ID}", "-e", f"ROOT_SECRET_KEY={SECRET}",
            "-v", f"{self.folder}:/s3", self.stage.image, "sh", "-c", f"{serve} & {proxy}",
        )  # fmt: skip
        ask = "import socket, sys; [socket.create_connection(('s3', int(port)), 2) for port in sys.argv[1:]]"
        command = ["docker", "exec", self.stage.name, "python", "-c", ask, str(DIRECT), str(PROXIED)]

        def answers() -> bool:
            return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0

        until(answers, f"S3 server; its log: {self.stage.docker('logs', self.name, check=False)}")

    def faults(self, **wanted: Any) -> None:
        """Say what the proxy spoils from now on; nothing without any."""
        new = self.folder / "faults.new"
        new.write_text(json.dumps(wanted))
        new.replace(self.folder / "faults.json")

    def settings(self, prefix: str, port: int = DIRECT) -> dict[str, str]:
        """The settings that lead to it."""
        return {
            "BACKUP_S3_BUCKET": BUCKET,
            "BACKUP_S3_PREFIX": prefix,
            "BACKUP_S3_ENDPOINT": f"https://s3:{port}",
            "BACKUP_S3_ACCESS_KEY_ID": KEY_ID,
            "BACKUP_S3_SECRET_ACCESS_KEY_FILE": self.stage.file("s3-secret", SECRET.encode()),
            "BACKUP_S3_CA_FILE": self.stage.file("s3.crt", (self.folder / "s3.crt").read_bytes()),
        }

    def stored(self, prefix: str) -> list[str]:
        """The keys below a prefix."""
        root = self.data / BUCKET / prefix
        return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())

    def stop(self) -> None:
        """Remove it."""
        self.stage.docker("rm", "-fv", self.name, check=False)
