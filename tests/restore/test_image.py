"""The backup image holds the restore's three processes; each runs with little, and says what it lacks."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import LABEL, Docker, until
from tests.restore.guarded import DAEMON, Containers, short_folder

COORDINATOR = 10005
LOADER = 10006
GATE = 10007
GROUP = 10004
SOCKET = "/run/restore-gate/gate.sock"
HARDENED = (
    "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "none",
    "--memory", "64m", "--memory-swap", "64m", "--ulimit", "nproc=64", "--tmpfs", "/tmp:rw,noexec,nosuid,nodev,size=1m",
)  # fmt: skip
ASK = """
import json, sys
from restore import switchboard
board = switchboard.connect()
units = board.resolve(["web"])
for unit in units:
    board.stop(unit, 1)
stopped = [board.state(unit).state for unit in units]
for unit in units:
    board.start(unit, 10)
print(json.dumps([[unit.name, unit.state] for unit in units] + stopped + [board.state(unit).state for unit in units]))
"""
REFUSED = """
from restore import switchboard
try:
    switchboard.connect().resolve(["web"])
except switchboard.SwitchboardError as error:
    print(error)
"""


class Stand:
    """The image, the containers that are made of it, and the folder with the gate's socket."""

    def __init__(self, docker: Docker, image: str, containers: Containers, folder: Path) -> None:
        self.docker = docker
        self.image = image
        self.containers = containers
        self.folder = folder
        self.gate = containers.name("gate")

    def open(self, user: str, *groups: str) -> None:
        """Run the gate as a user with groups beside its own, and wait until it is open."""
        owner, group = map(int, user.split(":"))
        os.chown(self.folder, owner, group)
        self.folder.chmod(0o750)
        settings = {
            "RESTORE_COORDINATOR_UID": str(COORDINATOR),
            "RESTORE_PROJECT": "scaffold-test",
            "RESTORE_STACK": self.containers.stack,
            "RESTORE_STOP_CONTAINERS": "web",
        }
        self.docker(
            "run", "--detach", "--name", self.gate, "--label", f"{LABEL}={self.containers.run_id}",
            "--label", f"scaffold.stack={self.containers.stack}", "--user", user, *HARDENED,
            *(word for each in groups for word in ("--group-add", each)),
            *(word for name, value in settings.items() for word in ("--env", f"{name}={value}")),
            "--volume", f"{DAEMON}:{DAEMON}:ro", "--volume", f"{self.folder}:/run/restore-gate",
            self.image, "python", "-m", "restore", "gate",
        )  # fmt: skip
        until(lambda: "the gate is open" in self.docker("logs", self.gate), f"an open gate: {self.said()}")

    def said(self) -> str:
        """What the gate says."""
        return self.docker("logs", self.gate, check=False)

    def close(self) -> None:
        """Remove the gate."""
        self.docker("rm", "-f", self.gate, check=False)

    def ask(self, user: int, script: str) -> str:
        """Run a script in another container that has the gate's socket and nothing of the daemon's."""
        return self.docker(
            "run", "--rm", "--label", f"{LABEL}={self.containers.run_id}", "--user", f"{user}:{GROUP}", *HARDENED,
            "--env", f"RESTORE_GATE_SOCKET={SOCKET}", "--volume", f"{self.folder}:/run/restore-gate:ro",
            self.image, "python", "-W", "error", "-c", script,
        )  # fmt: skip


@pytest.fixture
def stand(docker: Docker, backup_image: str, run_id: str) -> Iterator[Stand]:
    """A stack with a container of its service `web`."""
    containers = Containers(docker, run_id)
    with short_folder() as folder:
        made = Stand(docker, backup_image, containers, folder)
        try:
            yield made
        finally:
            made.close()
            containers.remove()


@pytest.mark.parametrize("user", [f"0:{GROUP}", f"{GATE}:{GROUP}"])
def test_the_gate_serves_the_coordinator_and_nobody_else_without_a_single_power(stand: Stand, user: str) -> None:
    web = stand.containers.make("web-1", "web")
    daemons = str(Path(DAEMON).stat().st_gid)
    stand.open(user, *(() if user.startswith("0:") else (daemons,)))
    mode = (stand.folder / "gate.sock").stat()
    assert stat.S_IMODE(mode.st_mode) == 0o660
    assert f"{mode.st_uid}:{mode.st_gid}" == user
    assert json.loads(stand.ask(COORDINATOR, ASK)) == [[web, "running"], "stopped", "running"]
    refused = f"user {LOADER} may not open the gate"
    assert stand.ask(LOADER, REFUSED) == f"{refused}. RESTORE_COORDINATOR_UID says who may"
    stand.docker("exec", stand.gate, "python", "-m", "restore", "gate", "check")
    pid = stand.docker("inspect", "--format", "{{.State.Pid}}", stand.gate)
    status = Path(f"/proc/{pid}/status").read_text()
    assert set(re.findall(r"Cap(?:Prm|Eff|Bnd|Amb):\s+(\w+)", status)) == {"0" * 16}
    assert int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) < 48_000
    events = [json.loads(line)["event"] for line in stand.said().splitlines()]
    assert events == ["the gate is open", "stopped", "started", f"refused: {refused}"]
    assert stand.docker("stop", "--time", "5", stand.gate)
    assert stand.docker("inspect", "--format", "{{.State.ExitCode}}", stand.gate) == "143"
    assert not (stand.folder / "gate.sock").exists()


def test_the_gate_without_the_daemons_group_says_so_to_who_asks(stand: Stand) -> None:
    stand.open(f"{GATE}:{GROUP}")
    done = subprocess.run(
        ["docker", "exec", stand.gate, "python", "-m", "restore", "gate", "check"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "is the Docker daemon there?" in json.loads(done.stdout)["event"]
    assert f"cannot be reached at {DAEMON}: Permission denied" in stand.said()


def test_the_gate_loads_nothing_but_the_standard_library(docker: Docker, backup_image: str) -> None:
    script = (
        "import sys, restore.gate, restore.docker, restore.kubernetes; print(sorted({'psycopg', 'cryptography', "
        "'botocore', 'asyncio', 'restore.lexer'} & set(sys.modules)))"
    )
    assert docker("run", "--rm", "--network", "none", backup_image, "python", "-c", script) == "[]"


@pytest.mark.parametrize(
    ("command", "user", "said"),
    [
        ("gate", GATE, r"RESTORE_PROJECT: not set, wanted what the stack's containers have in the label"),
        ("loader", LOADER, r"RESTORE_LOADER_URL"),
        ("watch", COORDINATOR, r"RESTORE_ADMIN_URL and RESTORE_SQLITE_PATH: wanted one of both"),
    ],
)
def test_each_process_without_settings_ends_with_what_it_lacks(
    docker: Docker, backup_image: str, command: str, user: int, said: str
) -> None:
    run = ["docker", "run", "--rm", "--user", f"{user}:{GROUP}", *HARDENED, backup_image]
    done = subprocess.run(
        [*run, "python", "-m", "restore", command],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = map(json.loads, done.stdout.splitlines())
    assert (line["level"], line["logger"]) == ("error", "restore")
    assert re.search(said, line["event"]), line
    assert done.stderr == ""


def test_an_unknown_command_is_answered_with_those_there_are(docker: Docker, backup_image: str) -> None:
    for words in ((), ("shell",)):
        done = subprocess.run(
            ["docker", "run", "--rm", "--network", "none", backup_image, "python", "-m", "restore", *words],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 2
        assert "wanted one of: watch, loader, gate" in done.stderr
