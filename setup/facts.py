"""What this machine has, gathered without changing it and without starting a program."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from setup import daemon
from setup.files import digest_of_files, read_text_or_none
from setup.places import Places

PLUGIN_PINS = {
    "pulumi-docker": "docker", "pulumi-kubernetes": "kubernetes", "pulumi-random": "random", "pulumi-tls": "tls",
}  # fmt: skip
LANGUAGE_HOST = "pulumi-language-python"
REQUIREMENTS = "requirements.txt"
KUBERNETES_REQUIREMENTS = "requirements-kubernetes.txt"
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/go/bin", "/usr/lib/go/bin")
VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")

Version = tuple[int, int, int]


@dataclass(frozen=True)
class Machine:
    """The operating system, and what this user may do on it."""

    system: str
    distribution: str
    description: str
    root: bool
    sudo: bool
    apt: bool
    service_manager: str
    python: tuple[int, int]
    ensurepip: bool
    route: bool
    offline: bool


@dataclass(frozen=True)
class Packages:
    """The Python packages: a digest of what is pinned, and the one that the virtual environment was made from."""

    wanted: str
    installed: str | None
    broken: bool = False

    @property
    def complete(self) -> bool:
        """Whether what is pinned is installed."""
        return self.installed == self.wanted and not self.broken


@dataclass(frozen=True)
class Toolchain:
    """Pulumi's command line and plugins, wanted and found; versions as the pins say them."""

    version: str
    plugins: Mapping[str, str]
    named_cli: str | None
    cli_on_path: str | None
    cli_on_path_version: Version | None
    cached_cli: Path | None
    cached_cli_official: bool
    plugins_on_path: bool
    language_beside_cli: bool
    plugins_in_user_home: Path | None
    installed_plugins: str | None
    wanted_plugins: str
    go: str | None


@dataclass(frozen=True)
class Docker:
    """The daemon: `running`, `forbidden` or `away`; what is known of it, and how it might be started."""

    endpoint: daemon.Endpoint
    state: str
    local: bool
    program: str | None
    version: str = ""
    folder: str = "/var/lib/docker"
    base_image: bool | None = None
    built_images: bool = False


@dataclass(frozen=True)
class Space:
    """Free bytes of the file system that holds a folder."""

    purpose: str
    path: Path
    free: int
    device: int


@dataclass(frozen=True)
class Facts:
    """Everything that the plan is made from."""

    machine: Machine
    packages: Packages
    toolchain: Toolchain
    docker: Docker
    space: Sequence[Space]
    base_image: str


def gather(places: Places, environment: Mapping[str, str], requirements: str, base_image: str) -> Facts:
    """Look at the machine; raise Problem only where the user's own settings cannot be understood."""
    docker = docker_facts(environment, base_image)
    return Facts(
        machine=machine_facts(environment),
        packages=packages_facts(places, requirements),
        toolchain=toolchain_facts(places, environment, requirements),
        docker=docker,
        space=space_facts({"Docker": Path(docker.folder), "the cache": places.cache, "the state": places.state}),
        base_image=base_image,
    )


