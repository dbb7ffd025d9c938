"""A gate as the coordinator sees it, in front of plain processes: looks, stops, starts, and runs a migration.

Run as `python board.py FOLDER`. FOLDER/units.json lists what there is; FOLDER/faults.json says what goes wrong.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any

from restore import wire

FOLDER = Path(sys.argv[1])
STOP = re.compile(r"/containers/(?P<name>[\w.-]+)/stop\?timeout=(?P<seconds>\d+)")
START = re.compile(r"/containers/(?P<name>[\w.-]+)/start")
MIGRATE = re.compile(r"/migrations/(?P<release>\w+)/run\?timeout=(?P<seconds>\d+)")
processes: dict[str, subprocess.Popen[bytes]] = {}
guard = threading.Lock()


def document(name: str) -> Any:
    """A file of the folder; nothing where there is none."""
    try:
        return json.loads((FOLDER / name).read_bytes())
    except FileNotFoundError:
        return {}


def shown(name: str, about: dict[str, Any]) -> dict[str, object]:
    """What the gate shows of a process."""
    process = processes.get(name)
    if process is None or process.poll() is not None:
        state = "exited"
    else:
        with contextlib.suppress(OSError, ValueError):
            seen = json.loads((FOLDER / f"{name}.seen").read_bytes())
            well = time.time() - seen["at"] < 5 and not document("faults.json").get("unhealthy")
            return {"name": name, "labels": about["labels"], "state": f"running ({'healthy' if well else 'unhealthy'})"}
        state = "running (starting)"
    return {"name": name, "labels": about["labels"], "state": state}


def stop(name: str, seconds: int) -> None:
    """End a process, by force when its time is over."""
    process = processes.get(name)
    if process is None or process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def start(name: str, about: dict[str, Any]) -> None:
    """Start a process, if it does not run."""
    process = processes.get(name)
    if process is None or process.poll() is not None:
        (FOLDER / f"{name}.seen").unlink(missing_ok=True)
        processes[name] = subprocess.Popen(about["command"], env={**os.environ, **about.get("env", {})})


def act(request: wire.Request) -> dict[str, object]:
    """Do what is asked."""
    units, faults = document("units.json"), document("faults.json")
    with (FOLDER / "asked.log").open("a", encoding="utf-8") as log:
        log.write(f"{request.method} {request.target}\n")
    if request.target == "/containers":
        return {"containers": [shown(name, about) for name, about in units.items()]}
    if found := MIGRATE.fullmatch(request.target):
        done = subprocess.run(faults.get("migrate", ["true"]), capture_output=True, text=True, check=False, timeout=60)
        return {"status": done.returncode, "lines": (done.stdout + done.stderr).splitlines()[-5:]}
    found = STOP.fullmatch(request.target) or START.fullmatch(request.target)
    if found is None or found["name"] not in units:
        raise wire.RefusedError(HTTPStatus.NOT_FOUND, "no such container")
    verb = "stop" if request.target.endswith(f"timeout={found.groupdict().get('seconds')}") else "start"
    if faults.get(verb) == "refuse":
        raise wire.RefusedError(HTTPStatus.CONFLICT, f"the daemon does not {verb}", "Look at it")
    name = found["name"]
    if verb == "stop":
        stop(name, int(found["seconds"]))
        if faults.get("stop") == "comes back":
            start(name, units[name])
    else:
        start(name, units[name])
    return shown(name, units[name])


def answer(connection: socket.socket) -> None:
    """Answer one connection."""
    with connection:
        try:
            request = wire.read(connection)
            with guard:
                body = act(request)
            wire.send(connection, HTTPStatus.OK, body)
        except wire.RefusedError as error:
            wire.send(connection, error.status, error.told())
        except OSError:
            pass


def main() -> None:
    """Start what there is and serve."""
    path = FOLDER / "gate.sock"
    path.unlink(missing_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    for name, about in document("units.json").items():
        if about.get("runs", True):
            start(name, about)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        path.chmod(0o666)
        server.listen(16)
        try:
            while True:
                threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()
        finally:
            for process in processes.values():
                process.kill()


main()
