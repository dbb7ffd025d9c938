"""The Debian image that every other one is built from."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from setup import apt, certificates
from setup.daemon import Daemon, DaemonError, name_in_path
from setup.facts import find
from setup.places import Places
from setup.problem import Problem
from setup.processes import Failed, follow, run
from setup.terminal import Progress

FIRST_ANSWER_SECONDS = 20.0
SILENCE_SECONDS = 60.0
MAKE_SECONDS = 900
CHECK_SECONDS = 60.0
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SUITE = re.compile(r"^debian:([a-z]+)(-slim)?$")
# What apt on this machine was told about reaching and believing mirrors holds for the same mirrors from inside.
APT_SETTINGS = re.compile(
    r"^Acquire::(?:https?::Proxy|http::Pipeline-Depth|Check-Valid-Until|Check-Date|Retries|ForceIPv4|Max-FutureTime)\b"
    r'.* ".+";$'
)
LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
KEPT_IN = ("/usr/share/doc/*/copyright", "/usr/share/locale/locale.alias")
CHECK_LABEL = "scaffold.setup"
CHECK = "test -s /etc/ssl/certs/ca-certificates.crt && apt-get --version >/dev/null"


def ensure(
    image: str, daemon: Daemon, places: Places, environment: Mapping[str, str], offline: bool, progress: Progress
) -> str:
    """Pull the image, or make it from Debian's packages, and return how it came; raise Problem when neither works."""
    if daemon.exists(f"/images/{name_in_path(image)}/json"):
        return f"{image} is present"
    refusal = "this machine is set to be offline"
    if not offline:
        try:
            pull(image, daemon, progress)
        except (DaemonError, OSError) as error:
            refusal = str(error)
        else:
            return f"{image} pulled"
    suite = SUITE.match(image)
    if suite is None:
        raise Problem(
            f"The base image {image} is not present and cannot be pulled ({refusal}).",
            "load it (docker load, docker pull), or set baseImage to debian:trixie-slim, which can be made here",
        )
    make(image, suite[1], daemon, places, environment, progress)
    return f"{image} made from Debian's packages (it could not be pulled: {first_line(refusal)})"


def pull(image: str, daemon: Daemon, progress: Progress) -> None:
    """Pull the image; raise DaemonError, or OSError when the registry falls silent."""
    progress(f"pulling {image}")
    repository, _, tag = image.partition(":")
    timeout = FIRST_ANSWER_SECONDS
    for told in daemon.stream("/images/create", timeout=timeout, fromImage=repository, tag=tag or "latest"):
        progress(f"pulling {image}: {told.get('status', '')} {told.get('progress', '')}".strip())


def make(
    image: str, suite: str, daemon: Daemon, places: Places, environment: Mapping[str, str], progress: Progress
) -> None:
    """Make the image with mmdebstrap, import it under its name, and see that a container runs on it."""
    log = places.logs / "base-image.log"
    get_ready(environment, progress, log)
    with tempfile.TemporaryDirectory(prefix="scaffold-base-") as folder:
        archive = Path(folder) / "base.tar"
        trusted = write_certificates(certificates.beyond_the_usual(environment), Path(folder))
        command = mmdebstrap(suite, archive, trusted, apt_settings(Path(folder)))
        progress("making a small Debian from its packages")
        try:
            own = {**environment, "TMPDIR": folder}
            follow(as_can(command, own), MAKE_SECONDS, progress, environment=own, log=log, grace=60)
        except Failed as error:
            raise Problem(
                f"{image} could neither be pulled nor made from Debian's packages:\n{apt.last_words(error.words)}",
                f"see {log}; mmdebstrap has to reach a Debian mirror (apt's own settings and proxies are used)",
            ) from error
        progress(f"importing {image}")
        repository, _, tag = image.partition(":")
        with archive.open("rb") as content:
            told = daemon.stream(
                "/images/create",
                body=content,
                timeout=300,
                fromSrc="-",
                repo=repository,
                tag=tag,
                changes='CMD ["bash"]',
            )
            for _ in told:
                pass
    progress("trying it")
    check(image, daemon)


def as_can(command: list[str], environment: Mapping[str, str]) -> list[str]:
    """Return the command with sudo before it where there is one: without root it depends on how the kernel is set."""
    return apt.as_root(command, environment) if os.geteuid() == 0 or find("sudo", environment) else command


def get_ready(environment: Mapping[str, str], progress: Progress, log: Path) -> None:
    """Install mmdebstrap and Debian's archive keys where they are missing; raise Problem where that cannot be done."""
    missing = [] if find("mmdebstrap", environment) else ["mmdebstrap"]
    missing += [] if KEYRING.exists() else ["debian-archive-keyring"]
    if not missing:
        return
    if not find("apt-get", environment):
        raise Problem(
            "The base image can neither be pulled nor made here: that needs mmdebstrap.",
            "install mmdebstrap and debian-archive-keyring by hand, or load the image: docker load -i FILE",
        )
    apt.get_permission(environment)
    apt.install(missing, environment, progress, log)


