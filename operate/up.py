"""`make up`: from whatever is there to the whole system running."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from operate import stack as stacks
from operate.request import Request
from operate.stack import Stack
from setup import ports, preflight, state
from setup.daemon import Daemon, DaemonError
from setup.prepare import Prepared, look, prepare
from setup.problem import Problem
from setup.processes import Failed
from setup.state import Known, Strays, container_name

GRACE_SECONDS = 30
INTERRUPTED = 130


def run(request: Request) -> int:
    """Prepare the machine, mend what a killed run left, run `pulumi up`, and say where the site is."""
    with request.alone():
        prepared = ready(request)
        stack = stacks.get_open(request.stack, request.places, prepared, request.terminal)
        mend(request, stack, prepared.daemon)
        code = stack.pulumi("up", "--yes", "--skip-preview", *request.arguments)
        if code != 0:
            request.terminal.say()
            request.terminal.say(
                f"`pulumi up` ended with exit code {code}. What it said above names the cause. "
                f"To look further: make logs STACK={request.stack}, make status STACK={request.stack}; "
                "once it is mended, make up goes on from here."
            )
            return code
        tell(request, stack)
    return 0


def ready(request: Request) -> Prepared:
    """Make the machine ready, after everything that would stop the update has been looked for; raise Refused."""
    environment = request.docker_environment()
    wish = request.wish()
    seen = look(request.places, environment, wish)
    found = [*seen[1].problems, *before_docker(request)]
    running = seen[0].docker.state == "running"
    if running:
        found += with_docker(request, Daemon(seen[0].docker.endpoint))
    if found:
        raise Refused(found)
    done = prepare(request.places, environment, wish, request.terminal, seen)
    late = [] if running else with_docker(request, done.daemon)
    if late:
        raise Refused(late)
    return done


class Refused(Exception):  # noqa: N818 - it carries the problems
    """Reasons not to begin; nothing has been changed."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        self.problems = list(dict.fromkeys(problems))


def before_docker(request: Request) -> list[Problem]:
    """Return what stands in the way of the stack and can be seen without Docker: locks and the passphrase."""
    places, environment = request.places, request.environment
    if not stacks.is_local(environment, places):
        return []
    locks = state.locks_on(places.backend, request.stack)
    alive = [held for held in locks if held not in state.dead(locks)]
    stack_text, tracked_text = request.stack_texts()
    found = [
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


def with_docker(request: Request, daemon: Daemon) -> list[Problem]:
    """Return what stands in the way of the stack on the Docker daemon: the port, and containers of another state."""
    if request.setting("platform") not in (None, "docker"):
        return []
    texts = request.stack_texts()
    port, address = preflight.port_of(*texts), request.setting("gatewayAddress") or preflight.DEFAULT_ADDRESS
    publishing = preflight.publishers(port, daemon.get("/containers/json"), state.labels(request.stack))
    listeners = ports.listeners_on(port) if daemon.endpoint.socket else []
    found = [preflight.port_problem(port, address, listeners, publishing)]
    if stacks.is_local(request.environment, request.places):
        known = state.read(request.places.backend, request.stack)
        strays = strays_of(request.stack, known, daemon)
        found.append(preflight.stray_problem(request.stack, known, strays, request.says_yes("SWEEP")))
    return [problem for problem in found if problem]


def strays_of(stack: str, known: Known, daemon: Daemon) -> Strays:
    """Return the stack's Docker objects that its state does not know."""
    carried = state.labels(stack)
    return state.strays(known, *(daemon.labelled(kind, carried) for kind in ("containers", "networks", "volumes")))


def mend(request: Request, stack: Stack, daemon: Daemon) -> None:
    """Take away what a killed run left: its lock, its containers and networks, and its unfinished operations."""
    say = request.terminal.note
    if stacks.is_local(stack.environment, request.places):
        for held in state.dead(state.locks_on(request.places.backend, stack.name)):
            state.remove(held)
            say(f"removed the lock of a run that is gone ({held})")
    known = stack.known()
    strays = strays_of(stack.name, known, daemon)
    for row in daemon.labelled("containers", state.labels(stack.name)):
        # Pulumi's Docker provider sees a container that runs, and would leave it as it is.
        if row.get("State") == "paused":
            daemon.post(f"/containers/{row['Id']}/unpause")
            say(f"the container {container_name(row)} was paused; it goes on")
    for sentence in sweep(strays, daemon):
        say(sentence)
    note = preflight.stray_volumes_note(strays)
    if note:
        say(note)
    if known.pending_creates:
        forget_pending(request, stack, known)


def sweep(strays: Strays, daemon: Daemon) -> list[str]:
    """Remove stray containers, then networks, and return what was removed; volumes are left alone."""
    said = []
    for row in strays.containers:
        # In its own time first: a database that is killed has to recover.
        with contextlib.suppress(DaemonError, OSError):
            daemon.post(f"/containers/{row['Id']}/stop", timeout=GRACE_SECONDS + 15, t=str(GRACE_SECONDS))
        daemon.delete(f"/containers/{row['Id']}", force="1", timeout=60)
        said.append(f"removed the container {container_name(row)}, which the state does not know")
    for row in strays.networks:
        try:
            daemon.delete(f"/networks/{row['Id']}")
        except DaemonError as error:
            raise Problem(
                f"The network {row['Name']} is not in the state and cannot be removed: {error}.",
                f"disconnect what uses it (docker network inspect {row['Name']}) and run this again",
            ) from error
        said.append(f"removed the network {row['Name']}, which the state does not know")
    return said


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
    outputs = stack.outputs()
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
