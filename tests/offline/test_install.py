"""Building the command line and installing the plugins, with a `go` that plays the part of the real one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from offline import install, random, tls
from offline.kubernetes import provider as kubernetes_provider
from offline.language_python import VERSION
from setup.problem import Problem
from tests.offline.conftest import ROOT, alive, wait_for

GO = """#!/bin/sh
# plays `go`: what it prints for `env`, and what it does for `build`, come from the test
if [ "$1" = env ]; then echo "{version}"; exit 0; fi
echo "$@" >> "{folder}/calls"
echo "CGO_ENABLED=$CGO_ENABLED GOTOOLCHAIN=$GOTOOLCHAIN" >> "{folder}/calls"
{script}
"""
MAKES = """
while [ "$1" != -o ]; do shift; done
echo 'go: downloading example.invalid/module v1.0.0'
echo 'crypto/internal/thing'
printf '#!/bin/sh\\necho made\\n' > "$2"
"""


@pytest.fixture
def go(tmp_path: Path) -> GoPlayer:
    return GoPlayer(tmp_path / "go-bin")


class GoPlayer:
    """A `go` on a PATH of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.environment = {**os.environ, "PATH": f"{folder}:/usr/bin:/bin"}

    def plays(self, script: str, version: str = "go1.26.1") -> None:
        program = self.folder / "go"
        program.write_text(GO.format(folder=self.folder, script=script, version=version))
        program.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []


