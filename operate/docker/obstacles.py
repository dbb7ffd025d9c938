"""What stands in the way of an update on the Docker daemon: the port, and containers of another state."""

from __future__ import annotations

from operate import stack as stacks
from operate.docker import strays
from operate.docker.containers import daemon_of
from operate.request import Request
from setup import ports, preflight, state
from setup.problem import Problem


def of_stack(request: Request) -> list[Problem]:
    """Return who has the gateway's port, and whose the containers are that carry the stack's labels."""
    daemon = daemon_of(request)
    texts = request.stack_texts()
    port, address = preflight.port_of(*texts), request.setting("gatewayAddress") or preflight.DEFAULT_ADDRESS
    publishing = preflight.publishers(port, daemon.get("/containers/json"), state.labels(request.stack))
    listeners = ports.listeners_on(port) if daemon.endpoint.socket else []
    found = [preflight.port_problem(port, address, listeners, publishing)]
    if stacks.is_local(request.environment, request.places):
        known = state.read(request.places.backend, request.stack)
        unknown = strays.of_stack(request.stack, known, daemon)
        found.append(preflight.stray_problem(request.stack, known, unknown, request.says_yes("SWEEP")))
    return [problem for problem in found if problem]
