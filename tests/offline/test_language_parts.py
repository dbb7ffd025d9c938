"""The language host's decisions, one by one: options, packages, types, outcomes, plugins."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import engine_pb2, language_pb2, language_pb2_grpc

from offline.language_python import interpreter, options, packages, program, runner, typecheck
from offline.language_python.host import LanguageHost
from offline.language_python.install import InstallError, install

HERE = interpreter.Interpreter(Path(sys.prefix) / "bin/python", Path(sys.prefix))


def test_a_relative_virtual_environment_starts_at_the_root_and_an_absolute_one_stays() -> None:
    root = Path("/srv/project")
    assert options.parse(root, {"virtualenv": "venv"}).virtualenv == Path("/srv/project/venv")
    assert options.parse(root, {"virtualenv": "/opt/env"}).virtualenv == Path("/opt/env")
    assert options.parse(root, {"toolchain": "pip"}) == options.Options()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"toolchain": "uv"}, "toolchain is 'uv'"),
        ({"virtualenv": True}, "virtualenv is True; it must be text"),
        ({"typechecker": "none"}, "typechecker is 'none'; it can be mypy or pyright"),
        ({"virtual_env": "venv"}, "virtual_env is not known here; known are toolchain, virtualenv, typechecker"),
    ],
)
def test_an_option_it_cannot_honour_is_an_error_that_names_it(given: dict[str, object], words: str) -> None:
    with pytest.raises(options.OptionError, match=words):
        options.parse(Path("/"), given)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1", "1.0.0"), ("1.2", "1.2.0"), ("4.21.1", "4.21.1"), ("1.2.3.4", "1.2.3.4"), ("1.0a3", "1.0.0-alpha.3"),
        ("2.1.0b7", "2.1.0-beta.7"), ("2.1.0rc1", "2.1.0-rc.1"), ("1.2.3.post4", "1.2.3+post4"),
        ("1.2.3.post4.dev5", "1.2.3+post4dev5"), ("1.2.dev5", "1.2.0+dev5"), ("1!2.0", None), ("abc", None),
    ],
)  # fmt: skip
def test_a_packages_version_is_told_as_plugins_tell_theirs(version: str, expected: str | None) -> None:
    assert packages.plugin_version(version) == expected


def distribution(
    folder: Path, name: str, version: str, requires: str = "", plugin: dict[str, object] | None = None
) -> None:
    module = name.replace("-", "_")
    metadata = folder / f"{module}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}")
    if plugin is not None:
        (folder / module).mkdir()
        (folder / module / packages.PLUGIN_FILE).write_text(json.dumps(plugin))


def test_installed_packages_tell_which_plugins_they_need(tmp_path: Path) -> None:
    distribution(tmp_path, "pulumi-docker", "5.1.0", plugin={"resource": True, "name": "docker", "version": "5.1.0"})
    distribution(tmp_path, "pulumi-old", "1.2rc1")
    distribution(tmp_path, "pulumi-policy", "1.21.0")
    distribution(tmp_path, "pulumi-lib", "1.0.0", plugin={"resource": False})
    distribution(tmp_path, "Acme_Cloud", "3.0", "Requires-Dist: pulumi-docker>=5\n",
                 plugin={"resource": True, "name": "acme", "server": "https://plugins.invalid"})  # fmt: skip
    distribution(tmp_path, "plain", "9", "Requires-Dist: extra-thing; extra == 'x'\n")
    found = packages.installed([str(tmp_path)])
    needed = [made for each in found if (made := packages.dependency(each)) is not None]
    assert [(each.name, each.version, each.server) for each in needed] == [
        ("acme", "v3.0.0", "https://plugins.invalid"),
        ("docker", "v5.1.0", ""),
        ("old", "v1.2.0-rc.1", ""),
    ]
    assert "pulumi-docker" not in {each.name for each in packages.direct(found)}
    assert "plain" in {each.name for each in packages.direct(found)}


def test_the_sdks_of_providers_are_likely_imports_but_where_the_program_has_its_own(tmp_path: Path) -> None:
    program, site = tmp_path / "program", tmp_path / "site"
    (program / "pulumi_local").mkdir(parents=True)
    (program / "pulumi_file.py").touch()
    for name in ("pulumi-docker", "pulumi-local", "pulumi-file"):
        distribution(site, name, "5.1.0", plugin={"resource": True})
    distribution(site, "pulumi-policy", "1.21.0", plugin={"resource": True})
    distribution(site, "plain", "9")
    assert packages.modules(packages.installed([str(site)]), program) == ["pulumi_docker"]


def test_broken_metadata_of_a_plugin_is_an_error_with_its_path(tmp_path: Path) -> None:
    distribution(tmp_path, "pulumi-docker", "5.1.0", plugin={})
    (tmp_path / "pulumi_docker" / packages.PLUGIN_FILE).write_text("{")
    with pytest.raises(packages.MetadataError, match=packages.PLUGIN_FILE):
        packages.dependency(packages.installed([str(tmp_path)])[0])


def test_the_tests_environment_is_read_without_starting_python_and_as_python_sees_it() -> None:
    read = {each.name: each.version for each in packages.installed(HERE.search_path())}
    bare = interpreter.Interpreter(HERE.executable, None)
    assert read.items() <= {each.name: each.version for each in packages.installed(bare.search_path())}.items()
    assert read["pulumi"]


def test_the_environment_is_activated_as_the_shell_would() -> None:
    made = interpreter.Interpreter(Path("/v/bin/python"), Path("/v")).environment({"PATH": "/bin", "PYTHONHOME": "/x"})
    assert made == {"PATH": "/v/bin:/bin", "VIRTUAL_ENV": "/v"}


def test_without_an_option_the_interpreter_comes_from_path(tmp_path: Path) -> None:
    (tmp_path / "python3").symlink_to(sys.executable)
    chosen = interpreter.choose(options.Options(), {"PATH": str(tmp_path)})
    assert chosen.executable == tmp_path / "python3"
    with pytest.raises(interpreter.InterpreterError, match="no python9 on PATH"):
        interpreter.choose(options.Options(), {"PATH": str(tmp_path), "PULUMI_PYTHON_CMD": "python9"})


@pytest.mark.parametrize(
    ("code", "expected"),
    [(0, None), (32, ""), (3, "the program exited with code 3"), (-9, "SIGKILL"), (-11, "SIGSEGV")],
)
def test_an_exit_code_is_told_in_words(code: int, expected: str | None) -> None:
    told = program.outcome(code)
    assert told == expected if not expected else expected in str(told)


def test_mypy_leaves_the_virtual_environment_alone() -> None:
    inside = interpreter.Interpreter(Path("/p/venv/bin/python"), Path("/p/venv"))
    assert typecheck.command("mypy", inside, Path("/p"))[1:] == ["-m", "mypy", "--exclude", "venv", "/p"]
    assert typecheck.command("pyright", inside, Path("/p"))[1:] == ["-m", "pyright", "/p"]


def test_a_trace_starts_at_the_programs_first_frame(tmp_path: Path) -> None:
    file = tmp_path / "__main__.py"
    code = compile("def f():\n    raise KeyError('k')\nf()\n", str(file), "exec")
    with pytest.raises(KeyError) as raised:
        exec(code, {})  # noqa: S102
    trace = runner.own_trace(raised.value, str(tmp_path))
    assert "test_language_parts" not in trace
    assert trace.count(str(file)) == 2
    assert "test_language_parts" in runner.own_trace(raised.value, "/nowhere")


def test_a_program_does_not_wait_for_what_it_says_in_debugging_and_its_order_stays() -> None:
    heard: list[str] = []
    listens = threading.Event()

    class Engine:
        def Log(self, request: engine_pb2.LogRequest, **_: object) -> None:  # noqa: N802
            assert listens.wait(10)
            heard.append(request.message)

    engine = Engine()
    with futures.ThreadPoolExecutor(max_workers=1) as aside:
        runner.send_aside(engine, engine_pb2.DEBUG, aside)
        for number in range(20):
            engine.Log(engine_pb2.LogRequest(severity=engine_pb2.DEBUG, message=str(number)))
        assert heard == []
        listens.set()
        engine.Log(engine_pb2.LogRequest(severity=engine_pb2.ERROR, message="an error"))
        assert "an error" in heard, "what is not for debugging has been said when the call returns"
    heard.remove("an error")
    assert len(heard) < 5, "what waits is sent together"
    assert "\n".join(heard).split("\n") == [str(number) for number in range(20)]


def test_a_failed_installation_says_pips_last_words(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("./not-there\n")
    with pytest.raises(InstallError, match="not-there"):
        list(install(options.Options(virtualenv=Path(sys.prefix)), tmp_path, {}))


@pytest.fixture
def host() -> Iterator[language_pb2_grpc.LanguageRuntimeStub]:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(LanguageHost(None), server)  # type: ignore[no-untyped-call,unused-ignore]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield language_pb2_grpc.LanguageRuntimeStub(grpc.insecure_channel(f"127.0.0.1:{port}"))  # type: ignore[misc,no-untyped-call,unused-ignore]
    server.stop(None).wait()


def info(folder: Path, **given: str) -> language_pb2.ProgramInfo:
    chosen = struct_pb2.Struct()
    chosen.update(given)
    return language_pb2.ProgramInfo(
        root_directory=str(folder), program_directory=str(folder), entry_point=".", options=chosen
    )


def test_a_plugin_in_python_is_run_and_its_output_streamed(
    host: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path
) -> None:
    (tmp_path / "__main__.py").write_text(
        "import os, sys\nprint(sys.argv[1:], os.environ['GIVEN'])\nprint('aside', file=sys.stderr)\nsys.exit(7)\n"
    )
    answers = list(
        host.RunPlugin(
            language_pb2.RunPluginRequest(
                info=info(tmp_path, virtualenv=sys.prefix), kind="resource", pwd="/", args=["a b"], env=["GIVEN=here"]
            ),
            timeout=30,
        )
    )
    assert b"".join(answer.stdout for answer in answers) == b"['a b'] here\n"
    assert b"".join(answer.stderr for answer in answers) == b"aside\n"
    assert answers[-1].exitcode == 7


def test_cancel_ends_what_runs(host: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path) -> None:
    (tmp_path / "__main__.py").write_text("import time\nimport os\nos.write(1, b'up')\ntime.sleep(600)\n")
    answers = host.RunPlugin(
        language_pb2.RunPluginRequest(info=info(tmp_path, virtualenv=sys.prefix), kind="resource", pwd="/"), timeout=30
    )
    assert next(answers).stdout == b"up"
    host.Cancel(empty_pb2.Empty(), timeout=10)
    assert [answer.exitcode for answer in answers if answer.WhichOneof("output") == "exitcode"] != [0]


def test_new_projects_are_asked_for_what_is_not_set(
    host: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path
) -> None:
    def asked(**given: str) -> list[str]:
        request = language_pb2.RuntimeOptionsRequest(info=info(tmp_path, **given))
        return [prompt.key for prompt in host.RuntimeOptionsPrompts(request, timeout=10).prompts]

    assert asked() == ["toolchain"]
    assert asked(toolchain="pip") == ["virtualenv"]
    assert asked(toolchain="pip", virtualenv="venv") == []


def test_dependencies_are_told_with_and_without_the_indirect_ones(
    host: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path
) -> None:
    def told(transitive: bool) -> set[str]:
        request = language_pb2.GetProgramDependenciesRequest(
            info=info(tmp_path, virtualenv=sys.prefix), transitiveDependencies=transitive
        )
        return {each.name for each in host.GetProgramDependencies(request, timeout=10).dependencies}

    assert {"pulumi", "pulumi-random", "grpcio"} <= told(True)
    assert "pulumi-random" in told(False)
    assert "grpcio" not in told(False)


def test_an_error_of_a_call_is_its_message(host: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        host.About(language_pb2.AboutRequest(info=info(tmp_path, virtualenv="absent")), timeout=10)
    assert "does not exist. Run `pulumi install`" in str(raised.value.details())
