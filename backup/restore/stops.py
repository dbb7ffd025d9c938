"""Stopping what runs and starting it again, as it was."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from backup import line
from backup.error import StopError
from restore import switchboard
from restore.context import Context
from restore.error import RejectedError, SwitchError
from restore.job import Job
from restore.switchboard import SwitchboardError, Unit

POLL_SECONDS = 0.1
START_SECONDS = 60.0


def told(error: SwitchboardError) -> StopError:
    """Return a switchboard's error as a step's."""
    return SwitchError(str(error)) if error.transient else StopError(str(error))


def named(context: Context) -> list[Unit]:
    """Return what runs of everything that is to be stopped."""
    return resolved(context, context.chosen.stop)


def resolved(context: Context, names: Iterable[str]) -> list[Unit]:
    """Return what runs of services, and containers by their names."""
    try:
        return context.board.resolve(list(names))
    except SwitchboardError as error:
        raise told(error) from None


def check(context: Context) -> None:
    """Raise RejectedError for a name that nothing has."""
    for setting, names in (
        ("RESTORE_STOP_CONTAINERS", context.chosen.stop),
        ("RESTORE_START_CONTAINERS", context.chosen.start),
    ):
        missing = [unit.name for unit in resolved(context, names) if unit.state == switchboard.ABSENT]
        if missing:
            raise RejectedError(
                f"{setting}: there is no container {', '.join(missing)}. Correct it, or start what it names"
            )


def before(context: Context, job: Job) -> dict[str, Any]:
    """Return what runs, to be written down before any of it is stopped."""
    if job.began("stop"):
        return {}
    return {"units": [[unit.name, unit.state, unit.detail, unit.replicas] for unit in named(context)]}


def ran(job: Job) -> list[Unit]:
    """Return what ran before it was stopped."""
    units = [Unit(*item) for item in job.data.get("units", ())]
    return [unit for unit in units if unit.state == switchboard.RUNNING]


def stop(context: Context, job: Job) -> dict[str, Any]:
    """Stop what runs, and look that it has stopped."""
    for unit in ran(job):
        end(context, unit)
    wait(context, context.chosen.stop_wait)
    return {}


def end(context: Context, unit: Unit) -> None:
    """Stop one container, and look that it has stopped."""
    try:
        context.board.stop(unit, context.chosen.stop_seconds)
        now = context.board.state(unit)
    except SwitchboardError as error:
        raise told(error) from None
    if now.state == switchboard.RUNNING:
        raise StopError(f"{unit.name} was stopped and runs again. End what starts it, then put the file in again")
    context.tick()


def halt(context: Context, job: Job) -> dict[str, Any]:
    """Stop everything that this job started, before the old database is put back."""
    for unit in [*ran(job), *resolved(context, context.chosen.start)]:
        if unit.state == switchboard.RUNNING:
            end(context, unit)
    return {}


def restart(context: Context, job: Job) -> dict[str, Any]:
    """Start what ran before, and nothing else."""
    bring_up(context, ran(job))
    return {}


def start(context: Context, job: Job) -> dict[str, Any]:
    """Start what ran before and what is to run after a restore, and look whether it is well."""
    wait(context, context.chosen.start_wait)
    also = [unit for unit in resolved(context, context.chosen.start) if unit.state != switchboard.ABSENT]
    known = {unit.name: unit for unit in [*also, *ran(job)]}
    bring_up(context, known.values())
    ill = unwell(context, list(known.values()))
    if not ill:
        return {}
    words = f"{', '.join(ill)} not healthy on the restored database after {context.chosen.health_seconds:.0f} s"
    if context.chosen.unhealthy == "hold":
        line.say("error", f"{words}; RESTORE_UNHEALTHY=hold leaves it so")
        return {"unhealthy": ill}
    raise StopError(f"{words}, so the old one was put back. RESTORE_UNHEALTHY=hold would leave it")


def bring_up(context: Context, units: Iterable[Unit]) -> None:
    """Start what does not run; what was made anew meanwhile under another name is started under that."""
    for unit in units:
        try:
            now = context.board.state(unit)
            if now.state == switchboard.ABSENT:
                heirs = [each for each in named(context) if each.state == switchboard.STOPPED]
                for heir in heirs:
                    context.board.start(heir, START_SECONDS)
                instead = (
                    f"started in its place: {', '.join(heir.name for heir in heirs)}" if heirs else "none is stopped"
                )
                line.say("warning", f"{unit.name} is gone, as after an update; {instead}")
            elif now.state != switchboard.RUNNING or now.replicas < unit.replicas:
                context.board.start(unit, START_SECONDS)
        except SwitchboardError as error:
            raise told(error) from None
        context.tick()


def unwell(context: Context, units: list[Unit]) -> list[str]:
    """Return the names of those that are not well when the time for it is over."""
    deadline = time.monotonic() + context.chosen.health_seconds
    left = units if context.chosen.health_seconds else []
    while left:
        try:
            found = {unit.name: context.board.state(unit) for unit in left}
        except SwitchboardError as error:
            if not error.transient:
                raise told(error) from None
            found = {}
        left = [unit for unit in left if not found.get(unit.name, unit).healthy and not gone(found.get(unit.name))]
        if time.monotonic() > deadline:
            break
        context.tick()
        if left:
            time.sleep(POLL_SECONDS)
    return [unit.name for unit in left]


def gone(unit: Unit | None) -> bool:
    """Tell whether a unit is there no more: its place was taken by another one."""
    return unit is not None and unit.state == switchboard.ABSENT


def wait(context: Context, seconds: float) -> None:
    """Wait as a setting asks."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(1.0, left))
        context.tick()
