"""`python3 -m operate VERB [ARGUMENT …]`: runs one verb; the Makefile's targets come here."""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this file has to say so itself
    found = ".".join(map(str, sys.version_info[:2]))
    sys.exit(f"Python {found} runs this; 3.11 or newer is wanted.\n  Fix: make up PYTHON=python3.13 (or another one)")

import importlib
import os
import shlex
import signal
from collections.abc import Sequence

from operate.request import request_from
from operate.up import Refused
from setup.daemon import DaemonError
from setup.problem import Problem
from setup.processes import Failed
from setup.terminal import Terminal

VERBS = {
    "up": "up",
    "preview": "preview",
    "down": "down",
    "destroy": "destroy",
    "logs": "logs",
    "status": "status",
    "env": "env",
    "config": "config",
    "migrate": "migrate",
    "flask": "flask",
    "backup": "backup",
    "backups": "backups",
    "restore": "restore",
    "restores": "restores",
    "restore-undo": "restore_undo",
    "pit": "pit",
    "restore-pit": "restore_pit",
    "forget-volume": "forget_volume",
    "recovery-kit": "recovery_kit",
    "recover": "recover",
    "maintenance": "maintenance",
    "cancel": "cancel",
    "rollback": "rollback",
    "unpin": "unpin",
    "upgrade-images": "upgrade_images",
    "releases": "releases",
    "cluster-up": "cluster_up",
    "cluster-down": "cluster_down",
    "test": "test",
    "test-long": "test",
    "test-official": "test",
    "check": "check",
    "bench": "bench",
}
# What they print is for programs too.
BARE = ("env", "flask", "backup", "backups", "restores")
INTERRUPTED = 130
CLOSED = 141


def main(words: Sequence[str]) -> int:
    """Run the verb and return its exit code; what stands in the way is printed with its remedy."""
    if not words or words[0] not in VERBS:
        sys.stderr.write(f"usage: python3 -m operate VERB [ARGUMENT …]\n  VERB is one of: {', '.join(VERBS)}\n")
        return 2
    verb, *arguments = words
    terminal = Terminal(sys.stderr if verb in BARE else sys.stdout)
    arguments += shlex.split(os.environ.get("ARGS", ""))
    # As Ctrl-C does: what was started is stopped, and what was half made is taken away.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        request = request_from(verb, arguments, os.environ)
        return int(importlib.import_module(f"operate.{VERBS[verb]}").run(request))
    except Refused as refused:
        for problem in refused.problems:
            terminal.problem(problem)
        terminal.say("Nothing was changed.")
    except Problem as problem:
        terminal.problem(problem)
    except (Failed, DaemonError) as error:
        terminal.problem(Problem(str(error), "mend what it says and run this again"))
    except BrokenPipeError:
        # Whoever read this has gone (`make logs | head`); Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED
    except KeyboardInterrupt:
        terminal.say(f"\nInterrupted. make {verb} goes on from here.")
        return INTERRUPTED
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
