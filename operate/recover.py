"""`make recover`: a recovery kit and a bucket, the archive's or the backups', make an empty machine the same site."""

from __future__ import annotations

import contextlib
import getpass
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from operate import anew, generations, kept, kit, recovering, up
from operate import stack as stacks
from operate.docker import handing, opening
from operate.docker.containers import daemon_of, of_stack, volumes_of
from operate.generations import Generations
from operate.kit import Kit
from operate.recovering import Begun
from operate.request import Request, prepared
from operate.stack import Stack
from setup import preflight, state, virtualenv
from setup.files import create_private, private_folder, read_text_or_none, write_atomically
from setup.prepare import Prepared
from setup.problem import Problem
from setup.processes import Failed

ONLY_STATE = "--only-state"
LATEST = "latest"
ARCHIVE = "archive"
"""What the data is taken from where the archive is in a bucket: it has what came after the newest backup, too."""
PREFIX = "pitrS3Prefix"
LAST_COMMIT = "last completed transaction was at log time "
TYPED = "make recover KIT=FILE IDENTITY=KEYFILE"
WHERE = "SCAFFOLD_STATE_DIR=FOLDER names another folder for the state"


def run(request: Request) -> int:
    """Open the kit, put back what it holds, make the stack anew with its data, and say what was loaded."""
    only_state = refuse_other_words(request)
    sealed, key = kit_file(request), key_of(request)
    opened = open_kit(request, prepared(request), sealed, key)
    request = replace(request, stack=opened.about.stack)
    with request.alone():
        begun = begin(request, opened, only_state=only_state)
        stack = put_back(request, opened, begun, only_state=only_state)
        if only_state:
            recovering.end(request.places, request.stack)
            request.terminal.say(f"State, passphrase and settings of the stack {request.stack} are back.")
            request.terminal.say(f"make preview STACK={request.stack} shows what an update would do now.")
            return 0
        return make_anew(request, stack, opened, begun, key)


def refuse_other_words(request: Request) -> bool:
    """Return whether only the state is wanted; raise Problem for words that say nothing here."""
    if list(request.arguments) not in ([], [ONLY_STATE]):
        raise Problem(f"make recover does not know {' '.join(request.arguments)!r}.", f"{TYPED} ARGS={ONLY_STATE}")
    backup = request.environment.get("BACKUP", "")
    if not re.fullmatch(r"[0-9A-Za-z-]*", backup, re.ASCII):
        raise Problem(f"BACKUP is {backup!r}; a backup's name is wanted.", "see them in the bucket, or leave it out")
    return bool(request.arguments)


def kit_file(request: Request) -> bytes:
    """Return the encrypted kit; raise Problem where there is none."""
    given = request.environment.get("KIT", "")
    if not given:
        raise Problem("KIT names no file.", TYPED)
    try:
        content = Path(given).expanduser().read_bytes()
    except OSError as error:
        raise Problem(f"The kit {given} cannot be read: {error.strerror}.", TYPED) from None
    if not content.startswith(b"age-encryption.org/v1\n"):
        raise Problem(f"The file {given} is no recovery kit: it does not begin as what age encrypts does.", TYPED)
    return content


def key_of(request: Request) -> bytes:
    """Return the private key from the file that IDENTITY names, else as it is typed; raise Problem for what is none."""
    given = request.environment.get("IDENTITY", "")
    if not given and not sys.stdin.isatty():
        raise Problem("IDENTITY names no file, and nobody is at a terminal to type the key.", TYPED)
    try:
        key = (
            Path(given).expanduser().read_bytes()
            if given
            else getpass.getpass("The private key (AGE-SECRET-KEY-1…), which is not shown: ").encode()
        )
    except OSError as error:
        raise Problem(f"The key file {given} cannot be read: {error.strerror}.", TYPED) from None
    if b"AGE-SECRET-KEY-1" not in key:
        raise Problem(
            f"{given or 'What was typed'} is no private key of age: none of its lines begins with AGE-SECRET-KEY-1.",
            "decrypt a key file that is encrypted itself first, into memory: "
            "make recover KIT=FILE IDENTITY=<(age --decrypt KEYFILE)",
        )
    return key.strip() + b"\n"


def open_kit(request: Request, done: Prepared, sealed: bytes, key: bytes) -> Kit:
    """Return what is in the kit; raise Problem where the key is another, or it is not of the stack that is named."""
    virtualenv.enter(request.places)
    from infra import images

    base = {"BASE_IMAGE": request.wish().base_image, "PACKAGES": ""}
    folder = request.places.repository / "backup"
    context = {path.relative_to(folder).as_posix(): path for path in images.files(folder)}
    with request.terminal.step("kit", "opened by age, in an image of its own") as step:
        image = opening.image(done.daemon, context, base, step)
        opened = kit.opened(opening.opened(done.daemon, image, sealed, key))
        step.outcome = f"of the stack {opened.about.stack}, made {opened.about.made_at} on {opened.about.by}"
    named = request.environment.get("STACK")
    if named and named != opened.about.stack:
        raise Problem(
            f"STACK is {named!r}, and the kit is of the stack {opened.about.stack!r}: a state keeps its name.",
            f"make recover STACK={opened.about.stack} KIT=FILE IDENTITY=KEYFILE",
        )
    return opened


