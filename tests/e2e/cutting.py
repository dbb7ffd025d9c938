"""An update that is killed when it has come to a certain step."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading

from tests.e2e.site import Site

SECONDS = 180


def kill_at(site: Site, step: str) -> str:
    """Run `pulumi up` and kill it, with all its plugins, when it reports the step; return what it said.

    The step is a regular expression for a line of its progress. Raise AssertionError when the update ends without it.
    """
    process = subprocess.Popen(
        [site.environment["SCAFFOLD_PULUMI"], "up", "--yes", "--skip-preview", "--non-interactive"],
        cwd=site.folder,
        env=site.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    limit = threading.Timer(SECONDS, os.killpg, (process.pid, signal.SIGKILL))
    limit.start()
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            if re.search(step, line):
                os.killpg(process.pid, signal.SIGKILL)
                break
        else:
            raise AssertionError(f"the update ended without the step {step!r}:\n{''.join(said)[-4000:]}")
    finally:
        limit.cancel()
        process.stdout.close()
        process.wait(timeout=30)
    return "".join(said)
