"""The Docker plugin on the newest Docker that Debian's mirrors offer. Long: it makes a Debian tree first.

Runs with `make test-long`, as root, with mmdebstrap.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.offline.docker_daemon import BASE, HOST_VARIABLE

HERE = Path(__file__).parent
# Empty: the mirror that mmdebstrap takes by itself.
MIRROR = os.environ.get("SCAFFOLD_TEST_DEBIAN_MIRROR", "").split()
PACKAGES = "docker.io,docker-cli,iptables,ca-certificates,procps"
SUITES = ("test_docker_daemon_container.py", "test_docker_daemon_objects.py")

pytestmark = pytest.mark.slow


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What leads a test run to the newest daemon: its address, and a command line that speaks its API."""
    tree, socket, commands = tmp_path / "tree", tmp_path / "socket", tmp_path / "bin"
    subprocess.run(
        [
            "mmdebstrap", "--mode=root", "--variant=apt", '--aptopt=Acquire::Check-Valid-Until "false"',
            '--aptopt=Apt::Install-Recommends "false"', f"--include={PACKAGES}", "sid", tree, *MIRROR,
        ],
        check=True, timeout=900, capture_output=True,
    )  # fmt: skip
    socket.mkdir()
    commands.mkdir()
    (commands / "docker").symlink_to(tree / "usr" / "bin" / "docker")
    with (tmp_path / "dockerd.log").open("wb") as log:
        daemon = subprocess.Popen(
            [
                "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child",
                "sh", HERE / "newest_docker.sh", tree, socket,
            ],
            stdout=log, stderr=log,
        )  # fmt: skip
    host = f"unix://{socket}/docker.sock"
    found = {**os.environ, HOST_VARIABLE: host, "DOCKER_HOST": host, "PATH": f"{commands}:{os.environ['PATH']}"}
    try:
        deadline = time.monotonic() + 60
        while subprocess.run(["docker", "version"], env=found, capture_output=True, timeout=30, check=False).returncode:
            assert time.monotonic() < deadline, (tmp_path / "dockerd.log").read_text()[-2000:]
            time.sleep(0.5)
        image = subprocess.run(["docker", "save", BASE], capture_output=True, check=True, timeout=300).stdout
        subprocess.run(["docker", "load"], env=found, input=image, check=True, timeout=300, capture_output=True)
        yield found
    finally:
        daemon.kill()  # it heeds nothing gentler while it waits; the daemon in it dies with it
        daemon.wait(30)
        shutil.rmtree(tree, ignore_errors=True)


def test_the_daemon_suites_pass_on_the_newest_docker(environment: dict[str, str]) -> None:
    """The same tests, another daemon."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *(HERE / suite for suite in SUITES)],
        env=environment, capture_output=True, text=True, timeout=1200, check=False, cwd=HERE.parent.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
