"""The language host, through a real `pulumi up` of small programs."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from pulumi import automation

from offline.language_python import VERSION
from tests.offline.conftest import ROOT, Project, alive, wait_for

SECRET = "a secret of this test"


def test_a_program_learns_everything_about_its_run(project: Project) -> None:
    project.succeed("config", "set", "plain", "one two", "--stack", "dev")
    project.succeed("config", "set", "--secret", "hidden", "--stack", "dev", stdin=SECRET)
    project.program(
        """
        import os, pulumi
        config = pulumi.Config()
        pulumi.export("plain", config.require("plain"))
        pulumi.export("hidden", config.require_secret("hidden"))
        pulumi.export("names", [pulumi.get_organization(), pulumi.get_project(), pulumi.get_stack()])
        pulumi.export("root", pulumi.get_root_directory())
        pulumi.export("directory", os.getcwd())
        pulumi.export("preview", pulumi.runtime.is_dry_run())
        """
    )
    shown = project.up("--parallel", "3")
    assert SECRET not in shown
    outputs = project.outputs()
    assert outputs == {
        "plain": "one two",
        "hidden": SECRET,
        "names": ["organization", "trial", "dev"],
        "root": str(project.folder),
        "directory": str(project.folder),
        "preview": False,
    }
    assert SECRET not in str(project.deployment())


def test_a_thread_of_the_program_reads_the_configuration_too(project: Project) -> None:
    project.succeed("config", "set", "plain", "seen", "--stack", "dev")
    project.program(
        """
        import pulumi, threading
        seen = []
        thread = threading.Thread(target=lambda: seen.append(pulumi.Config("trial").get("plain")))
        thread.start()
        thread.join()
        pulumi.export("seen", seen[0])
        """
    )
    project.up()
    assert project.outputs()["seen"] == "seen"


def test_no_process_shows_a_secret_in_its_arguments_or_environment(project: Project) -> None:
    project.succeed("config", "set", "--secret", "hidden", "--stack", "dev", stdin=SECRET)
    project.program(
        """
        import os, pathlib, pulumi, subprocess, sys
        secret = pulumi.Config().require("hidden")
        def shown(pid):
            return b"".join(pathlib.Path(f"/proc/{pid}/{part}").read_bytes() for part in ("cmdline", "environ"))
        child = subprocess.run([sys.executable, "-c", "import os; print(dict(os.environ))"], capture_output=True)
        texts = [shown("self"), shown(os.getppid()), child.stdout, repr(sys.argv).encode(), repr(os.environ).encode()]
        pulumi.export("shown", [secret.encode() in text for text in texts])
        pulumi.export("right", secret == "a secret of this test")
        """
    )
    project.up()
    assert project.outputs() == {"shown": [False] * 5, "right": True}


def test_what_a_program_prints_reaches_the_terminal(project: Project) -> None:
    project.program(
        """
        import pulumi, sys
        print("said aloud")
        print("said aside", file=sys.stderr)
        pulumi.log.warn("said to the engine")
        """
    )
    shown = project.up().partition("Diagnostics:")[2]
    assert shown.count("said aloud") == 1
    assert shown.count("said aside") == 1
    assert "warning: said to the engine" in shown


@pytest.mark.parametrize("ending", ["", "raise RuntimeError('on purpose')"])
def test_debugging_shows_what_the_sdk_says_of_every_resource(project: Project, ending: str) -> None:
    project.program(
        f"""
        import pulumi
        for number in range(5):
            pulumi.ComponentResource("own:index:Part", f"part-{{number}}")
        {ending}
        """
    )
    done = project.run("up", "--yes", "--skip-preview", "--stack", project.stack, "--debug")
    assert (done.returncode != 0) == bool(ending)
    for number in range(5):
        assert f"ty=own:index:Part, name=part-{number}" in done.stdout + done.stderr


def test_a_raising_program_gives_one_error_with_its_own_frames(project: Project) -> None:
    project.program(
        """
        def inner():
            raise ValueError("the reason")

        inner()
        """
    )
    shown = project.fail("up", "--yes", "--skip-preview", "--stack", "dev")
    diagnostics = shown.partition("Diagnostics:")[2]
    assert diagnostics.count("error: ") == 1
    assert "Program failed with an unhandled exception" in diagnostics
    assert "__main__.py" in diagnostics
    assert "ValueError: the reason" in diagnostics
    assert "runner.py" not in shown
    assert "exited with" not in shown


def test_a_run_error_is_shown_alone(project: Project) -> None:
    project.program("import pulumi\nraise pulumi.RunError('set the key first')")
    diagnostics = project.fail("up", "--yes", "--skip-preview", "--stack", "dev").partition("Diagnostics:")[2]
    assert "error: set the key first" in diagnostics
    assert "Traceback" not in diagnostics
    assert diagnostics.count("error: ") == 1


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import sys; print('why', file=sys.stderr); sys.exit(3)", "the program exited with code 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "the program was ended by SIGKILL"),
        ("def broken(:\n  pass", "SyntaxError"),
        ("import nothing_of_this_name", "No module named 'nothing_of_this_name'"),
    ],
)
def test_a_program_that_ends_badly_fails_the_update_and_says_why(project: Project, source: str, words: str) -> None:
    project.program(source)
    diagnostics = project.fail("up", "--yes", "--skip-preview", "--stack", "dev").partition("Diagnostics:")[2]
    assert words in diagnostics
    assert diagnostics.count("error: ") == 1


def test_a_missing_program_a_missing_environment_and_an_unknown_option_are_named(project: Project) -> None:
    shown = project.fail("preview", "--stack", "dev")
    assert f"{project.folder}/__main__.py does not exist" in shown
    project.program("")
    project.options(virtualenv="file")
    (project.folder / "file").write_text("")
    assert "is not a virtual environment. Run `pulumi install`" in project.fail("preview", "--stack", "dev")
    project.options(virtualenv=sys.prefix, toolchain="poetry")
    assert "runtime.options.toolchain is 'poetry'" in project.fail("preview", "--stack", "dev")


def test_pulumi_install_makes_the_environment_and_a_bare_one_is_refused_with_the_remedy(project: Project) -> None:
    (project.folder / "requirements.txt").write_text("")
    project.program("import pulumi")
    project.options(virtualenv="venv")
    shown = project.succeed("install")
    assert "Creating the virtual environment" in shown
    assert (project.folder / "venv/bin/python").is_file()
    assert "has no package `pulumi`. Run `pulumi install`" in project.fail("preview", "--stack", "dev")


def test_an_ill_typed_program_does_not_run(project: Project) -> None:
    project.options(virtualenv=sys.prefix, typechecker="mypy")
    project.program("print('it ran')\nnumber: int = 'text'\n")
    shown = project.fail("preview", "--stack", "dev")
    assert "mypy refuses the program" in shown
    assert "Incompatible types in assignment" in shown
    assert "it ran" not in shown


def test_about_describes_the_environment(project: Project) -> None:
    project.program("")
    shown = project.succeed("about", "--stack", "dev")
    assert f"executable='{sys.prefix}/bin/python" in shown
    assert "python    " in shown or f"python  {VERSION}" in shown
    assert "warning" not in shown.lower()
    listed = project.succeed("plugin", "ls", "--project")
    assert "random" in listed


def test_destroy_and_refresh_run_the_program_where_asked(project: Project) -> None:
    project.program("import pulumi\nprint('running now')\npulumi.export('a', 1)\n")
    project.up()
    assert "running now" in project.succeed("refresh", "--yes", "--run-program", "--stack", "dev")
    assert "running now" in project.succeed("destroy", "--yes", "--run-program", "--stack", "dev")
    assert "running now" not in project.succeed("destroy", "--yes", "--stack", "dev")


def test_the_automation_api_works(project: Project) -> None:
    project.program("import pulumi\npulumi.export('answer', 42)\n")
    command = automation.PulumiCommand(root=_installation(project))
    workspace = automation.LocalWorkspace(
        work_dir=str(project.folder), env_vars=project.environment, pulumi_command=command
    )
    stack = automation.Stack.select("dev", workspace)
    assert stack.preview().change_summary
    assert stack.up().outputs["answer"].value == 42
    assert stack.up(expect_no_changes=True).summary.result == "succeeded"
    assert stack.destroy().summary.result == "succeeded"


def _installation(project: Project) -> str:
    """An installation as the Automation API wants it: a folder with `bin/pulumi`."""
    root = project.folder.parent / "installation"
    (root / "bin").mkdir(parents=True)
    (root / "bin/pulumi").symlink_to(project.cli)
    return str(root)


WAITING = """
import os, pathlib, subprocess, sys, time
import pulumi
pathlib.Path("pids").write_text(f"{os.getpid()} {os.getppid()}")
time.sleep(600)
"""


def _pids(project: Project) -> list[int]:
    file = project.folder / "pids"
    text: str = wait_for(lambda: file.exists() and file.read_text())
    return [int(pid) for pid in text.split()]


def test_an_interrupt_ends_the_program_and_the_update(project: Project) -> None:
    project.program(WAITING)
    update = project.start("up", "--yes", "--skip-preview", "--stack", "dev")
    pids = _pids(project)
    update.send_signal(signal.SIGINT)
    shown, _ = update.communicate(timeout=60)
    assert update.returncode != 0
    assert "update canceled" in shown
    assert "Traceback" not in shown
    assert not any(map(alive, pids))
    assert not list((project.folder.parent / "backend").rglob("locks/*/*/*/*.json"))


def test_a_killed_engine_leaves_no_process_behind(project: Project) -> None:
    project.program(WAITING)
    update = project.start("up", "--yes", "--skip-preview", "--stack", "dev")
    pids = _pids(project)
    update.kill()
    wait_for(lambda: not any(map(alive, pids)), 10)


def test_a_killed_host_takes_the_program_along(project: Project) -> None:
    project.program(WAITING)
    project.start("up", "--yes", "--skip-preview", "--stack", "dev")
    program, host = _pids(project)
    os.kill(host, signal.SIGKILL)
    wait_for(lambda: not alive(program), 10)


def test_a_program_finds_its_own_modules_and_none_of_the_hosts(project: Project) -> None:
    (project.folder / "options.py").write_text("OWN = True\n")
    project.program(
        """
        import importlib.util, pulumi, sys
        import options
        pulumi.export("own", options.OWN)
        pulumi.export("strangers", [name for name in ("runner", "host", "offline") if importlib.util.find_spec(name)])
        pulumi.export("prefix", sys.prefix)
        """
    )
    project.up()
    assert project.outputs() == {"own": True, "strangers": [], "prefix": sys.prefix}


def test_the_hosts_version_is_the_pinned_sdks() -> None:
    assert f"pulumi=={VERSION}\n" in (ROOT / "requirements.in").read_text()
    assert Path(automation.__file__).is_file()
