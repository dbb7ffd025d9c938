"""`flask` commands in processes of their own that are forked where the app is loaded already.

Nearly all of the second that a command takes goes into loading what the one before has loaded too. So one process loads
it, and each command is a fork of it with an environment, a standard input and an end of its own. This file is the
program, which runs beside the working tree's packages or in the image, and what speaks with it.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

LONGEST = 120
# What commands load, and what the libraries load with the first connection or the first password.
LOADED = (
    "alembic.command", "argon2", "cryptography.fernet", "cryptography.x509", "flask_migrate.cli", "psycopg",
    "scaffold.commands.breakglass", "scaffold.commands.journal", "scaffold.commands.keys", "scaffold.commands.people",
    "scaffold.commands.sessions", "scaffold.migration", "scaffold.release", "scaffold.saml.commands",
    "scaffold.saml.findings", "scaffold.saml.trust", "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
)  # fmt: skip


class Runner:
    """Speaks with the program; one command at a time."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.command = list(command)
        self.turn = threading.Lock()
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        atexit.register(self.close)

    def run(self, words: Sequence[str], environment: Mapping[str, str], said: str) -> subprocess.CompletedProcess[str]:
        """Run `flask WORDS` with an environment and a standard input, and return how it ended and what it printed."""
        order = {"words": list(words), "environment": dict(environment), "said": said}
        with self.turn:
            assert self.process.stdin is not None
            assert self.process.stdout is not None
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        assert line, f"{self.command} has ended: {self.process.poll()}"
        told = json.loads(line)
        return subprocess.CompletedProcess(["flask", *words], told["code"], told["stdout"], told["stderr"])

    def close(self) -> None:
        """End the program; it ends by itself, too, when whoever speaks with it has."""
        if self.process.poll() is None:
            self.process.communicate(timeout=30)


def serve() -> bool:
    """Answer orders until there are no more; return True in a child that is to run one."""
    for line in iter(sys.stdin.readline, ""):
        order = json.loads(line)
        files = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
        os.write(files[0], order["said"].encode())
        os.lseek(files[0], 0, os.SEEK_SET)
        child = os.fork()
        if child == 0:
            become(order, files)
            return True
        _, status = os.waitpid(child, 0)
        out, err = (read(file) for file in files[1:])
        for file in files:
            os.close(file)
        answer = {"code": os.waitstatus_to_exitcode(status), "stdout": out, "stderr": err}
        sys.__stdout__.write(json.dumps(answer) + "\n")  # type: ignore[union-attr]
        sys.__stdout__.flush()  # type: ignore[union-attr]
    return False


def become(order: Mapping[str, Any], files: Sequence[int]) -> None:
    """Make this process what a shell would have started."""
    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv = ["flask", *order["words"]]
    signal.alarm(LONGEST)


def command() -> int:
    """Run the command and return what its process ends with: at once, as taking all apart first would take longest."""
    from flask.cli import main

    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return code


def read(file: int) -> str:
    """Return all that was written to a file."""
    os.lseek(file, 0, os.SEEK_SET)
    with os.fdopen(os.dup(file), encoding="utf-8") as opened:
        return opened.read()


if __name__ == "__main__":
    import importlib

    for name in LOADED:
        importlib.import_module(name)
    # What is loaded stays, and is shared: a child that looked through it for garbage would have to copy it all.
    gc.collect()
    gc.freeze()
    if serve():
        os._exit(command())