def begin(request: Request, opened: Kit, *, only_state: bool) -> Begun:
    """Return the recovery that goes on, or one that begins; raise Refused where something is in its way."""
    former = recovering.read(request.places, request.stack)
    given = request.environment.get("BACKUP")
    if former and former.kit == opened.digest:
        request.terminal.note("going on with the recovery that was begun")
        if given == ARCHIVE != former.backup and former.state:
            raise Problem(
                f"BACKUP is {ARCHIVE!r}, and this recovery was begun from the backup {former.backup!r}: "
                "the archive goes on under another name since, and what it was has nothing to be restored into.",
                f"go on without BACKUP; or begin with an empty machine: {WHERE}",
            )
        # An archive that does not lead to its end leaves the backups.
        former = replace(former, backup=given or former.backup)
        recovering.write(request.places, request.stack, former)
        return former
    problems = in_the_way(request, opened, former, only_state=only_state)
    if problems:
        raise up.Refused(problems)
    begun = Begun(opened.digest, given or (ARCHIVE if in_settings(opened, "pitrS3Bucket") else LATEST))
    private_folder(request.places.state)
    recovering.write(request.places, request.stack, begun)
    return begun


def in_the_way(request: Request, opened: Kit, former: Begun | None, *, only_state: bool) -> list[Problem]:
    """Return why nothing is begun: something of the stack is here, or its data cannot be had this way."""
    places, stack = request.places, request.stack
    found = []
    if former:
        file = recovering.file_of(places, stack)
        found.append(Problem(f"A recovery with another kit was begun here ({file}).", f"go on with that kit; {WHERE}"))
    local = stacks.is_local(request.environment, places)
    if local and state.read(places.backend, stack).exists:
        found.append(
            Problem(
                f"The state in {places.backend} knows a stack {stack} already.", f"make status STACK={stack}; {WHERE}"
            )
        )
    if places.stack_file(stack).exists():
        found.append(Problem(f"{places.stack_file(stack)} is there already.", f"move it away; {WHERE}"))
    passphrase = opened.files[kit.PASSPHRASE].decode().strip()
    here = read_text_or_none(places.passphrase)
    if here is not None and here.strip() != passphrase:
        found.append(Problem(f"{places.passphrase} is there already, and is another one than the kit's.", WHERE))
    if stacks.names_passphrase(request.environment):
        found.append(
            Problem(
                "The environment names a passphrase of its own, and the kit brings one.",
                "unset PULUMI_CONFIG_PASSPHRASE and PULUMI_CONFIG_PASSPHRASE_FILE",
            )
        )
    return found if only_state else [*found, *on_the_platform(request, opened)]


def on_the_platform(request: Request, opened: Kit) -> list[Problem]:
    """Return why the data cannot be loaded: the stack runs still, on a cluster, or has no bucket."""
    stack = request.stack
    alone = f"{TYPED} ARGS={ONLY_STATE}"
    if opened.about.platform != "docker":
        return [
            Problem(
                f"The stack {stack} is on {opened.about.platform}: what a cluster has is not lost with this machine.",
                f"{alone} brings state, passphrase and settings back, and make up STACK={stack} goes on from them. "
                "Where the claim of the database is lost too, load a backup into the new one: docs/operations.md",
            )
        ]
    client = daemon_of(request)
    there = [*(each.name for each in of_stack(client, stack)), *volumes_of(client, stack)]
    found = []
    if there:
        found.append(
            Problem(
                f"Something of the stack {stack} is on this Docker daemon: {', '.join(there)}. "
                "What is there is not touched by a recovery.",
                f"to go on with it: {alone}, then make up STACK={stack}; to begin without it, remove it",
            )
        )
    given = request.environment.get("BACKUP")
    kinds = {ARCHIVE: "pitrS3Bucket", None: "pitrS3Bucket, backupS3Bucket"}
    wanted = kinds.get(given or None, "backupS3Bucket")
    if not any(in_settings(opened, key) for key in wanted.split(", ")):
        found.append(
            Problem(
                f"The stack {stack} has no bucket ({wanted}) to fetch its data from.",
                f"{alone}, then make up STACK={stack}, and load a backup that you have: docs/operations.md",
            )
        )
    return found


def in_settings(opened: Kit, key: str) -> str:
    """Return a setting of the stack as the kit has it, or nothing."""
    return preflight.setting(key, opened.files[kit.STACK_FILE].decode()) or ""


