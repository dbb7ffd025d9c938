# ruff: noqa: ARG002, N802  the protocol names the methods and their parameters
"""Answers the engine's calls: each one reads the request, asks the module that knows, and makes the answer."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import grpc
from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from offline.language_python import VERSION, interpreter, options, packages, typecheck
from offline.language_python.install import InstallError, install
from offline.language_python.plugin import Plugin
from offline.language_python.program import Program
from offline.plugin.log import EngineLog

PROGRAM_FILE = "__main__.py"
SDK = "pulumi"
Failure = (options.OptionError, interpreter.InterpreterError, packages.MetadataError, InstallError)


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """The LanguageRuntime service for Python programs."""

    def __init__(self, engine: str | None) -> None:
        self._engine = engine
        self._running: set[Callable[[], None]] = set()
        self._begun: tuple[interpreter.Interpreter, Program] | None = None
        self._lock = threading.Lock()

    def Handshake(
        self, request: language_pb2.LanguageHandshakeRequest, context: grpc.ServicerContext
    ) -> language_pb2.LanguageHandshakeResponse:
        """Learn the engine's address."""
        self._engine = request.engine_address
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Say which version this is: the SDK's."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetRequiredPackages(
        self, request: language_pb2.GetRequiredPackagesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPackagesResponse:
        """Name the provider plugins that the installed packages call for; install the requirements where none are.

        The engine asks before it runs the program: the plugins are next, and the refresh. Its process begins meanwhile.
        """
        try:
            wanted = _options(request.info)
            directory = Path(request.info.program_directory)
            if wanted.virtualenv is not None and not wanted.virtualenv.exists():
                log = EngineLog(self._engine)
                for line in install(wanted, directory, os.environ):
                    log.status(line)
            python = interpreter.choose(wanted, os.environ)
            found = packages.installed(python.search_path())
            if SDK in {package.name for package in found}:
                self._begin(python, packages.modules(found, directory))
            needed = [dependency for package in found if (dependency := packages.dependency(package)) is not None]
        except Failure as error:
            _abort(context, error)
        return language_pb2.GetRequiredPackagesResponse(packages=needed)

    def GetProgramDependencies(
        self, request: language_pb2.GetProgramDependenciesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetProgramDependenciesResponse:
        """List the installed packages: all of them, or those that no other requires."""
        try:
            found = packages.installed(interpreter.choose(_options(request.info), os.environ).search_path())
        except Failure as error:
            _abort(context, error)
        chosen = found if request.transitiveDependencies else packages.direct(found)
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[language_pb2.DependencyInfo(name=each.name, version=each.version) for each in chosen]
        )

    def About(self, request: language_pb2.AboutRequest, context: grpc.ServicerContext) -> language_pb2.AboutResponse:
        """Describe the Python that programs run on."""
        try:
            wanted = _options(request.info) if request.HasField("info") else options.Options()
            python = interpreter.choose(wanted, os.environ)
            executable, version = python.shown(), python.version()
            pip = next((p.version for p in packages.installed(python.search_path()) if p.name == "pip"), "none")
        except Failure as error:
            _abort(context, error)
        return language_pb2.AboutResponse(
            executable=executable,
            version=version,
            metadata={
                "toolchain": "Pip",
                "toolchainVersion": pip,
                "typechecker": wanted.typechecker or "none",
            },
        )

    def InstallDependencies(
        self, request: language_pb2.InstallDependenciesRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.InstallDependenciesResponse]:
        """Install the program's requirements and stream what pip says."""
        directory = Path(request.info.program_directory or request.directory)
        try:
            for line in install(_options(request.info, plugin=request.is_plugin), directory, os.environ):
                yield language_pb2.InstallDependenciesResponse(stdout=f"{line}\n".encode())
        except Failure as error:
            _abort(context, error)

    def RuntimeOptionsPrompts(
        self, request: language_pb2.RuntimeOptionsRequest, context: grpc.ServicerContext
    ) -> language_pb2.RuntimeOptionsResponse:
        """Ask, in `pulumi new`, for the toolchain and the virtual environment that are not set yet."""
        chosen = json_format.MessageToDict(request.info.options)
        asked = {"toolchain": ("The toolchain that installs dependencies", "pip")}
        if chosen.get("toolchain") == "pip":
            asked["virtualenv"] = ("The virtual environment to use", "venv")
        prompts = []
        for key, (description, choice) in asked.items():
            if key in chosen:
                continue
            value = language_pb2.RuntimeOptionPrompt.RuntimeOptionValue(
                promptType=language_pb2.RuntimeOptionPrompt.STRING, stringValue=choice, displayName=choice
            )
            prompts.append(
                language_pb2.RuntimeOptionPrompt(
                    key=key,
                    description=description,
                    promptType=language_pb2.RuntimeOptionPrompt.STRING,
                    choices=[value],
                    default=value,
                )
            )
        return language_pb2.RuntimeOptionsResponse(prompts=prompts)

    def Template(
        self, request: language_pb2.TemplateRequest, context: grpc.ServicerContext
    ) -> language_pb2.TemplateResponse:
        """Leave a new project as it is: a template already has the requirements.txt that pip wants."""
        return language_pb2.TemplateResponse()

    def Run(self, request: language_pb2.RunRequest, context: grpc.ServicerContext) -> language_pb2.RunResponse:
        """Run the program to its end."""
        try:
            refused = self._run(request, context)
        except Failure as error:
            refused = str(error)
        if refused is None:
            return language_pb2.RunResponse()
        return language_pb2.RunResponse(error=refused, bail=not refused)

    def _run(self, request: language_pb2.RunRequest, context: grpc.ServicerContext) -> str | None:
        if request.attach_debugger:
            return "this language host starts no debugger; run without --attach-debugger"
        if not self._engine:
            return "the engine gave this language host no address; it runs programs for the Pulumi CLI only"
        wanted = _options(request.info)
        directory = Path(request.info.program_directory)
        python = interpreter.choose(wanted, os.environ)
        entry = directory / request.info.entry_point
        if entry.is_dir() and not (entry / PROGRAM_FILE).is_file():
            return f"there is no program: {entry.resolve() / PROGRAM_FILE} does not exist"
        names = {package.name for package in packages.installed(python.search_path())}
        if SDK not in names:
            return (
                f"the Python environment of {python.executable} has no package `{SDK}`. "
                "Run `pulumi install` to install the program's requirements into it."
            )
        if wanted.typechecker is not None:
            complaint = typecheck.check(wanted.typechecker, python, directory, os.environ)
            if complaint is not None:
                return complaint
        program = self._taken(python) or Program(python, os.environ)
        with _Tracked(self, program.cancel, context):
            return program.run(description(request, self._engine))

    def _begin(self, python: interpreter.Interpreter, likely: Sequence[str]) -> None:
        """Start the process that will run the program; a Run that comes without one says what is wrong."""
        with self._lock, suppress(OSError):
            if self._begun is None:
                self._begun = python, Program(python, os.environ, likely)

    def _taken(self, python: interpreter.Interpreter) -> Program | None:
        """Return the process that has begun on an interpreter, once."""
        with self._lock:
            begun, self._begun = self._begun, None
        if begun is None or begun[0] == python:
            return begun and begun[1]
        begun[1].cancel()
        return None

    def RunPlugin(
        self, request: language_pb2.RunPluginRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.RunPluginResponse]:
        """Run a plugin written in Python, such as a policy pack, and stream its output and its exit code."""
        try:
            python = interpreter.choose(_options(request.info, plugin=request.kind != "analyzer"), os.environ)
            plugin = Plugin(python, request)
        except (*Failure, OSError) as error:
            _abort(context, error)
        with _Tracked(self, plugin.cancel, context):
            for stream, data in plugin.output():
                if stream == "stdout":
                    yield language_pb2.RunPluginResponse(stdout=data)
                else:
                    yield language_pb2.RunPluginResponse(stderr=data)
            yield language_pb2.RunPluginResponse(exitcode=plugin.wait())

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Interrupt every program and plugin under way."""
        with self._lock:
            running = list(self._running)
        for stop in running:
            stop()
        return empty_pb2.Empty()

    def track(self, stop: Callable[[], None]) -> None:
        """Remember what to call when the engine cancels."""
        with self._lock:
            self._running.add(stop)

    def forget(self, stop: Callable[[], None]) -> None:
        """Forget a process that has ended."""
        with self._lock:
            self._running.discard(stop)


class _Tracked:
    """A process that ends with a Cancel, or with the call that started it."""

    def __init__(self, host: LanguageHost, stop: Callable[[], None], context: grpc.ServicerContext) -> None:
        self._host = host
        self._stop = stop
        self._context = context

    def __enter__(self) -> None:
        self._host.track(self._stop)
        if not self._context.add_callback(self._stop):
            self._stop()  # the caller has gone already

    def __exit__(self, *_: object) -> None:
        self._host.forget(self._stop)


def description(request: language_pb2.RunRequest, engine: str) -> dict[str, Any]:
    """Return what the runner needs to know of a run, as plain data."""
    return {
        "program": request.info.entry_point or request.program or ".",
        "arguments": list(request.args),
        "directory": request.pwd or request.info.program_directory,
        "config": dict(request.config),
        "secret_keys": list(request.configSecretKeys),
        "settings": {
            "monitor": request.monitor_address,
            "engine": engine,
            "project": request.project,
            "stack": request.stack,
            "parallel": request.parallel,
            "dry_run": request.dryRun,
            "organization": request.organization,
            "root_directory": request.info.root_directory,
        },
    }


def _options(info: language_pb2.ProgramInfo, *, plugin: bool = False) -> options.Options:
    given: dict[str, object] = dict(json_format.MessageToDict(info.options)) if info.HasField("options") else {}
    if plugin:
        given.setdefault("virtualenv", "venv")
    return options.parse(Path(info.root_directory), given)


def _abort(context: grpc.ServicerContext, error: Exception) -> NoReturn:
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
    raise AssertionError("grpc's abort returned")
