"""`make up`: from whatever is there to the whole system running."""

from __future__ import annotations

from collections.abc import Sequence

from operate import generations, kept, platforms, recovering
from operate import stack as stacks
from operate.request import Request
from operate.stack import Stack
from setup import preflight, state
from setup.prepare import Prepared, look, prepare
from setup.problem import Problem
from setup.processes import Failed
from setup.state import Known

OF_RELEASES = frozenset({"bundles", "releases"})
"""The outputs that `make releases` shows, and better."""


def run(request: Request) -> int:
    """Prepare the machine, mend what a killed run left, run `pulumi up`, and say where the site is."""
    with request.alone():
        prepared = ready(request)
        stack = stacks.get_open(request.stack, request.places, prepared, request.terminal)
        return update(request, stack, *request.arguments)


def update(request: Request, stack: Stack, *arguments: str) -> int:
    """Mend what a killed run left, run `pulumi up`, say where the site is, and return Pulumi's exit code."""
    say_what_runs(request)
    mend(request, stack)
    code = stack.pulumi("up", "--yes", "--skip-preview", *arguments)
    if code != 0:
        request.terminal.say()
        request.terminal.say(
            f"`pulumi up` ended with exit code {code}. What it said above names the cause. "
            f"To look further: make logs STACK={request.stack}, make status STACK={request.stack}; "
            "once it is mended, make up goes on from here."
        )
        say_what_runs(request)
        return code
    platforms.of(request).settle(request, stack)
    generations.end_restore(request, stack)
    tell(request, stack)
    say_what_runs(request)
    return 0


def say_what_runs(request: Request) -> None:
    """Say so where it is not what is in the clone."""
    pinned = kept.pinned(request)
    if pinned:
        request.terminal.note(
            f"the stack is pinned to the release {pinned}, and nothing of the clone is built; "
            f"{kept.unpin_words(request.stack)}"
        )


def ready(request: Request) -> Prepared:
    """Make the machine ready, after everything that would stop the update has been looked for; raise Refused."""
    platform = platforms.of(request)
    environment = request.docker_environment()
    wish = request.wish()
    seen = look(request.places, environment, wish)
    early = platform.beforehand(request, seen[0])
    found = [*seen[1].problems, *of_the_state(request), *(early or [])]
    if found:
        raise Refused(found)
    done = platform.ready(request, prepare(request.places, environment, wish, request.terminal, seen))
    late = platform.obstacles(request) if early is None else []
    if late:
        raise Refused(late)
    return done


class Refused(Exception):  # noqa: N818 - it carries the problems
    """Reasons not to begin; nothing has been changed."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        self.problems = list(dict.fromkeys(problems))


def of_the_state(request: Request) -> list[Problem]:
    """Return what stands in the way of the stack and is seen in its state: locks and the passphrase."""
    places, environment = request.places, request.environment
    if not stacks.is_local(environment, places):
        return []
    locks = state.locks_on(places.backend, request.stack)
    alive = [held for held in locks if held not in state.dead(locks)]
    stack_text, tracked_text = request.stack_texts()
    found = [
        recovering.unended(places, request.stack) if request.verb != "recover" else None,
        preflight.lock_problem(request.stack, alive),
        preflight.passphrase_problem(
            places.passphrase,
            present=places.passphrase.exists(),
            given=stacks.names_passphrase(environment),
            state_exists=state.holds_any_stack(places),
            tracked_salt="\nencryptionsalt:" in f"\n{tracked_text or ''}",
            stack_file_exists=stack_text is not None,
        ),
    ]
    return [problem for problem in found if problem]


def mend(request: Request, stack: Stack) -> None:
    """Take away what a killed run left: its lock, its objects, and its unfinished operations."""
    if stacks.is_local(stack.environment, request.places):
        for held in state.dead(state.locks_on(request.places.backend, stack.name)):
            state.remove(held)
            request.terminal.note(f"removed the lock of a run that is gone ({held})")
    platforms.of(request).mend(request, stack)
    known = stack.known()
    if known.pending_creates:
        forget_pending(request, stack, known)


def forget_pending(request: Request, stack: Stack, known: Known) -> None:
    """Have Pulumi forget what it had begun to create; what came of it has been swept away."""
    with request.terminal.step("state", f"creations were cut off: {known.pending_creates}") as step:
        try:
            stack.ask(
                "refresh", "--yes", "--skip-preview", "--non-interactive", "--clear-pending-creates",
                "--stack", stack.name, "--config-file", str(stack.file),
            )  # fmt: skip
        except Failed as error:
            raise Problem(
                f"Pulumi could not tidy the state after a run that was cut off:\n{error.words}", "mend that"
            ) from error
        step.outcome = f"forgot what was cut off while it was being created ({known.pending_creates})"


def tell(request: Request, stack: Stack) -> None:
    """Print the outputs, the address of the site, and what to type next."""
    outputs = {name: value for name, value in stack.outputs().items() if name not in OF_RELEASES}
    terminal = request.terminal
    width = max((len(name) for name in outputs), default=0)
    terminal.say()
    for name, value in sorted(outputs.items()):
        terminal.say(f"  {name:<{width}}  {value}")
    terminal.say()
    if "siteUrl" in outputs:
        terminal.say(terminal.bold(f"The site is at {outputs['siteUrl']}"))
    suffix = "" if stack.name == "dev" else f" STACK={stack.name}"
    terminal.say(
        f"Next: make status{suffix}, make logs{suffix}, make config{suffix} ARGS='set siteName …', "
        f"make down{suffix} (stops, keeps the data)"
    )