def put_back(request: Request, opened: Kit, begun: Begun, *, only_state: bool) -> Stack:
    """Put passphrase, settings and state back, each only where it is not yet, and return the stack."""
    places, name = request.places, request.stack
    create_private(places.passphrase, opened.files[kit.PASSPHRASE])
    if not places.stack_file(name).exists():
        if kit.TAKEN in opened.files:
            write_atomically(places.taken_file(name), opened.files[kit.TAKEN], 0o600)
        write_atomically(places.stack_file(name), opened.files[kit.STACK_FILE], 0o600)
    # From here on the settings say what this machine needs.
    done = prepared(request) if only_state else up.ready(request)
    stack = stacks.existing(name, places, done)
    if stacks.is_local(stack.environment, places):
        private_folder(places.backend)
    # Its name first: without one Pulumi reads nothing in its settings, with which the passphrase is tried.
    if not stack.known().exists:
        stacks.create(stack)
    stack = stacks.get_open(name, places, done, request.terminal)
    if begun.state:
        return stack
    exported = opened.files[kit.STATE].decode()
    document = exported if only_state else anew.without_the_machine(exported)
    try:
        stack.ask("stack", "import", "--stack", name, stdin=document)
    except Failed as error:
        raise Problem(f"Pulumi could not take the state:\n{error.words}", "mend that and run this again") from error
    recovering.write(places, name, replace(begun, state=True))
    request.terminal.note(f"state, passphrase and settings of the stack {name} are back in {places.state}")
    return stack


def make_anew(request: Request, stack: Stack, opened: Kit, begun: Begun, key: bytes) -> int:
    """Run the update that brings the data back before anything serves, and return its exit code."""
    virtualenv.enter(request.places)
    from infra import archive, recovery

    pinned = kept.pinned(request)
    if pinned:
        stack.unset(kept.SETTING)
        request.terminal.note(f"it was pinned to the release {pinned}, whose image is lost; the clone's is made")
    # A new database begins on its first volume; an archive that was on a volume is lost.
    whole = begun.backup == ARCHIVE
    restored = f"{generations.FIRST}@{LATEST}" if whole else ""
    generations.write(stack, generations.of(request), Generations(generations.FIRST, (), restored))
    if not whole:
        archive_anew(request, stack, opened)
    loading = {} if whole else {recovery.VARIABLE: begun.backup}
    job = archive.RESTORE if whole else recovery.NAME
    with contextlib.nullcontext() if whole else handing.handed(request, key):
        code = up.update(request, replace(stack, environment={**stack.environment, **loading}))
    if code != 0:
        request.terminal.say("The same command goes on from here; nothing else may be done with the stack before.")
        if whole and in_settings(opened, "backupS3Bucket"):
            request.terminal.say("With BACKUP=latest it takes the newest backup, and not what the archive has.")
        return code
    for line in loaded(handing.said(request, job)):
        request.terminal.say(line)
    recovering.end(request.places, request.stack)
    request.terminal.say("Then: make backup, and make recovery-kit, since this machine is a new one.")
    return 0


def archive_anew(request: Request, stack: Stack, opened: Kit) -> None:
    """Have the archive in a bucket begin anew: what is there is another cluster's, and stays as it is."""
    if not in_settings(opened, "pitrS3Bucket"):
        return
    from infra import archive

    former, current = in_settings(opened, PREFIX), preflight.setting(PREFIX, read_text_or_none(stack.file)) or ""
    wanted = prefix_anew(former, current)
    if wanted != current:
        stack.set(PREFIX, wanted)
    request.terminal.note(
        f"the archive begins anew below {wanted} in its bucket; "
        f"what is below {former or archive.FIRST_PREFIX} stays, and nothing gives it up"
    )


def prefix_anew(former: str, current: str) -> str:
    """Return the prefix for an archive that begins anew: the one after the kit's, or what has been set since.

    What comes after an old kit's may be in use, by an archive that began anew before; then somebody names another.
    """
    from infra import archive

    return archive.prefix_after(former) if current == former else current


def loaded(lines: Sequence[str]) -> list[str]:
    """Return in words what the job that loads said last."""
    found = []
    for line in lines:
        try:
            told = json.loads(line)
            event, level = str(told["event"]), str(told["level"])
        except (ValueError, KeyError, TypeError):
            continue
        if level == "warning":
            found.append(f"Look: {event}")
        elif "id" in told and "of" in told:
            found.append(f"Loaded: the backup {told['id']}, {told['rows']} rows in {told['tables']} tables.")
            found.append(f"It is of {told['of']}; what came after that is lost.")
        elif event.startswith(LAST_COMMIT):
            found.append(f"The archive's last commit is of {event.removeprefix(LAST_COMMIT)}; what came after is lost.")
        elif "along" in told:
            rows, tables = (sum(told[each].values()) for each in ("rows", "tables"))
            found.append(f"Restored: the archive to its end, {rows} rows in {tables} tables, each page looked at.")
    return found
