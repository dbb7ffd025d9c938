"""A stack stays on its daemon: another one would be empty, and what runs on this one would be forgotten there."""

from __future__ import annotations

import pulumi

from infra.platforms.docker import daemon


def refusal() -> pulumi.ResourceHook:
    """Return the hook that refuses to take the stack to another daemon; a new address of the same one is fine."""

    def refuse(arguments: pulumi.ResourceHookArgs) -> None:
        former, wanted = ((inputs or {}).get("host") or "" for inputs in (arguments.old_inputs, arguments.new_inputs))
        if former != wanted and daemon.identity(former) != daemon.identity(wanted):
            raise pulumi.RunError(message(former, wanted))

    return pulumi.ResourceHook("refuse-to-move-to-another-daemon", refuse)


def message(former: str, wanted: str) -> str:
    """Say what would be left behind, and how to go on."""
    place = former or "the environment's"
    back = f"pulumi config set dockerHost {former}" if former else "pulumi config rm dockerHost"
    return (
        f"dockerHost: got {wanted or 'none'!r}, which is another Docker daemon than the one this stack runs on "
        f"({place}). Its containers and its data would be left behind there. "
        f"Go back: {back}. For a site on the other daemon, make another stack: pulumi stack init NAME"
    )