def machine_facts(environment: Mapping[str, str]) -> Machine:
    """Return the operating system, and what this user may do on it."""
    release = os_release()
    return Machine(
        system=platform.system(),
        distribution=f"{release.get('ID', '')} {release.get('ID_LIKE', '')}".strip(),
        description=release.get("PRETTY_NAME", "") or platform.platform(terse=True),
        root=os.geteuid() == 0,
        sudo=find("sudo", environment) is not None,
        apt=find("apt-get", environment) is not None,
        service_manager=service_manager(environment),
        python=sys.version_info[:2],
        ensurepip=importlib.util.find_spec("ensurepip") is not None,
        route=has_route() or any(environment.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY")),
        offline=environment.get("SCAFFOLD_OFFLINE", "").lower() in {"1", "true", "yes"},
    )


def os_release(path: Path = Path("/etc/os-release")) -> dict[str, str]:
    """Return the distribution's description of itself; empty where there is none."""
    pairs = (line.partition("=") for line in (read_text_or_none(path) or "").splitlines())
    return {key: value.strip().strip("\"'") for key, separator, value in pairs if separator}


def service_manager(environment: Mapping[str, str]) -> str:
    """Return `systemd` where it runs, `service` where a System V script can start Docker, else nothing."""
    if Path("/run/systemd/system").is_dir() and find("systemctl", environment):
        return "systemd"
    # Without an init system the script starts a daemon that nobody looks after, and hides its log; by hand is better.
    init = (read_text_or_none(Path("/proc/1/comm")) or "").strip()
    return "service" if init in {"init", "openrc-init"} and Path("/etc/init.d/docker").exists() else ""


def has_route(proc: Path = Path("/proc/net")) -> bool:
    """Return whether there is a default route, IPv4 or IPv6; where that cannot be seen, assume one."""
    four, six = read_text_or_none(proc / "route"), read_text_or_none(proc / "ipv6_route")
    if four is None and six is None:
        return True
    by_four = any(line.split()[1:2] == ["00000000"] for line in (four or "").splitlines()[1:])
    rows = [line.split() for line in (six or "").splitlines()]
    return by_four or any(row[:2] == ["0" * 32, "00"] and row[-1] != "lo" for row in rows if len(row) >= 10)


def packages_facts(places: Places, requirements: str) -> Packages:
    """Return the digest of the pins, and that of the virtual environment; it is broken when its interpreter is gone."""
    stamp = read_text_or_none(stamp_of_packages(places))
    return Packages(
        wanted=packages_digest(places.repository, requirements),
        installed=stamp.strip() if stamp else None,
        broken=places.venv.exists() and not places.python.exists(),
    )


def packages_digest(repository: Path, requirements: str) -> str:
    """Return a digest of the pinned requirements and of the interpreter that would install them."""
    pinned = digest_of_files([repository / requirements], repository)
    return f"{pinned} {sys.implementation.cache_tag}"


def stamp_of_packages(places: Places) -> Path:
    """Return the file that says what the virtual environment was made from."""
    return places.venv / ".scaffold-requirements"


def requirements_for(platform: str, places: Places) -> str:
    """Return the requirements of a stack on that platform; those of Kubernetes have the others' in them.

    They stay wanted where they have been installed once, so that one environment serves both: going from one to the
    other installs nothing, and the SDK, for whose plugin Pulumi looks wherever it finds it, stays as it is pinned.
    """
    return KUBERNETES_REQUIREMENTS if platform == "kubernetes" or sdk_of_kubernetes(places) else REQUIREMENTS


def sdk_of_kubernetes(places: Places) -> bool:
    """Return whether the virtual environment has Pulumi's SDK for Kubernetes."""
    return any((places.venv / "lib").glob("python*/site-packages/pulumi_kubernetes"))


def toolchain_facts(places: Places, environment: Mapping[str, str], requirements: str) -> Toolchain:
    """Return which command line and plugins are wanted for what is pinned, and found."""
    pins = pinned_versions(read_text_or_none(places.repository / requirements) or "")
    version = pins.get("pulumi", "")
    plugins = {plugin: pins[package] for package, plugin in PLUGIN_PINS.items() if package in pins}
    cached = places.toolchain / f"cli-{version}" / "bin" / "pulumi"
    official = cached.with_name("pulumi-language-python").exists()
    fitting = os.access(cached, os.X_OK) and (official or built_from_these_sources(cached))
    named = environment.get("SCAFFOLD_PULUMI") or None
    # What these commands put into the cache is no choice of the person's.
    folders = [
        part for part in environment.get("PATH", os.defpath).split(os.pathsep) if not _within(part, places.cache)
    ]
    path = os.pathsep.join(folders)
    on_path = named or shutil.which("pulumi", path=path)
    user_home = Path(environment.get("PULUMI_HOME") or Path(environment.get("HOME", "/")) / ".pulumi")
    in_home = all((user_home / "plugins" / f"resource-{name}-v{wanted}").is_dir() for name, wanted in plugins.items())
    return Toolchain(
        version=version,
        plugins=plugins,
        named_cli=named,
        cli_on_path=on_path,
        cli_on_path_version=version_of_cli(on_path, places.cache / "cli-versions.json") if on_path else None,
        cached_cli=cached if fitting else None,
        cached_cli_official=official,
        plugins_on_path=all(shutil.which(program, path=path) for program in programs_of(plugins)),
        language_beside_cli=shutil.which(LANGUAGE_HOST, path=path) is not None,
        plugins_in_user_home=user_home if plugins and in_home else None,
        installed_plugins=read_text_or_none(places.pulumi_home / ".scaffold-plugins"),
        wanted_plugins=plugins_digest(places),
        go=find("go", environment),
    )


def programs_of(plugins: Iterable[str]) -> list[str]:
    """Return the programs of the language host and of these plugins."""
    return [LANGUAGE_HOST, *(f"pulumi-resource-{name}" for name in plugins)]


def built_from_these_sources(cli: Path) -> bool:
    """Return whether the command line in the cache was built from what the clone pins now."""
    from offline import install

    return read_text_or_none(cli.with_name(f"{cli.name}.source")) == install.source_digest()


def pinned_versions(requirements: str) -> dict[str, str]:
    """Return name and version of each pinned package in the text of a requirements file."""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", requirements, re.MULTILINE))


def plugins_digest(places: Places) -> str:
    """Return a digest of the plugins' sources and of the interpreter that runs them, and their pins."""
    sources = places.repository / "offline"
    files = [path for path in sources.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    pins = [places.repository / name for name in (REQUIREMENTS, KUBERNETES_REQUIREMENTS)]
    files += [path for path in pins if path.exists()]
    return f"{digest_of_files(files, places.repository)} {places.python}"


def version_of_cli(path: str, memory: Path) -> Version | None:
    """Return the version of a Pulumi command line; asked once for each file, for asking takes a quarter of a second."""
    from setup.files import write_atomically
    from setup.processes import Failed, run

    try:
        status = Path(path).stat()
    except OSError:
        return None
    key = f"{Path(path).resolve()} {status.st_mtime_ns} {status.st_size}"
    try:
        known = json.loads(read_text_or_none(memory) or "{}")
    except ValueError:
        known = {}
    if key not in known:
        try:
            known = {key: run([path, "version"], timeout=20).strip()}
        except (Failed, OSError):
            return None
        write_atomically(memory, json.dumps(known).encode())
    return parse_version(known[key])


def parse_version(text: str) -> Version | None:
    """Return the three numbers of a version, or None where there are none."""
    found = VERSION.search(text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def docker_facts(environment: Mapping[str, str], base_image: str) -> Docker:
    """Return whether the daemon answers, and what it has."""
    endpoint = daemon.endpoint_from(environment)
    state = daemon.connectable(endpoint)
    program = find("dockerd", environment)
    local = bool(endpoint.socket)
    if state != "running":
        return Docker(endpoint, state, local, program)
    client = daemon.Daemon(endpoint)
    information = client.get("/info")
    return Docker(
        endpoint=endpoint,
        state=state,
        local=local,
        program=program,
        version=str(information.get("ServerVersion", "")),
        folder=str(information.get("DockerRootDir", "/var/lib/docker")),
        base_image=client.exists(f"/images/{daemon.name_in_path(base_image)}/json"),
        built_images=int(information.get("Images", 0)) > 1,
    )


def space_facts(folders: Mapping[str, Path]) -> list[Space]:
    """Return the free space for each folder, or for its nearest parent that exists."""
    found = []
    for purpose, folder in folders.items():
        existing = next(path for path in (folder, *folder.parents) if _seen(path))
        usage = os.statvfs(existing)
        found.append(Space(purpose, folder, usage.f_bavail * usage.f_frsize, existing.stat().st_dev))
    return found


def find(program: str, environment: Mapping[str, str]) -> str | None:
    """Return the path of a program, also from the folders that a plain user's PATH leaves out."""
    path = os.pathsep.join([environment.get("PATH", os.defpath), *SYSTEM_FOLDERS])
    return shutil.which(program, path=path)


def _within(part: str, folder: Path) -> bool:
    return Path(part).is_relative_to(folder)


def _seen(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return False
