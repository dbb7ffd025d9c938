"""`make env`: the exports with which plain `pulumi` works on the same stack."""

from __future__ import annotations

import os
import shlex

from operate import platforms
from operate import stack as stacks
from operate.request import Request, prepared
from operate.stack import Stack
from setup.files import write_atomically
from setup.terminal import Terminal

NAMES = (
    "PULUMI_BACKEND_URL",
    "PULUMI_CONFIG_PASSPHRASE_FILE",
    "PULUMI_HOME",
    "PULUMI_SKIP_UPDATE_CHECK",
    "DOCKER_HOST",
    "KUBECONFIG",
)

# Without its stack file Pulumi would write a new key into the tracked one, and read none of the values set here.
WRAPPER = """#!/bin/sh
# Pulumi with the stack files of this machine.
stack=${{PULUMI_STACK:-{stack}}}
previous=
for word in "$@"; do
    case $previous in -s | --stack) stack=$word ;; esac
    case $word in
        --config-file | --config-file=*) exec {cli} "$@" ;;
        --stack=*) stack=${{word#--stack=}} ;;
    esac
    previous=$word
done
file={folder}/Pulumi.${{stack##*/}}.yaml
case ${{1-}} in
    up | update | preview | pre | destroy | down | dn | refresh | config | import | watch | logs)
        if [ -f "$file" ]; then
            verb=$1
            shift
            exec {cli} "$verb" --config-file "$file" "$@"
        fi ;;
esac
exec {cli} "$@"
"""


def run(request: Request) -> int:
    """Print exports for a shell: `eval "$(make -s env)"`; what is prepared on the way is said on standard error."""
    import sys

    quiet = Terminal(sys.stderr)
    own = Request(request.verb, request.stack, request.arguments, request.places, request.environment, quiet)
    with own.alone():
        stack = stacks.get_open(own.stack, own.places, platforms.of(own).handed(own, prepared(own)), quiet)
        folder = write_wrapper(stack)
    for name, value in exports(stack, folder).items():
        request.terminal.say(f"export {name}={shlex.quote(value)}")
    return 0


def exports(stack: Stack, folder: str) -> dict[str, str]:
    """Return the variables that another shell needs."""
    found = {name: stack.environment[name] for name in NAMES if stack.environment.get(name)}
    found["PULUMI_STACK"] = stack.name
    parts = [part for part in stack.environment.get("PATH", os.defpath).split(os.pathsep) if part != folder]
    found["PATH"] = os.pathsep.join([folder, *parts])
    return found


def write_wrapper(stack: Stack) -> str:
    """Write the program that adds the stack file to Pulumi's command line, and return its folder."""
    folder = stack.places.cache / "bin"
    text = WRAPPER.format(
        stack=shlex.quote(stack.name), cli=shlex.quote(str(stack.cli)), folder=shlex.quote(str(stack.file.parent))
    )
    write_atomically(folder / "pulumi", text.encode(), 0o755)
    return str(folder)
