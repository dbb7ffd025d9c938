"""Visitors who sit elsewhere: they wait for no processor of this machine, and come in as from outside it.

Whoever asks on the machine that answers is put off himself while it works, by tens of milliseconds on two processors,
and takes that for the site's. From outside, the kernel hands a connection to the container; only before the loopback
address stands a process that copies every byte.
"""

from __future__ import annotations

import json
import os
from urllib.parse import urlsplit

from prober.background import Background
from prober.target import Target
from tests.conftest import run_docker

PRIORITY = 5


class Visitors(Background):
    """A load whose thread goes before everything else; what it starts does not."""

    def run(self) -> None:
        """Go first, and run the load."""
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))
        super().run()


def door(container: str, url: str) -> Target:
    """Return where a container's published port is reached without the loopback address, under the site's own name."""
    settings = json.loads(run_docker("inspect", "-f", "{{json .NetworkSettings}}", container))
    port = next(name.partition("/")[0] for name, published in settings["Ports"].items() if published)
    addresses = [network["IPAddress"] for network in settings["Networks"].values()]
    return Target(addresses[0], int(port), urlsplit(url).netloc)
