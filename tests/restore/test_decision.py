"""What comes next in a restore, over every way in which steps can fail and the service can end, on a world of data."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from restore import decision
from restore import job as jobs
from restore.decision import Facts
from restore.journal import Record

OLD, NEW = 1, 2
MOST = 400


@dataclass
class World:
    """A server, an app and a journal, none of which is there for real; a crash leaves all three as they are."""

    records: list[Record] = field(default_factory=list)
    live: int = OLD
    open: bool = True
    scratch: bool = False
    app: bool = True
    filed: str = ""

    def facts(self) -> Facts:
        return Facts("new" if self.live == NEW else "old", self.open, self.scratch)

    def write(self, step: str, phase: str, **data: object) -> None:
        self.records.append(Record("j", step, phase, float(len(self.records)), dict(data)))

    def do(self, step: str) -> None:
        """What a step does to the world; each can be done again."""
        if step == "load":
            self.scratch = True
        elif step in ("stop", "halt"):
            self.app = False
        elif step == "fence":
            assert not self.app, "nobody is thrown out while the app is meant to run"
            self.open = False
        elif step == "swap":
            assert self.live == OLD
            assert not self.open
            assert self.scratch
            self.live, self.scratch = NEW, False
        elif step in ("open", "reopen"):
            self.open = True
        elif step in ("start", "restart"):
            assert self.open, "the app is never started on a database that lets nobody in"
            self.app = True
        elif step == "back":
            assert self.live == NEW
            assert not self.app
            self.live, self.scratch, self.open = OLD, True, False
        elif step == "discard":
            assert self.live == OLD
            self.scratch = False
        elif step == "file":
            self.filed = jobs.of(self.records).verdict or "done"


ORDERS = st.sampled_from(["load-first", "stop-first"])
# What happens at some of the actions, which succeed elsewhere: they fail, at first or at last, or the service ends.
FATES = st.dictionaries(
    st.integers(0, 25), st.sampled_from(["fail", "fail late", "die before", "die after", "die recorded"]), max_size=6
)


@settings(max_examples=400)
@given(ORDERS, FATES)
def test_whatever_happens_it_ends_all_old_or_all_new_with_the_app_running(order: str, fates: dict[int, str]) -> None:
    world = World()
    world.write("claim", "begin", order=order)
    world.write("claim", "done")
    for number in range(MOST):
        job = jobs.of(world.records)
        action = decision.decide(job, world.facts())
        assert world.live in (OLD, NEW)
        fate = fates.get(number, "good")
        if action.kind == "end":
            break
        if action.kind == "fail":
            world.write(action.step, "fail", verdict="failed", reason=action.words)
        elif action.kind == "note":
            world.write(action.step, "done")
        else:
            assert action.kind == "do", action
            play(world, action.step, fate, backwards=bool(job.verdict))
    else:
        raise AssertionError([f"{record.step}.{record.phase}" for record in world.records][-40:])
    job = jobs.of(world.records)
    assert world.app
    assert world.open
    assert not world.scratch
    assert world.live == (OLD if job.verdict else NEW)
    assert world.filed == (job.verdict or "done")


def play(world: World, step: str, fate: str, *, backwards: bool) -> None:
    """Do one step with what happens to it."""
    if fate == "die before":
        world.write(step, "boot")
        return
    world.write(step, "begin")
    if fate == "fail":
        # What is left once the app runs is tried again.
        if not backwards and step != "file":
            world.write(step, "fail", verdict="failed", reason="it did")
        return
    world.do(step)
    if fate == "fail late" and not backwards and step != "file":
        world.write(step, "fail", verdict="failed", reason="it did")
        return
    if fate == "die after":
        world.write(step, "boot")
        return
    world.write(step, "done")
    if fate == "die recorded":
        world.write(step, "boot")


def test_a_step_that_ends_the_service_again_and_again_is_given_up() -> None:
    world = World()
    world.write("claim", "begin")
    world.write("claim", "done")
    for _ in range(decision.MOST_DEATHS):
        assert decision.decide(jobs.of(world.records), world.facts()).kind == "do"
        world.write("validate", "begin")
        world.write("validate", "boot")
    action = decision.decide(jobs.of(world.records), world.facts())
    assert (action.kind, action.step) == ("fail", "validate")


def test_a_live_name_that_is_neithers_holds_once_names_were_to_change_and_fails_before() -> None:
    world = World()
    for step in ("claim", "validate"):
        world.write(step, "begin")
        world.write(step, "done")
    odd = Facts("other", open=True, scratch=False)
    assert decision.decide(jobs.of(world.records), odd).kind == "fail"
    for step in ("load", "verify", "stop", "fence", "swap"):
        world.write(step, "begin")
    assert decision.decide(jobs.of(world.records), odd).kind == "hold"


def test_a_swap_that_was_committed_and_not_written_down_is_written_down() -> None:
    world = World()
    for step in ("claim", "validate", "load", "verify", "stop", "fence"):
        world.write(step, "begin")
        world.write(step, "done")
    world.write("swap", "begin")
    action = decision.decide(jobs.of(world.records), Facts("new", open=False, scratch=False))
    assert (action.kind, action.step) == ("note", "swap")
