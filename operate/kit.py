"""The recovery kit of a stack: what is in it, as one archive, and what it says to whoever opens it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from setup.problem import Problem

SCHEMA = 1
ABOUT, README = "kit.json", "README.txt"
STATE, PASSPHRASE, STACK_FILE, TAKEN = "state.json", "passphrase", "stack.yaml", "taken.json"
NEEDED = (STATE, PASSPHRASE, STACK_FILE)
MOST_BYTES = 256 << 20
OTHER_KIT = "name the file that make recovery-kit wrote, and the key that it was encrypted to"

TEXT = """\
The recovery kit of the stack {stack} ({site}), made {made_at} on {by}.

It is what a machine that was lost takes with it beside the data: with this, the bucket of backups and the private key
that both are encrypted to, an empty machine becomes the same site. Keep it as secret as the site: whoever has what is
in here has every key of it.

  {state:<12} Pulumi's state: the generated keys and passwords are in it, encrypted with the passphrase
  {passphrase:<12} the passphrase
  {stack_file:<12} the settings of the stack, Pulumi.{stack}.yaml; the secrets in it are encrypted likewise
  {taken:<12} what those settings last took from the clone
  {about:<12} what this is, and a hash of each file

THE WAY BACK
On an empty machine with Debian or Ubuntu, as root or with sudo, in a clone of this project
(revision {revision}, or a later one):

    make recover KIT=FILE IDENTITY=KEYFILE

FILE is the encrypted kit, KEYFILE has the private key (AGE-SECRET-KEY-1...). It brings state, passphrase and settings
back, makes the stack anew, and brings its data back from
{bucket}
before anything serves: from the archive all that was committed, else the newest good backup. It says what it loaded.
Cut off, the same command goes on. BACKUP=latest takes the newest backup in any case, BACKUP=ID another one.

BY HAND, WITHOUT THAT COMMAND
The archive opens with age and tar; the state, with Pulumi:

    age --decrypt --identity KEYFILE FILE | tar -xz
    export PULUMI_CONFIG_PASSPHRASE_FILE="$PWD/passphrase" PULUMI_BACKEND_URL="file://$HOME/backend?metadata=skip"
    mkdir -p "$HOME/backend"
    cp {stack_file} CLONE/Pulumi.{stack}.yaml && cd CLONE
    pulumi stack init {stack}
    pulumi stack import --stack {stack} --file FOLDER/{state}
    pulumi stack export --stack {stack} --show-secrets      # every key, in the clear
    pulumi config --stack {stack} --show-secrets            # the bucket's key among them

A backup is a folder in the bucket; its dump opens and loads with

    age --decrypt --identity KEYFILE --output database.dump database.dump.age
    pg_restore --no-owner --single-transaction --exit-on-error --dbname=URL database.dump

An archive in a bucket is pgBackRest's (stanza main, repo1-cipher-type aes-256-cbc); the key archive-passphrase of the
state is its repo1-cipher-pass.
"""


@dataclass(frozen=True)
class About:
    """What a kit is of: the stack, where its backups are, and which clone made it, by whom and when."""

    stack: str
    made_at: str
    by: str
    revision: str
    platform: str
    site: str
    bucket: str
    schema: int = SCHEMA
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Kit:
    """A kit that was opened: what it is of, and its files; its secrets show up in no representation of it."""

    about: About
    files: Mapping[str, bytes] = field(repr=False)

    @property
    def digest(self) -> str:
        """What tells one kit from another."""
        told = {name: digest(content) for name, content in self.files.items()}
        return digest(json.dumps(told, sort_keys=True).encode())


def packed(about: About, files: Mapping[str, bytes]) -> bytes:
    """Return the archive of a kit, with its files' hashes and a page for whoever opens it."""
    hashes = {name: digest(content) for name, content in files.items()}
    document = json.dumps({**asdict(about), "files": hashes}, indent=1, sort_keys=True).encode() + b"\n"
    return archive({README: readme(about).encode(), ABOUT: document, **files})


def readme(about: About) -> str:
    """Return the page that tells the way back."""
    return TEXT.format(
        stack=about.stack,
        site=about.site or "no address",
        made_at=about.made_at,
        by=about.by,
        revision=about.revision or "unknown",
        bucket=about.bucket or "the bucket of backups (none was set when this was made)",
        about=ABOUT,
        passphrase=PASSPHRASE,
        stack_file=STACK_FILE,
        state=STATE,
        taken=TAKEN,
    )


def archive(files: Mapping[str, bytes]) -> bytes:
    """Return files as a compressed archive, in which each is for its owner alone."""
    target = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=target, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as made,
    ):
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o600
            made.addfile(entry, io.BytesIO(content))
    return target.getvalue()


def opened(content: bytes) -> Kit:
    """Return the kit that an archive holds; raise Problem for anything else, or one that is damaged."""
    files = unpacked(content)
    try:
        document: dict[str, Any] = json.loads(files.pop(ABOUT))
        about = About(**document)
    except (KeyError, TypeError, ValueError):
        raise Problem(
            f"The kit has no {ABOUT} that can be read: it is something else, or damaged.", OTHER_KIT
        ) from None
    if about.schema != SCHEMA:
        raise Problem(
            f"The kit is of form {about.schema}; {SCHEMA} is known here.",
            f"use the version that wrote it: git checkout {about.revision or 'REVISION'}",
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", about.stack, re.ASCII):
        raise Problem(f"The kit is of a stack {about.stack!r}, which is no stack's name.", OTHER_KIT)
    wrong = [name for name, wanted in about.files.items() if digest(files.get(name, b"")) != wanted]
    missing = [name for name in NEEDED if name not in about.files]
    if wrong or missing:
        raise Problem(f"The kit is damaged: {', '.join(sorted({*wrong, *missing}))}.", OTHER_KIT)
    return Kit(about, {name: files[name] for name in about.files})


def unpacked(content: bytes) -> dict[str, bytes]:
    """Return the files of an archive, of which none may have a folder or be anything but a file."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as made:
            for entry in made:
                source = made.extractfile(entry) if entry.isreg() and "/" not in entry.name else None
                if source is None or entry.size > MOST_BYTES:
                    raise Problem(f"The kit has an entry {entry.name!r} that is none of a kit's.", OTHER_KIT)
                found[entry.name] = source.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise Problem(f"What the kit decrypts to is no archive: {error}.", OTHER_KIT) from None
    return found


def digest(content: bytes) -> str:
    """Return a file's SHA-256."""
    return hashlib.sha256(content).hexdigest()
