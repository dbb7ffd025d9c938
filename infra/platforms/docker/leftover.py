"""Containers that a killed run left behind: named, with the command that removes them, before anything is created."""

from __future__ import annotations

import pulumi

from infra.platforms.docker import daemon


def refusal(host: str) -> pulumi.ResourceHook:
    """Return the hook that refuses to create a container whose name is taken."""

    def refuse(arguments: pulumi.ResourceHookArgs) -> None:
        name = (arguments.new_inputs or {}).get("name")
        stack = daemon.labels_of(host, name) if isinstance(name, str) else None
        if stack is not None:
            raise pulumi.RunError(message(str(name), stack))

    return pulumi.ResourceHook("refuse-a-container-that-the-state-does-not-know", refuse)


def message(name: str, stack: str) -> str:
    """Say which container is in the way, whose it is, and how to go on."""
    if stack:
        return (
            f"container {name} of stack {stack} exists, but the stack's state does not know it: a killed run left it. "
            f"`make up` removes it and goes on; by hand: docker rm -f {name}, then pulumi up"
        )
    return f"container {name} exists and belongs to no stack; rename or remove it (docker rm -f {name}), then pulumi up"
