"""An engine's plugins are forked from what the first of them has loaded, and come and go as if they were not."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, provider_pb2_grpc

from offline import install, random, start
from offline.plugin import nursery
from tests.offline.conftest import ROOT, alive, wait_for

# Starts what it is told to, each with its own addition to PATH, and says with which number and which port.
ENGINE = """
import os, subprocess, sys
running = []
for line in sys.stdin:
    launcher, folder = line.split()
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    plugin = subprocess.Popen([launcher, "127.0.0.1:1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                              env=environment, process_group=0)
    running.append(plugin)
    print(plugin.pid, plugin.stdout.readline().strip(), flush=True)
for plugin in running:
    os.killpg(plugin.pid, 2)
print(*(plugin.wait() for plugin in running), flush=True)
"""
NOBODY = 65534
FROM_OUTSIDE = """
import socket, sys
sys.exit(socket.socket(socket.AF_UNIX).connect_ex(sys.argv[1]))
"""
# Starts a plugin and is gone.
KILLED = """
import os, subprocess, sys
subprocess.Popen([sys.argv[1], "127.0.0.1:1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0,
                 stderr=int(sys.argv[2]), pass_fds=[int(sys.argv[2])])
os._exit(0)
"""


class Engine:
    """A process that starts plugins as Pulumi does."""

    def __init__(self, home: Path, **environment: str) -> None:
        self._launchers = launchers(home)
        self.process = subprocess.Popen(
            [sys.executable, "-c", ENGINE],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment},
        )  # fmt: skip

    def start(self, name: str, folder: Path = ROOT) -> tuple[int, str]:
        """Start a plugin; return its process' number and its address."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{self._launchers[name]} {folder}\n")
        self.process.stdin.flush()
        number, port = map(int, self.process.stdout.readline().split())
        return number, f"127.0.0.1:{port}"

    def finish(self) -> list[int]:
        """Have every plugin asked to go, and return their exit codes."""
        codes, _ = self.process.communicate(timeout=20)
        return [int(code) for code in codes.split()]

    @property
    def address(self) -> str:
        """Where the nursery listens."""
        return start.address(self.process.pid)

    def has_nursery(self) -> bool:
        """Say whether anybody listens there."""
        with socket.socket(socket.AF_UNIX) as line, contextlib.suppress(FileNotFoundError):
            return line.connect_ex(self.address) == 0
        return False


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    running = Engine(tmp_path)
    yield running
    running.process.kill()
    running.process.communicate()
    wait_for(lambda: not running.has_nursery())


def launchers(home: Path) -> dict[str, Path]:
    """Return what starts each plugin."""
    written = install.install_plugins(home, Path(sys.executable), ROOT)
    return {path.name.rpartition("-")[2]: path for path in written}


def version_of(address: str) -> str:
    """Return what a provider says of itself."""
    with grpc.insecure_channel(address) as channel:
        provider = provider_pb2_grpc.ResourceProviderStub(channel)  # type: ignore[no-untyped-call,unused-ignore]
        return str(provider.GetPluginInfo(empty_pb2.Empty(), timeout=10).version)


def has_loaded_grpc(process: int) -> bool:
    """Say whether gRPC is in a process' memory."""
    return "cygrpc" in Path(f"/proc/{process}/maps").read_text()


def ended(process: int) -> bool:
    return not alive(process)


def test_the_first_plugin_of_an_engine_loads_for_those_that_follow(engine: Engine) -> None:
    first, _ = engine.start("python")
    later = [engine.start("random") for _ in range(2)]
    assert has_loaded_grpc(first)
    assert not any(has_loaded_grpc(process) for process, _ in later), "these stand for what was forked"
    assert {version_of(address) for _, address in later} == {random.VERSION}
    assert engine.finish() == [0, 0, 0]
    wait_for(lambda: not engine.has_nursery())


def test_a_forked_plugin_has_the_environment_of_who_asked_for_it(engine: Engine, tmp_path: Path) -> None:
    engine.start("random")
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "python3").symlink_to(sys.executable)
        _, address = engine.start("python", tmp_path / name)
        with grpc.insecure_channel(address) as channel:
            host = language_pb2_grpc.LanguageRuntimeStub(channel)  # type: ignore[no-untyped-call,unused-ignore]
            assert host.About(language_pb2.AboutRequest(), timeout=20).executable == str(tmp_path / name / "python3")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_forked_plugin_goes_with_what_stands_for_it(engine: Engine, number: signal.Signals) -> None:
    engine.start("python")
    process, address = engine.start("random")
    assert version_of(address)
    os.kill(process, number)
    wait_for(partial(ended, process), 10)
    wait_for(lambda: not listens(address), 10)


def test_a_killed_engine_leaves_neither_plugins_nor_nursery(engine: Engine) -> None:
    engine.start("python")
    process, address = engine.start("random")
    engine.process.kill()
    wait_for(partial(ended, process), 10)
    wait_for(lambda: not listens(address) and not engine.has_nursery(), 10)


def test_a_plugin_that_is_killed_ends_what_stands_for_it(engine: Engine) -> None:
    engine.start("python")
    process, address = engine.start("random")
    (forked,) = (each for each in in_group(process) if each != process)
    os.kill(forked, signal.SIGKILL)
    wait_for(partial(ended, process), 10)
    assert not listens(address)
    assert engine.finish() == [0, 1]


def test_without_its_nursery_a_plugin_starts_by_itself(engine: Engine) -> None:
    engine.start("python")
    with contextlib.suppress(ProcessLookupError):
        os.kill(listener_of(engine.address), signal.SIGKILL)
    wait_for(lambda: not engine.has_nursery())
    process, address = engine.start("random")
    assert has_loaded_grpc(process)
    assert version_of(address) == random.VERSION


def test_a_plugin_waits_only_so_long_for_a_nursery_that_stands_still(engine: Engine) -> None:
    engine.start("python")
    listener = listener_of(engine.address)
    os.kill(listener, signal.SIGSTOP)
    process, address = engine.start("random")
    assert has_loaded_grpc(process)
    assert version_of(address) == random.VERSION
    os.kill(listener, signal.SIGCONT)
    later, _ = engine.start("random")
    assert not has_loaded_grpc(later)
    assert engine.finish() == [0, 0, 0]


def test_a_nursery_answers_nobody_who_asks_wrongly(engine: Engine) -> None:
    engine.start("python")
    for words in (b"", b"\0\0\0\5x", b"\0\0\0\1x"):
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(engine.address)
            line.sendall(words)
            line.shutdown(socket.SHUT_WR)
            assert line.recv(1) == b""
    process, _ = engine.start("random")
    assert not has_loaded_grpc(process)


def test_a_nursery_that_was_killed_leaves_no_file_for_long(engine: Engine, tmp_path: Path) -> None:
    engine.start("python")
    os.kill(listener_of(engine.address), signal.SIGKILL)
    wait_for(lambda: not engine.has_nursery())
    left = Path(engine.address)
    assert left.exists()
    engine.process.kill()
    engine.process.communicate()
    another = Engine(tmp_path)
    another.start("python")
    assert another.has_nursery()
    assert not left.exists()
    assert another.finish() == [0]
    wait_for(lambda: not Path(another.address).exists())


def test_a_plugin_whose_engine_was_killed_leaves_no_nursery(tmp_path: Path) -> None:
    said, say = os.pipe()
    started = [sys.executable, "-c", KILLED, str(launchers(tmp_path)["random"]), str(say)]
    subprocess.run(started, pass_fds=[say], check=True, timeout=20)
    os.close(say)
    with os.fdopen(said) as told:
        wait_for(lambda: not nursery.has_other_end(told.fileno()))
        assert "BrokenPipeError" in told.read(), "the plugin has ended, and whatever it might have left"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_nursery_is_one_users_and_a_plugin_trusts_no_others(engine: Engine, tmp_path: Path) -> None:
    engine.start("python")
    somebody = {"user": NOBODY, "group": NOBODY, "extra_groups": [], "cwd": "/"}
    outside = subprocess.run(
        ["/usr/bin/python3", "-c", FROM_OUTSIDE, engine.address], timeout=20, check=False, **somebody
    )  # type: ignore[call-overload]
    assert outside.returncode == errno.EACCES
    with tempfile.TemporaryDirectory() as folder:
        taken = Path(folder, Path(start.folder()).name)
        taken.mkdir(mode=0o700)
        for mode, user in ((0o700, NOBODY), (0o777, os.geteuid())):
            taken.chmod(mode)
            os.chown(taken, user, user)
            other = Engine(tmp_path, TMPDIR=folder)
            for _ in range(2):
                process, address = other.start("random")
                assert has_loaded_grpc(process)
                assert version_of(address) == random.VERSION
            assert other.finish() == [0, 0]
            assert not list(taken.iterdir())


def listens(address: str) -> bool:
    """Say whether a port is open."""
    host, _, port = address.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def in_group(group: int) -> list[int]:
    """Return the processes of a group."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[2]) == group:
                found.append(int(path.parent.name))
    return found


def listener_of(address: str) -> int:
    """Return the process that listens on an address."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(address)
        credentials = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[:4], sys.byteorder)
