"""A machine with a fresh clone and nothing of a stack on it, and the verbs that a person types there, as they are."""

from __future__ import annotations

import base64
import contextlib
import http.cookiejar
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path

from scaffold.factors import totp

from setup.facts import REQUIREMENTS, packages_digest
from tests.backup.store import BUCKET, KEY_ID, SECRET, OnTheMachine
from tests.conftest import ROOT
from tests.e2e.site import toolchain

VERB_SECONDS = 1800
PASSWORD = "violet tractors hum quietly"
ERROR_WORDS = 6000


@dataclass
class Machine:
    """What one machine has: folders of its own for state and cache, and a clone."""

    folder: Path
    stack: str
    clone: Path

    @property
    def state(self) -> Path:
        """The folder whose loss is the machine's."""
        return self.folder / "state" / "scaffold"

    def environment(self) -> dict[str, str]:
        """Return the environment of whoever types there."""
        own = toolchain()
        for name in [each for each in own if each.startswith(("PULUMI_", "SCAFFOLD_", "VIRTUAL_", "XDG_"))]:
            if name != "SCAFFOLD_PULUMI":
                del own[name]
        return own | {
            "HOME": str(self.folder),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "STACK": self.stack,
        }

    def types(self, *words: str, said: str = "", check: bool = True, **more: str) -> str:
        """Type a verb and return all that it says; fail where it fails, unless that is looked at."""
        done = subprocess.run(
            [sys.executable, "-m", "operate", *words],
            input=said, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=VERB_SECONDS, check=False,
            cwd=self.clone, env=self.environment() | more,
        )  # fmt: skip
        if check:
            assert done.returncode == 0, f"{' '.join(words)}: {done.stdout[-ERROR_WORDS:]}"
        else:
            assert done.returncode != 0, f"{' '.join(words)} went well: {done.stdout[-ERROR_WORDS:]}"
        return done.stdout

    def is_killed_at(self, moment: Callable[[], object], *words: str, **more: str) -> None:
        """Type a verb, and have it and all that it started killed at a moment."""
        process = subprocess.Popen(
            [sys.executable, "-m", "operate", *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            cwd=self.clone, env=self.environment() | more,
        )  # fmt: skip
        deadline = time.monotonic() + VERB_SECONDS
        try:
            while not moment():
                assert process.poll() is None, f"{' '.join(words)} ended before that"
                assert time.monotonic() < deadline, f"{' '.join(words)} never came so far"
                time.sleep(0.1)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)

    def sets(self, key: str, value: str, *options: str) -> None:
        """Set a setting; a secret is piped in, so that no list of processes shows it."""
        secret = "--secret" in options or "\n" in value
        words = ("config", "set", *options, key, *(() if secret else (value,)))
        self.types(*words, said=value if secret else "")


def clone(folder: Path) -> Path:
    """Make a clone, in which the packages are those that the tests have; return its folder."""
    left_out = shutil.ignore_patterns(".git", ".venv", "artefacts", "tests", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, folder, ignore=left_out)
    venv = folder / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True, timeout=300)
    (packages,) = venv.glob("lib/python*/site-packages")
    packages.rmdir()
    packages.symlink_to(sysconfig.get_path("purelib"))
    (venv / ".scaffold-requirements").write_text(packages_digest(folder, REQUIREMENTS))
    return folder


@dataclass
class Telephone:
    """An authenticator app, which knows the codes that it has given."""

    seed: bytes
    step: int = 0

    def code(self) -> str:
        """Return a code that was not given yet: the clock's, or one that is ahead of it."""
        self.step = max(self.step + 1, totp.step_at(time.time()))
        return totp.code(self.seed, self.step)


class Somebody:
    """Somebody at a browser without JavaScript, with cookies of their own."""

    def __init__(self, url: str) -> None:
        self.url = url
        jar = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(secure_protocols=("http", "https")))
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        self.path = self.page = ""

    def opens(self, path: str, **fields: str) -> str:
        """Open a page, or send the form of the page at hand to it; return the path that this led to."""
        form = {"csrf_token": self.hidden("csrf_token"), **fields} if fields else None
        data = urllib.parse.urlencode(form).encode() if form else None
        request = urllib.request.Request(self.url + path, data, {"Origin": self.url} if data else {})
        try:
            with self.opener.open(request, timeout=60) as answer:
                self.page, self.path = answer.read().decode(), urllib.parse.urlsplit(answer.url).path
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{path}: {error.code}: {error.read().decode()[-2000:]}") from None
        return self.path

    def hidden(self, name: str) -> str:
        """Return a hidden field of the page at hand."""
        found = re.search(rf'name="{name}" value="([^"]*)"', self.page)
        assert found, self.page
        return unescape(found[1])

    def enrols(self, email: str, issued: str) -> Telephone:
        """Sign in for the first time, choose a password, and return the new authenticator app."""
        self.opens("/auth/login/password")
        assert self.opens("/auth/login/password", email=email, password=issued) == "/auth/login/new-password"
        self.opens("/auth/login/new-password", password=PASSWORD, again=PASSWORD)
        found = re.search(r'<code class="letters">([A-Z2-7]+)</code>', self.page)
        assert found, self.page
        telephone = Telephone(base64.b32decode(found[1] + "=" * (-len(found[1]) % 8)))
        self.opens("/auth/login/enrol", code=telephone.code())
        return telephone

    def signs_in(self, email: str, telephone: Telephone) -> str:
        """Sign in with password and authenticator app, and return the page of one's own account."""
        self.opens("/auth/login/password")
        assert self.opens("/auth/login/password", email=email, password=PASSWORD) == "/auth/login/factor"
        self.opens("/auth/login/factor", code=telephone.code())
        assert self.opens("/account") == "/account"
        return self.page


@contextmanager
def bucket(folder: Path) -> Iterator[dict[str, str]]:
    """Serve S3 over TLS where containers reach this machine, and yield the settings that lead there."""
    server = OnTheMachine(folder)
    server.start()
    try:
        yield {
            "backupS3Bucket": BUCKET,
            "backupS3Endpoint": server.endpoint,
            "backupS3Prefix": "site",
            "backupS3Authorities": server.authorities,
            "backupS3AccessKey": KEY_ID,
            "backupS3SecretKey": SECRET,
        }
    finally:
        server.stop()


def age_key(folder: Path) -> tuple[Path, str]:
    """Make a key pair of age's kind; return the file with the private half, and the public half."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    key = X25519PrivateKey.generate()
    raw = serialization.Encoding.Raw
    private = key.private_bytes(raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
    public = key.public_key().public_bytes(raw, serialization.PublicFormat.Raw)
    file = folder / "backup.key"
    file.write_text(f"# made for a test\n{bech32('age-secret-key-', private).upper()}\n")
    file.chmod(0o600)
    return file, bech32("age", public)


LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def bech32(prefix: str, data: bytes) -> str:
    """Return bytes in the letters that age writes its keys in (BIP 173)."""
    bits = int.from_bytes(data, "big") << (-len(data) * 8 % 5)
    values = [bits >> shift & 31 for shift in range((len(data) * 8 + 4) // 5 * 5 - 5, -1, -5)]
    head = [ord(letter) >> 5 for letter in prefix] + [0] + [ord(letter) & 31 for letter in prefix]
    check = 1
    for value in [*head, *values, 0, 0, 0, 0, 0, 0]:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for place, term in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= term if top >> place & 1 else 0
    check ^= 1
    return f"{prefix}1" + "".join(LETTERS[value] for value in [*values, *(check >> 5 * (5 - n) & 31 for n in range(6))])
