"""`make recovery-kit`: what an empty machine needs beside the backups, encrypted, in a file and in the bucket."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from pathlib import Path

from operate import anew, kit, platforms
from operate import stack as stacks
from operate.kit import About
from operate.request import Request
from operate.stack import Stack
from setup import virtualenv
from setup.files import read_text_or_none, write_atomically
from setup.problem import Problem
from setup.processes import Failed

KEYS = ("backup-signing", "factor-key", "secret-key")
"""What cannot be made again; a setting of the same purpose takes the place of either of the last two."""
OF_A_BUCKET = "archive-passphrase"
"""What an archive in a bucket is encrypted with, and cannot be read without."""
SEALED_ONLY = 3
SECONDS = 900
FIRST_LINE = b"age-encryption.org/v1\n"


def run(request: Request) -> int:
    """Write the kit, keep a copy in the bucket, and say how the way back is typed; return 0 when both are there."""
    if request.arguments:
        raise Problem(
            f"make recovery-kit takes no arguments, and got {' '.join(request.arguments)!r}.",
            f"make recovery-kit STACK={request.stack} TO=FILE",
        )
    now = datetime.datetime.now(datetime.UTC)
    name = f"{request.stack}-{now:%Y%m%dT%H%M%SZ}.kit"
    target = target_of(request, f"{name}.age")
    with request.alone():
        stack = stacks.existing(request.stack, request.places, platforms.ready_for(request))
        if not stack.known().exists:
            raise Problem(f"This state knows no stack {stack.name}.", f"make up STACK={stack.name} makes one")
        stacks.check_passphrase(stack)
        content = kit.packed(about(request, now), files_of(stack))
    sealed, stored = encrypted(request, name, content)
    write_atomically(target, sealed, 0o600)
    say = request.terminal.say
    say(f"The recovery kit of the stack {request.stack}: {target} ({len(sealed) // 1024 + 1} KiB)")
    if not stored:
        say("It is in no other place: copy it to one that outlives this machine. What is said above names why.")
    say(f"The way back, on an empty machine: make recover STACK={request.stack} KIT=FILE IDENTITY=KEYFILE")
    say("Make another one when keys, secrets or settings have changed: this one has what is so now.")
    return 0 if stored or not request.setting("backupS3Bucket") else 1


def target_of(request: Request, name: str) -> Path:
    """Return the file that the kit is written to: `TO`, one in that folder, or one in the home folder; never a link.

    Raise Problem where nothing can be written there.
    """
    home = Path(request.environment.get("HOME") or Path.home())
    given = request.environment.get("TO")
    wanted = Path(given).expanduser().absolute() if given else home
    target = wanted / name if wanted.is_dir() else wanted
    if not target.parent.is_dir() or not os.access(target.parent, os.W_OK) or target.is_symlink():
        raise Problem(f"TO is {given or str(home)!r}: no file can be written there.", "TO=FOLDER, or TO=FILE in one")
    return target


def about(request: Request, now: datetime.datetime) -> About:
    """Return what the kit says of itself."""
    virtualenv.enter(request.places)
    from infra import origin

    comes_from = origin.of(request.places.repository, request.environment)
    places = [
        f"s3://{bucket}/{(request.setting(f'{of}S3Prefix') or usual).strip('/')} ({what})"
        for of, what, usual in (("pitr", "the archive", "pitr"), ("backup", "the backups", ""))
        if (bucket := request.setting(f"{of}S3Bucket"))
    ]
    return About(
        stack=request.stack,
        made_at=now.isoformat(timespec="seconds"),
        by=comes_from.by,
        revision=comes_from.revision,
        platform=request.platform,
        site=request.setting("siteUrl") or "",
        bucket=" or ".join(places),
    )


def files_of(stack: Stack) -> dict[str, bytes]:
    """Return the files of the kit; raise Problem where what they hold could not be opened again."""
    settings = read_text_or_none(stack.file)
    passphrase = passphrase_of(stack)
    if settings is None or passphrase is None:
        raise Problem(
            f"{stack.file if settings is None else stacks.passphrase_source(stack.environment)} is not there.",
            f"make up STACK={stack.name} makes what can be made, or says what is lost",
        )
    try:
        exported = stack.ask("stack", "export", "--stack", stack.name)
        # Opened once, and forgotten: a kit whose secrets nobody can read is none.
        known = anew.holds_keys(stack.ask("stack", "export", "--show-secrets", "--stack", stack.name))
    except Failed as error:
        raise Problem(f"The state cannot be read:\n{error.words}", "mend that and run this again") from error
    configured = {"factor-key": "factorKey", "secret-key": "secretKey"}
    lost = [
        key
        for key in (*KEYS, *((OF_A_BUCKET,) if "scaffold:pitrS3Bucket:" in settings else ()))
        if not any(name == key or name.startswith(f"{key}-") for name in known)
        and f"scaffold:{configured.get(key, '-')}:" not in settings
    ]
    if lost:
        raise Problem(
            f"The state of the stack {stack.name} has no {', '.join(lost)}: there is nothing yet to come back to.",
            f"make up STACK={stack.name}",
        )
    taken = read_text_or_none(stack.places.taken_file(stack.name))
    found = {kit.STATE: exported, kit.PASSPHRASE: passphrase, kit.STACK_FILE: settings}
    if taken is not None:
        found[kit.TAKEN] = taken
    return {name: text.encode() for name, text in found.items()}


def passphrase_of(stack: Stack) -> str | None:
    """Return the passphrase in use, or None where there is none."""
    given = stack.environment.get("PULUMI_CONFIG_PASSPHRASE")
    if given is not None:
        return given
    return read_text_or_none(Path(stack.environment["PULUMI_CONFIG_PASSPHRASE_FILE"]))


def encrypted(request: Request, name: str, content: bytes) -> tuple[bytes, bool]:
    """Have the backup service encrypt the kit and store it; return it, and whether there is a copy in the bucket."""
    command = [sys.executable, "-m", "operate", "backups", "keep", name]
    environment = {**request.environment, "STACK": request.stack, "ARGS": ""}
    try:
        done = subprocess.run(
            command,
            input=content,
            stdout=subprocess.PIPE,
            timeout=SECONDS,
            check=False,
            cwd=request.places.repository,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        raise Problem(
            f"The backup service has not encrypted the kit within {SECONDS // 60} minutes. Nothing was written.",
            f"make logs STACK={request.stack} SERVICE=db-backup",
        ) from None
    if done.returncode not in (0, SEALED_ONLY) or not done.stdout.startswith(FIRST_LINE):
        raise Problem(
            "The backup service has not encrypted the kit; what it said is above. Nothing was written.",
            f"mend that and run this again; where no db-backup runs: make up STACK={request.stack}",
        )
    return done.stdout, done.returncode == 0