def test_a_build_is_made_once_and_kept_until_the_modules_change(
    go: GoPlayer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go.plays(MAKES)
    said: list[str] = []
    target = tmp_path / "bin" / "pulumi"
    assert install.build_cli(target, said.append, go.environment) == target
    assert subprocess.check_output([target], text=True, timeout=10) == "made\n"
    assert go.calls[0].startswith("build -v -mod=readonly -trimpath")
    assert "CGO_ENABLED=0 GOTOOLCHAIN=auto" in go.calls
    assert said[0].startswith("building the Pulumi command line")
    assert said[1:] == ["fetching Go modules: 1", "compiling: 1 packages"]

    install.build_cli(target, said.append, go.environment)
    assert len(go.calls) == 2, "the second call found the first one's build"

    monkeypatch.setattr(install, "source_digest", lambda: "another")
    install.build_cli(target, said.append, go.environment)
    assert len(go.calls) == 4
    assert not list(target.parent.glob(".building-*"))


def test_a_failed_build_leaves_the_old_program_and_no_litter(
    go: GoPlayer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go.plays(MAKES)
    target = install.build_cli(tmp_path / "pulumi", lambda _: None, go.environment)
    go.plays("echo 'something new is wrong' >&2; exit 1")
    monkeypatch.setattr(install, "source_digest", lambda: "another")
    with pytest.raises(Problem, match="something new is wrong"):
        install.build_cli(target, lambda _: None, go.environment)
    assert subprocess.check_output([target], text=True, timeout=10) == "made\n"
    assert not list(target.parent.glob(".building-*"))


def test_two_builds_at_once_make_one(go: GoPlayer, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    go.plays(f'while [ ! -e "{gate}" ]; do sleep 0.05; done\n{MAKES}')
    target = tmp_path / "pulumi"
    said: list[str] = []
    builds = [threading.Thread(target=install.build_cli, args=(target, said.append, go.environment)) for _ in range(2)]
    for build in builds:
        build.start()
    wait_for(lambda: any(words.startswith("waiting for") for words in said))
    gate.touch()
    for build in builds:
        build.join(30)
    assert target.exists()
    assert len([line for line in go.calls if line.startswith("build")]) == 1


@pytest.mark.parametrize(
    ("words", "cause", "fix"),
    [
        ("go: x@v1: dial tcp: lookup m.invalid: no such host", "could not be fetched", "GOPROXY"),
        ("write /tmp/go-link: no space left on device", "The disk became full", "GOCACHE"),
        ("verifying x@v1: checksum mismatch", "something else than", "do not go on"),
        ("go: download go1.25.11 for linux/amd64: toolchain not available", "is wanted", "golang.org/toolchain"),
        ("x.go:1:1: syntax error", "could not be built", "by hand"),
    ],
)  # fmt: skip
def test_a_failure_is_explained_with_its_remedy(go: GoPlayer, tmp_path: Path, words: str, cause: str, fix: str) -> None:
    go.plays(f"cat <<'END' >&2\n{words}\nEND\nexit 1")
    with pytest.raises(Problem) as raised:
        install.build_cli(tmp_path / "pulumi", lambda _: None, go.environment)
    assert cause in raised.value.cause
    assert words in raised.value.cause
    assert fix in raised.value.fix


def test_no_go_and_an_old_go_are_told_apart(go: GoPlayer, tmp_path: Path) -> None:
    with pytest.raises(Problem, match="There is no Go"):
        install.build_cli(tmp_path / "pulumi", lambda _: None, {**go.environment, "PATH": str(go.folder)})
    go.plays(MAKES, version="go1.19.8")
    with pytest.raises(Problem, match=r"is go1\.19\.8"):
        install.build_cli(tmp_path / "pulumi", lambda _: None, go.environment)
    assert not go.calls


def test_a_full_disk_is_noticed_before_the_build(go: GoPlayer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go.plays(MAKES)
    monkeypatch.setattr(install, "BUILD", replace(install.BUILD, least_bytes=2**60))
    with pytest.raises(Problem, match="takes up to"):
        install.build_cli(tmp_path / "pulumi", lambda _: None, go.environment)
    assert not go.calls


def test_launchers_lie_where_pulumi_looks_and_survive_odd_paths(tmp_path: Path) -> None:
    home = tmp_path / "a home's folder"
    python = tmp_path / "an env" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    written = install.install_plugins(home, python, ROOT)
    names = {str(path.relative_to(home)) for path in written}
    assert f"plugins/language-python-v{VERSION}/pulumi-language-python" in names
    assert f"plugins/resource-random-v{random.VERSION}/pulumi-resource-random" in names
    assert f"plugins/resource-tls-v{tls.VERSION}/pulumi-resource-tls" in names
    assert all(os.access(path, os.X_OK) for path in written)
    assert written == install.install_plugins(home, python, ROOT), "a second time is no different"

    launcher = next(path for path in written if path.name == "pulumi-resource-random")
    python.unlink()
    done = subprocess.run([launcher], capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 1
    assert "run `make up` again" in done.stderr


def test_the_plugin_for_kubernetes_is_there_though_its_sdk_is_pinned_apart(tmp_path: Path) -> None:
    home = tmp_path / "home"
    written = install.install_plugins(home, Path(sys.executable), ROOT)
    folder = home / "plugins" / f"resource-kubernetes-v{kubernetes_provider.VERSION}"
    assert folder / "pulumi-resource-kubernetes" in written
    assert "pulumi-kubernetes" not in (ROOT / "requirements.txt").read_text()


def test_what_both_files_pin_requirements_decide(tmp_path: Path) -> None:
    for package in ("language_python", "random", "kubernetes"):
        (tmp_path / "offline" / package).mkdir(parents=True)
        (tmp_path / "offline" / package / "__main__.py").touch()
    (tmp_path / "requirements.txt").write_text("pulumi==3.1.0\npulumi-random==4.2.0\n")
    assert [plugin.name for plugin in install.plugins(tmp_path)] == ["python", "random"]
    (tmp_path / "requirements-kubernetes.txt").write_text("pulumi==3.0.0\npulumi-kubernetes==4.5.0\n")
    assert {plugin.name: plugin.version for plugin in install.plugins(tmp_path)} == {
        "python": "3.1.0", "random": "4.2.0", "kubernetes": "4.5.0",
    }  # fmt: skip


ENGINE = """
import subprocess, sys
plugin = subprocess.Popen([sys.argv[1], "127.0.0.1:1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
print(plugin.pid, plugin.stdout.readline(), flush=True)
plugin.wait()
"""


def ended(pid: int) -> bool:
    return not alive(pid)


def test_a_plugin_prints_its_port_and_goes_when_asked_or_left(tmp_path: Path) -> None:
    for launcher in install.install_plugins(tmp_path, Path(sys.executable), ROOT):
        for leave in ("interrupt the plugin", "kill the engine"):
            with subprocess.Popen(
                [sys.executable, "-c", ENGINE, launcher], stdout=subprocess.PIPE, text=True, cwd="/"
            ) as engine:
                assert engine.stdout is not None
                plugin, port = map(int, engine.stdout.readline().split())
                try:
                    assert 1024 <= port < 65536
                    if leave == "interrupt the plugin":
                        os.kill(plugin, signal.SIGINT)
                        assert engine.wait(10) == 0
                    else:
                        engine.kill()
                    wait_for(partial(ended, plugin), 10)
                finally:
                    engine.kill()
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(plugin, signal.SIGKILL)


ASKED_AT_ONCE = """
import os, signal, sys, threading
from offline.plugin import serve

waits, writes, written = threading.Condition.wait, sys.stdout.write, []

def ask():
    os.kill(os.getpid(), signal.SIGINT)

def asked_while_it_begins_to_wait(condition, *arguments):
    if written and threading.current_thread() is threading.main_thread():
        ask()
    return waits(condition, *arguments)

def write(text):
    written.append(text)
    return writes(text)

threading.Condition.wait, sys.stdout.write = asked_while_it_begins_to_wait, write
threading.Timer(1, ask).start()
serve.serve(lambda server: None)
"""


def test_a_plugin_that_is_asked_to_go_when_it_has_hardly_begun_goes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASKED_AT_ONCE], capture_output=True, text=True, timeout=20, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


def test_versions_agree_everywhere() -> None:
    pins = "".join((ROOT / name).read_text() for name in ("requirements.txt", "requirements-kubernetes.txt"))
    assert install.version() == VERSION
    assert f"pulumi=={VERSION} " in pins
    assert f"pulumi-random=={random.VERSION} " in pins
    assert f"pulumi-tls=={tls.VERSION} " in pins
    assert all(plugin.version in pins for plugin in install.plugins(ROOT))
