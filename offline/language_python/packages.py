"""The installed packages, and the plugins they call for, read from their metadata without importing anything."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from pulumi.runtime.proto import plugin_pb2

PLUGIN_FILE = "pulumi-plugin.json"
WITHOUT_PLUGIN = frozenset({"pulumi-policy", "pulumi-esc-sdk"})
REQUIREMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class MetadataError(RuntimeError):
    """A package's metadata cannot be read."""


@dataclass(frozen=True)
class Package:
    """An installed distribution; the name is normalised."""

    name: str
    version: str
    requires: frozenset[str]
    plugin_file: Path | None


def normalise(name: str) -> str:
    """Return a distribution's name in its one canonical form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(search_path: Sequence[str]) -> list[Package]:
    """Return what is installed, by name; the first on the path wins, as at import."""
    found: dict[str, Package] = {}
    for distribution in distributions(path=list(search_path)):
        name = distribution.metadata["Name"]
        if name and normalise(name) not in found:
            found[normalise(name)] = Package(
                normalise(name),
                distribution.version,
                frozenset(_required(distribution)),
                _plugin_file(distribution),
            )
    return sorted(found.values(), key=lambda package: package.name)


def direct(packages: Sequence[Package]) -> list[Package]:
    """Return the packages that no other one requires: what somebody asked for by name."""
    required = frozenset(name for package in packages for name in package.requires)
    return [package for package in packages if package.name not in required]


def dependency(package: Package) -> plugin_pb2.PackageDependency | None:
    """Return the provider plugin a package calls for, None when it calls for none.

    Raises MetadataError when its pulumi-plugin.json cannot be read.
    """
    if package.name in WITHOUT_PLUGIN:
        return None
    stated: dict[str, object] = {}
    if package.plugin_file is not None:
        try:
            stated = json.loads(package.plugin_file.read_text())
        except (OSError, ValueError) as error:
            raise MetadataError(f"{package.plugin_file}: {error}") from error
        if not stated.get("resource"):
            return None
    elif not package.name.startswith("pulumi-"):
        return None
    version = str(stated.get("version") or "") or plugin_version(package.version)
    if version is None:
        return None
    made = plugin_pb2.PackageDependency(
        name=str(stated.get("name") or package.name.removeprefix("pulumi-")),
        kind="resource",
        version=version if version.startswith("v") else f"v{version}",
        server=str(stated.get("server") or ""),
    )
    for key, target in (("parameterization", made.parameterization), ("extensionParameterization", made.extension)):
        match stated.get(key):
            case {"name": str(name), "version": str(of), "value": str(value)}:
                target.CopyFrom(
                    plugin_pb2.PackageParameterization(name=name, version=of, value=base64.b64decode(value))
                )
    return made


def plugin_version(version: str) -> str | None:
    """Return a package's version (PEP 440) in the form plugins use (semver), None where there is no such form."""
    match = re.fullmatch(r"(\d+(?:\.\d+)*)(?:(a|b|rc)(\d+))?(?:\.post(\d+))?(?:\.dev(\d+))?", version)
    if match is None:
        return None
    release, stage, stage_number, post, dev = match.groups()
    numbers = release.split(".")
    text = ".".join([*numbers, "0", "0"][: max(3, len(numbers))])
    if stage:
        text += {"a": "-alpha.", "b": "-beta.", "rc": "-rc."}[stage] + stage_number
    build = (f"post{post}" if post else "") + (f"dev{dev}" if dev else "")
    return text + (f"+{build}" if build else "")


def _required(distribution: Distribution) -> Iterator[str]:
    for requirement in distribution.requires or ():
        condition = requirement.partition(";")[2]
        match = REQUIREMENT_NAME.match(requirement)
        if match and "extra" not in condition:
            yield normalise(match.group())


def _plugin_file(distribution: Distribution) -> Path | None:
    module = distribution.metadata["Name"].replace("-", "_")
    for name in dict.fromkeys([module, module.lower()]):
        file = Path(str(distribution.locate_file(name))) / PLUGIN_FILE
        if file.is_file():
            return file
    return None
