"""The type `Image`: built from a folder, rebuilt in place whenever an input or a file of the folder changes."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from offline.docker.context import members
from offline.docker.diff import Diff
from offline.docker.ignore import Ignore
from offline.docker.reading import flag_of, mapping_of, text_of, texts_of
from offline.plugin.errors import PluginError
from offline.plugin.log import INFO, EngineLog
from offline.plugin.values import Properties, Secret, Unknown, Value, contains_unknown, reveal

if TYPE_CHECKING:
    from offline.docker.call import Call

TOKEN = "docker:index/image:Image"  # noqa: S105  a type's name
INPUTS = "__inputs"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def check(news: Properties, log: EngineLog, urn: str) -> Properties:
    """Fill in platform, Dockerfile and the digest of the context; raise PluginError for what cannot be built."""
    inputs: Properties = {key: value for key, value in news.items() if value is not None}
    written = inputs.get("build")
    if isinstance(written, Unknown):
        return inputs
    build: Properties = dict(written) if isinstance(written, dict) else {}
    context = text_of(build, "context") or "."
    build["context"] = context
    if not build.get("platform"):
        build["platform"] = f"linux/{ARCHITECTURES.get(platform.machine(), platform.machine())}"
        hint = "consider explicitly setting the `platform` field on ImageBuildOptions."
        log.write(
            INFO,
            f"Building your image for {build['platform']} architecture.\n"
            f"To ensure you are building for the correct platform, {hint}",
            urn,
        )
    if not contains_unknown(build.get("context")) and not contains_unknown(build.get("dockerfile")):
        dockerfile = text_of(build, "dockerfile") or os.path.normpath(os.path.join(context, "Dockerfile"))  # noqa: PTH118
        _must_exist(dockerfile)
        build["dockerfile"] = dockerfile
        build["contextDigest"] = context_digest(Path(context), Path(dockerfile))
    _must_be_canonical(inputs)
    return {"buildOnPreview": False, **inputs, "build": build}


def _must_exist(dockerfile: str) -> None:
    if Path(dockerfile).exists():
        return
    reason = f"stat {dockerfile}: no such file or directory"
    if Path(dockerfile).is_absolute():
        raise PluginError(f'expected a relative Dockerfile path; got "{dockerfile}" instead: {reason}')
    raise PluginError(f'could not open dockerfile at relative path "{dockerfile}": {reason}')


def _must_be_canonical(inputs: Mapping[str, Value]) -> None:
    """Raise PluginError for an image that shall be pushed and whose name does not say to which registry."""
    name = text_of(inputs, "imageName")
    first = name.partition("/")[0]
    if flag_of(inputs, "skipPush") or not name or ("/" in name and ("." in first or ":" in first)):
        return
    raise PluginError(
        f'"{name}": repository name must be canonical.\nThis resource requires all image names to be fully '
        "qualified: prefix the name with the host of your registry, or set `skipPush`"
    )


def context_digest(context: Path, dockerfile: Path) -> str:
    """Return a digest of the files of a context, their modes, the links, and the Dockerfile."""
    digest = hashlib.sha256()
    if context.is_dir():
        for name, path in members(context, Ignore.of(context)):
            status = path.lstat()
            digest.update(f"{name}\0{status.st_mode:o}\0".encode())
            if path.is_symlink():
                digest.update(os.readlink(path).encode())  # noqa: PTH115  the text, not a path
            elif path.is_file():
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    digest.update(hashlib.sha256(dockerfile.read_bytes()).digest())
    return digest.hexdigest()


def diff(olds: Mapping[str, Value], news: Mapping[str, Value]) -> Diff:
    """Compare the inputs an image was built from with new ones; every change rebuilds in place."""
    recorded = reveal(olds.get(INPUTS))
    before = recorded if isinstance(recorded, dict) else {}
    kinds = {
        key: "ADD" if key not in before else "DELETE" if key not in news else "UPDATE"
        for key in sorted(before.keys() | news.keys())
        if before.get(key) != news.get(key)
    }
    return Diff(bool(kinds), kinds)


def create(call: Call, inputs: Properties, *, preview: bool) -> tuple[str, Properties]:
    """Build an image; in a preview only where `buildOnPreview` asks for it. Raise PluginError."""
    from offline.docker.build import BuildError, Recipe, build

    if preview and (not flag_of(inputs, "buildOnPreview") or contains_unknown(inputs)):
        return "", inputs
    if not flag_of(inputs, "skipPush"):
        raise PluginError(
            "the offline Docker provider pushes no image: set `skipPush`, or put the official plugin on PATH"
        )
    written = inputs.get("build")
    options: Properties = written if isinstance(written, dict) else {}
    name = text_of(inputs, "imageName")
    query = {
        "rm": True,
        "target": text_of(options, "target"),
        "platform": text_of(options, "platform"),
        "networkmode": text_of(options, "network"),
        "extrahosts": ",".join(texts_of(options, "addHosts")),
    }
    cache = options.get("cacheFrom")
    context, dockerfile = text_of(options, "context"), text_of(options, "dockerfile")
    recipe = Recipe(
        context=Path(call.folder, context).resolve(),
        dockerfile=Path(call.folder, dockerfile).resolve(),
        tags=(name,),
        arguments=mapping_of(options, "args"),
        cache_from=tuple(texts_of(cache, "images")) if isinstance(cache, dict) else (),
        query={key: value for key, value in query.items() if value},
    )
    try:
        identity = build(call, recipe)
    except BuildError as error:
        raise PluginError(str(error)) from None
    return name, {
        "baseImageName": name,
        "context": context,
        "dockerfile": os.path.relpath(dockerfile, context),
        "imageName": name,
        "platform": text_of(options, "platform"),
        "registryServer": "",
        "repoDigest": identity,
        INPUTS: Secret(inputs),
    }
