"""The type `Image`: built from a folder and pushed, in place whenever an input or a file of the folder changes."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from offline.docker import image_name
from offline.docker.context import members
from offline.docker.diff import Diff
from offline.docker.ignore import Ignore
from offline.docker.reading import flag_of, mapping_of, text_of, texts_of
from offline.plugin.errors import PluginError
from offline.plugin.log import INFO, WARNING, EngineLog
from offline.plugin.values import Properties, Secret, Unknown, Value, contains_unknown, reveal

if TYPE_CHECKING:
    from offline.docker.call import Call
    from offline.docker.credentials import Credentials
    from offline.docker.pull import Auths

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
        _must_exist(context, dockerfile)
        build["dockerfile"] = dockerfile
        build["contextDigest"] = context_digest(Path(context), Path(dockerfile))
    _must_be_canonical(inputs, cached=_caches(build))
    return _sealed({"buildOnPreview": False, **inputs, "build": build})


def _sealed(inputs: Properties) -> Properties:
    """Return inputs whose password is a secret, even where the program did not say so."""
    registry = inputs.get("registry")
    if not isinstance(registry, dict) or not isinstance(registry.get("password"), str):
        return inputs
    return {**inputs, "registry": {**registry, "password": Secret(registry["password"])}}


def _caches(build: Mapping[str, Value]) -> bool:
    """Say whether a cache of other images is asked for; raise PluginError for one that names none."""
    cache = build.get("cacheFrom")
    if not isinstance(cache, dict):
        return False
    if "images" not in cache:
        raise PluginError("cacheFrom requires an `images` field")
    images = cache["images"]
    if images is not None and not isinstance(images, list | Unknown):
        raise PluginError("the `images` field must be a list of strings")
    return bool(texts_of(cache, "images"))


def _must_exist(context: str, dockerfile: str) -> None:
    if Path(dockerfile).exists():
        return
    reason = f"stat {dockerfile}: no such file or directory"
    if Path(dockerfile).is_absolute():
        raise PluginError(f'expected a relative Dockerfile path; got "{dockerfile}" instead: {reason}')
    inside = os.path.normpath(os.path.join(context, dockerfile))  # noqa: PTH118
    hint = f'. Try setting `dockerfile` to "{inside}"' if Path(inside).exists() else ""
    raise PluginError(f'could not open dockerfile at relative path "{dockerfile}": {reason}{hint}')


def _must_be_canonical(inputs: Mapping[str, Value], *, cached: bool) -> None:
    """Raise PluginError where neither an image's name nor its `registry` says to which registry it goes."""
    name = text_of(inputs, "imageName")
    wanted = cached or not flag_of(inputs, "skipPush")
    if not wanted or not name or mapping_of(inputs, "registry").get("server"):
        return
    try:
        if image_name.parse(name).canonical:
            return
        reason = "repository name must be canonical"
    except image_name.MisnamedError as error:
        reason = str(error)
    raise PluginError(
        f'"{name}": {reason}.\nThis resource requires all image names to be fully '
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
        if before.get(key) != news.get(key) and not _same_registry(key, before.get(key), news.get(key))
    }
    return Diff(bool(kinds), kinds)


def _same_registry(key: str, old: Value, new: Value) -> bool:
    """Say whether a registry's credentials changed alone: another password makes no other image."""
    if key != "registry" or not isinstance(old, dict) or not isinstance(new, dict):
        return False
    return "server" not in old or "server" not in new or old["server"] == new["server"]


def _shown_only(call: Call, inputs: Mapping[str, Value]) -> bool:
    """Say whether a preview shows the inputs instead of building, with a warning where it was asked to build."""
    if not flag_of(inputs, "buildOnPreview"):
        return True
    if contains_unknown([inputs.get("imageName"), inputs.get("build")]):
        reason = "`buildOnPreview` is set, but parts of imageName or build are known only after the update: not built."
        call.log.write(WARNING, reason, call.urn)
        return True
    return False


def _headers(call: Call, shown: Credentials | None, auths: Auths) -> dict[str, str]:
    """Return what base images are pulled with; a helper that fails is no reason not to build from what is here."""
    from offline.docker.credentials import build_header

    try:
        return build_header(shown, auths)
    except PluginError as error:
        call.log.write(WARNING, f"base images are pulled without credentials: {error}", call.urn)
        return {}


def create(call: Call, inputs: Properties, auths: Auths, *, preview: bool) -> tuple[str, Properties]:
    """Build an image and push it; in a preview it is built only where `buildOnPreview` asks for that.

    `auths` are the provider's credentials by registry. Raise PluginError.
    """
    from offline.docker.build import BuildError, Recipe, build
    from offline.docker.push import find, push

    if preview and _shown_only(call, inputs):
        return "", _sealed(inputs)
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
    registry = mapping_of(inputs, "registry")
    # Before the build, which may take long: what is wrong with the credentials is told at once.
    shown = None if flag_of(inputs, "skipPush") else find(call, name, registry, auths)
    recipe = Recipe(
        context=Path(call.folder, context).resolve(),
        dockerfile=Path(call.folder, dockerfile).resolve(),
        tags=(name,),
        arguments=mapping_of(options, "args"),
        cache_from=tuple(texts_of(cache, "images")) if isinstance(cache, dict) else (),
        query={key: value for key, value in query.items() if value},
        headers=_headers(call, shown, auths),
    )
    try:
        identity = build(call, recipe)
    except BuildError as error:
        raise PluginError(str(error)) from None
    if shown is not None and not preview:
        identity = push(call, name, shown)
    return name, {
        "baseImageName": name,
        "context": context,
        "dockerfile": os.path.relpath(dockerfile, context),
        "imageName": name,
        "platform": text_of(options, "platform"),
        "registryServer": registry.get("server", ""),
        "repoDigest": identity,
        INPUTS: Secret(inputs),
    }
