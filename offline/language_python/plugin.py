"""Runs a plugin that is a folder of Python: a policy pack, or a provider with a `__main__.py`."""

from __future__ import annotations

import os
import queue
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pulumi.runtime.proto import language_pb2

from offline.language_python.ending import interrupt
from offline.language_python.interpreter import Interpreter, InterpreterError

CHUNK_BYTES = 65536
ANALYZER = "analyzer"


class Plugin:
    """One plugin's process; raises InterpreterError when the folder holds nothing that can be run."""

    def __init__(self, interpreter: Interpreter, request: language_pb2.RunPluginRequest) -> None:
        directory = Path(request.info.program_directory)
        if not (directory / "__main__.py").is_file():
            raise InterpreterError(f"the plugin {directory} has no __main__.py, which is what this host runs")
        given = dict(entry.split("=", 1) for entry in request.env if "=" in entry)
        environment = interpreter.environment({**os.environ, **given})
        self._process = subprocess.Popen(
            [str(interpreter.executable), *arguments(request)],
            cwd=directory if request.kind == ANALYZER else request.pwd,
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def output(self) -> Iterator[tuple[str, bytes]]:
        """Yield what the plugin writes, with the stream's name, until it closes both."""
        pieces: queue.Queue[tuple[str, bytes]] = queue.Queue(maxsize=64)
        for name, stream in (("stdout", self._process.stdout), ("stderr", self._process.stderr)):
            threading.Thread(target=_pump, args=(name, stream, pieces), daemon=True).start()
        still_open = 2
        while still_open:
            name, data = pieces.get()
            if data:
                yield name, data
            else:
                still_open -= 1

    def wait(self) -> int:
        """Return the exit code, negative for a signal."""
        return self._process.wait()

    def cancel(self) -> None:
        """Interrupt the plugin; kill it when it is still there five seconds later."""
        interrupt(self._process)


def arguments(request: language_pb2.RunPluginRequest) -> list[str]:
    """Return the interpreter's arguments: policy packs go through the SDK's own entry, with their folder last."""
    directory = request.info.program_directory
    if request.kind == ANALYZER:
        return ["-u", "-m", "pulumi.policy", *request.args, directory]
    return [directory, *request.args]


def _pump(name: str, stream: IO[bytes] | None, pieces: queue.Queue[tuple[str, bytes]]) -> None:
    if stream is not None:
        with stream:
            while data := os.read(stream.fileno(), CHUNK_BYTES):
                pieces.put((name, data))
    pieces.put((name, b""))
