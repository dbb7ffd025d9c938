"""A job as its records in the journal tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from restore.journal import Record

LOAD_FIRST = ("claim", "validate", "load", "verify", "stop", "fence", "swap", "open", "upgrade", "start")
STOP_FIRST = ("claim", "validate", "stop", "load", "verify", "fence", "swap", "open", "upgrade", "start")
# A database that is there already needs no loading.
UNDO = ("claim", "validate", "stop", "fence", "swap", "open", "upgrade", "start")
ORDERS = {"load-first": LOAD_FIRST, "stop-first": STOP_FIRST, "undo": UNDO}

# The way back, in this order; which of them are needed, the facts decide.
BACK = ("halt", "back", "reopen", "restart", "discard")


@dataclass(frozen=True)
class Job:
    """How far a restore has come."""

    id: str
    order: str = "load-first"
    step: str = ""
    done: frozenset[str] = frozenset()
    tries: dict[str, int] = field(default_factory=dict)
    deaths: int = 0
    verdict: str = ""
    reason: str = ""
    failed_at: str = ""
    ended: bool = False
    filed: bool = False
    data: dict[str, Any] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps on the way forward."""
        return ORDERS[self.order]

    def began(self, step: str) -> bool:
        """Tell whether a step was begun, whatever became of it."""
        return f"{step}.begin" in self.times


def of(records: Sequence[Record]) -> Job:
    """Return the job that records tell of."""
    job = Job(records[0].job)
    for record in records:
        job = after(job, record)
    return job


def after(job: Job, record: Record) -> Job:
    """Return a job as it is with one more record."""
    name = f"{record.step}.{record.phase}"
    job = replace(
        job,
        data={**job.data, **record.data},
        times={**job.times, name: record.at, f"{name}.first": job.times.get(f"{name}.first", record.at)},
    )
    if record.phase == "begin":
        return replace(
            job,
            step=record.step,
            order=str(record.data.get("order", job.order)),
            tries={**job.tries, record.step: job.tries.get(record.step, 0) + 1},
        )
    if record.phase == "done":
        # Whatever was done further on is undone by doing an earlier step once more.
        return replace(
            job, step=record.step, done=job.done | {record.step}, deaths=0, filed=job.filed or record.step == "file"
        )
    if record.phase == "again":
        return replace(job, done=job.done - {record.step})
    if record.phase == "boot":
        return replace(job, deaths=job.deaths + 1)
    if record.phase == "fail":
        return replace(
            job, verdict=job.verdict or str(record.data["verdict"]), reason=job.reason or str(record.data["reason"]),
            failed_at=job.failed_at or record.step, deaths=0,
        )  # fmt: skip
    if record.phase == "end":
        return replace(job, ended=True)
    return job