def mmdebstrap(suite: str, archive: Path, certificate_files: Sequence[Path], settings: Path | None) -> list[str]:
    """Return the command that makes the archive; the mirror is its default unless apt here uses another."""
    command = ["mmdebstrap", "--variant=minbase", "--include=ca-certificates", "--format=tar"]
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    command += [f"--dpkgopt=path-include={pattern}" for pattern in KEPT_IN]
    if settings:
        command.append(f"--aptopt={settings}")
    for file in certificate_files:
        quoted = shlex.quote(str(file))
        command.append(f"--customize-hook=upload {quoted} /usr/local/share/ca-certificates/{file.name}")
    if certificate_files:
        command.append('--customize-hook=chroot "$1" update-ca-certificates')
    return [*command, suite, str(archive), *mirrors(suite)]


def mirrors(suite: str) -> list[str]:
    """Return the Debian mirror that apt uses on this machine as mmdebstrap wants it, or nothing for the default one."""
    release = Path("/etc/os-release")
    if not release.exists() or "ID=debian\n" not in release.read_text() + "\n":
        return []
    for line in source_lines():
        found = re.match(r"deb\s+(?:\[[^]]*\]\s+)?(https?://\S*/debian/?)\s+\w+\s+main\b", line)
        if found:
            return [f"deb {found[1]} {suite} main", f"deb {found[1]} {suite}-updates main", *security_mirror(suite)]
    return []


def security_mirror(suite: str) -> list[str]:
    """Return the line for the mirror of security updates that apt uses on this machine."""
    for line in source_lines():
        found = re.match(r"deb\s+(?:\[[^]]*\]\s+)?(https?://\S*/debian-security/?)\s+\S+\s+main\b", line)
        if found:
            return [f"deb {found[1]} {suite}-security main"]
    return []


def source_lines(folder: Path = Path("/etc/apt")) -> Iterator[str]:
    """Yield apt's sources in the one-line form, translated from the other form where they are written in that."""
    for file in [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]:
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if file.suffix == ".sources":
            yield from translated(text)
        else:
            yield from (line for line in text.splitlines() if line.startswith("deb "))


def translated(text: str) -> Iterator[str]:
    """Yield one-line sources for the stanzas of a deb822 file."""
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        for line in stanza.splitlines():
            name, colon, value = line.partition(":")
            if colon and not line.startswith(("#", " ")):
                fields[name.strip().lower()] = value.strip()
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() != "no":
            for address in fields.get("uris", "").split():
                for suite in fields.get("suites", "").split():
                    yield f"deb {address} {suite} {fields.get('components', '')}".rstrip()


def apt_settings(folder: Path) -> Path | None:
    """Write apt's settings for reaching mirrors to a file and return it, or None where there are none or no apt is."""
    with contextlib.suppress(Failed, OSError):
        lines = [line for line in run(["apt-config", "dump"], timeout=30).splitlines() if APT_SETTINGS.match(line)]
        if lines:
            path = folder / "apt.conf"
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
            return path
    return None


def write_certificates(texts: Mapping[str, str], folder: Path) -> list[Path]:
    """Write the certificates as files and return their paths."""
    written = []
    for name, text in texts.items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def check(image: str, daemon: Daemon) -> None:
    """Run a container on the image; raise Problem, and take the image's name away again, when that fails."""
    labels = {CHECK_LABEL: "1"}
    body = {"Image": image, "Cmd": ["sh", "-c", CHECK], "NetworkDisabled": True, "Labels": labels}
    created = daemon.post("/containers/create", body)
    identifier = created["Id"]
    words = ""
    try:
        daemon.post(f"/containers/{identifier}/start")
        code = daemon.post(f"/containers/{identifier}/wait", timeout=CHECK_SECONDS)["StatusCode"]
        if code != 0:
            words = f"exit code {code}"
    except (DaemonError, OSError, http.client.HTTPException) as error:
        words = str(error)
    finally:
        daemon.delete(f"/containers/{identifier}", force="1", v="1")
    if words:
        daemon.delete(f"/images/{name_in_path(image)}")
        raise Problem(
            f"{image} was made, and no container runs on it: {words}",
            "try `docker run` by hand; the log names what failed",
        )


def first_line(words: str) -> str:
    """Return the first line of what was said, at a readable length."""
    line = words.strip().splitlines()[0] if words.strip() else "no reason given"
    return line if len(line) <= 120 else f"{line[:117]}..."
