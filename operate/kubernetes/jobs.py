"""The stack's Jobs that its state does not know: in the way of an update, for no Job can be changed."""

from __future__ import annotations

from functools import partial

from operate.kubernetes import remains, strays
from operate.kubernetes.cluster import Cluster, name_of
from operate.kubernetes.kinds import JOB
from operate.request import Request
from setup.state import Known


def clear(request: Request, cluster: Cluster, known: Known) -> None:
    """Remove them and wait until they are gone: what they did may be done again, and the update does it."""
    for each in strays.unknown(cluster, known, (JOB,)):
        name = name_of(each)
        with request.terminal.step("jobs", f"removing {name}, which the state does not know") as step:
            strays.remove(cluster, JOB, name)
            remains.until_gone(f"Job {name}", partial(cluster.found, JOB.item(cluster.namespace, name)), step)
            step.outcome = f"removed the Job {name}, which the state does not know"
