"""What comes next: decided from the journal and from what is so, and from nothing else."""

from __future__ import annotations

from typing import Literal, NamedTuple

from restore.job import Job

# So often a step may end this process, for want of memory say, before the job is given up.
MOST_DEATHS = 5

Place = Literal["old", "new", "other"]
Kind = Literal["do", "note", "fail", "hold", "end"]


class Facts(NamedTuple):
    """What is so: which database has the live name, whether it lets anybody in, and whether the job's own is there."""

    place: Place
    open: bool
    scratch: bool


class Action(NamedTuple):
    """What to do next: a step, or what to write down about it."""

    kind: Kind
    step: str = ""
    words: str = ""


def decide(job: Job, facts: Facts) -> Action:
    """Return what comes next in a job that has not ended."""
    if facts.place == "other" and job.began("swap"):
        return Action("hold", "swap", "the live name belongs to a database that is neither the old one nor the new one")
    return backward(job, facts) if job.verdict else forward(job, facts)


def forward(job: Job, facts: Facts) -> Action:
    """Return the next step on the way to the end, or that it is given up."""
    step = next((step for step in job.steps if step not in job.done), "")
    if not step:
        return Action("end") if job.filed else Action("do", "file")
    if job.deaths >= MOST_DEATHS:
        return Action("fail", step, f"this service ended {job.deaths} times in step {step}")
    if facts.place == "other":
        return Action("fail", step, "another database has been given the live name since the restore began")
    if step == "swap" and facts.place == "new":
        return Action("note", "swap")
    if "swap" in job.done and facts.place == "old":
        return Action("fail", step, "somebody has put the old database back")
    return Action("do", step)


def backward(job: Job, facts: Facts) -> Action:
    """Return the next step on the way back to how it was."""
    if facts.place == "new":
        return Action("do", "back" if "halt" in job.done else "halt")
    if shut(job) and not facts.open:
        return Action("do", "reopen")
    if job.began("stop") and "restart" not in job.done:
        return Action("do", "restart")
    if facts.scratch and job.order != "undo" and job.began("load"):
        return Action("do", "discard")
    return Action("end") if job.filed else Action("do", "file")


def shut(job: Job) -> bool:
    """Tell whether the job may have shut the live database."""
    return job.began("fence") or (job.order == "stop-first" and job.began("stop"))
