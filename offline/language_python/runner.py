"""Runs one Pulumi program; started by the language host with the program's own interpreter.

Stands alone: it sees the program's packages, not this project's. It loads the SDK, which takes as long as all that the
engine does meanwhile. The run's description, the configuration with its secrets in it, comes then as one line of JSON
through an inherited pipe, whose number is the first argument. The pipe stays open: its end means that the host is gone,
and the program with it. Arguments after it name packages that the program is likely to import, and are loaded, too.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import runpy
import signal
import sys
import threading
import traceback
from collections import deque
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any, NoReturn

ERROR_SHOWN = 32  # the engine has the error already: the host adds none
INTERRUPTED = 130
GRACE_SECONDS = 3.0
LOG_SECONDS = 10.0


def receive(descriptor: int) -> dict[str, Any]:
    """Wait for the run's description, and from then on end this process when the pipe's other end is closed.

    Where that is closed before, nothing was to be run, and this ends the process too.
    """
    os.set_inheritable(descriptor, False)
    pipe = os.fdopen(descriptor, "rb", closefd=False)
    line = pipe.readline()
    if not line:
        finish(0)
    run: dict[str, Any] = json.loads(line)
    threading.Thread(target=_follow, args=(pipe,), daemon=True).start()
    return run


def _follow(pipe: Any) -> None:
    pipe.read()
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait(GRACE_SECONDS)
    os._exit(INTERRUPTED)


def send_aside(engine: Any, severity: int, thread: Executor) -> None:
    """Have messages of a severity sent in their order by another thread, those that wait for it together.

    The SDK says four things of each resource for `--debug`, and would stop the whole program until the engine has each.
    """
    send = engine.Log
    waiting: deque[Any] = deque()

    def send_waiting() -> None:
        taken = [waiting.popleft() for _ in range(len(waiting))]
        for _, alike in groupby(taken, key=lambda each: (each.urn, each.streamId, each.ephemeral)):
            request, *more = alike
            request.message = "\n".join([request.message, *(each.message for each in more)])
            send(request, timeout=LOG_SECONDS)

    def log(request: Any, *arguments: Any, **options: Any) -> Any:
        if request.severity != severity:
            return send(request, *arguments, **options)
        waiting.append(request)
        return thread.submit(send_waiting)

    engine.Log = log


def configure(run: dict[str, Any], aside: Executor) -> None:
    """Hand the run's description to the SDK; what it says for `--debug` is sent `aside`."""
    from pulumi import runtime
    from pulumi.runtime.proto import engine_pb2

    for key, value in run["config"].items():
        runtime.set_config(key, value)  # into the default that threads without a context of their own see
    runtime.set_all_config(run["config"], run["secret_keys"])
    runtime.configure(runtime.Settings(**run["settings"]))
    send_aside(runtime.settings.get_engine(), engine_pb2.DEBUG, aside)


def own_trace(error: BaseException, directory: str) -> str:
    """Return an error's trace from the program's first frame on; the whole trace when it never got there."""
    frame = error.__traceback__
    while frame is not None and not os.path.abspath(frame.tb_frame.f_code.co_filename).startswith(directory + os.sep):  # noqa: PTH100
        frame = frame.tb_next
    return "".join(traceback.format_exception(type(error), error, frame or error.__traceback__))


def execute(program: str, parallel: int) -> None:
    """Run the program's file or folder to the end of every resource it registers."""
    from pulumi import runtime

    # A program that failed leaves futures nobody waits for, on purpose; asyncio's complaints would bury the error.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    threads = ThreadPoolExecutor(max_workers=max(parallel, 1) * 4)
    loop.set_default_executor(threads)
    try:
        loop.run_until_complete(runtime.run_in_stack(lambda: _run(program)))
    finally:
        threads.shutdown(wait=sys.exc_info()[0] is not KeyboardInterrupt)
        loop.close()


def _run(program: str) -> None:
    runpy.run_path(program, run_name="__main__")


def finish(code: int) -> NoReturn:
    """Leave at once with an exit code: threads may still wait for an engine that is going."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Run the program the pipe describes; exit code 32 when its error was shown already."""
    del sys.path[0]  # this file's folder: its modules are not the program's
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    # Until there is something to run, an interrupt is no more than the end. The host has held it back till here.
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    import pulumi

    for name in sys.argv[2:]:
        with suppress(Exception):  # the program says so, where it wants it at all
            importlib.import_module(name)
    run = receive(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    aside = ThreadPoolExecutor(max_workers=1)
    configure(run, aside)
    sys.argv = [run["program"], *run["arguments"]]
    os.chdir(run["directory"])
    try:
        execute(run["program"], run["settings"]["parallel"])
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        aside.shutdown()
        finish(ERROR_SHOWN)
    except Exception as error:
        directory = str(Path(run["directory"]).resolve())
        pulumi.log.error(f"Program failed with an unhandled exception:\n{own_trace(error, directory)}")
        aside.shutdown()
        finish(ERROR_SHOWN)
    except KeyboardInterrupt:
        finish(INTERRUPTED)
    sys.stdout.flush()
    sys.stderr.flush()


if __name__ == "__main__":
    main()
