"""The ledger of releases, read by a job like the one that writes it."""

from __future__ import annotations

from operate.kubernetes import migrate
from operate.kubernetes.cluster import reached
from operate.kubernetes.kinds import DEPLOYMENT, JOB
from operate.request import Request
from setup.problem import Problem

SERVICE = "record"
COMMAND = ("flask", "--app", "scaffold:create_app", "release", "list")


def run(request: Request) -> tuple[list[str], bool]:
    """Return the ledger's lines, or why nobody told them, and whether they were told."""
    with reached(request) as cluster:
        try:
            job = migrate.choose(cluster.objects(JOB), cluster.objects(DEPLOYMENT), request.stack, SERVICE)
        except Problem as none:
            return [str(none)], False
        lines, code = migrate.carried_out(request, cluster, migrate.again(job, COMMAND), "ledger")
    return lines, code == 0
