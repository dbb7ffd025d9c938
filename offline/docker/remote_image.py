"""The life of an image by name: built, found on the daemon or pulled; its tag removed at the end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from offline.docker.build import BuildError, Recipe, build, located
from offline.docker.call import Call, Made, failed, refused
from offline.docker.daemon import DaemonError, quoted
from offline.docker.pull import Auths, ImageMissingError, find_image, inspect_image
from offline.docker.reading import blocks_of, flag_of, mapping_of, number_of, text_of, texts_of
from offline.docker.resource import REMOTE_IMAGE_TYPE
from offline.docker.settling import as_foretold, refreshed
from offline.plugin.errors import PluginError
from offline.plugin.values import Properties, Value

FIELDS = REMOTE_IMAGE_TYPE.fields
BUILDKIT_ONLY = (
    "additionalContexts", "builder", "buildLogFile", "cacheTos", "provenance", "sbom", "secrets",
)  # fmt: skip


def create(call: Call, foretold: Properties, auths: Auths) -> Made:
    """Build the image if it has a recipe, else find it on the daemon or pull it; raise PluginError."""
    wanted = as_foretold(FIELDS, foretold)
    name = text_of(wanted, "name")
    for recipe in blocks_of(wanted, "build"):
        try:
            build(call, _recipe(call, recipe, name))
        except BuildError as error:
            raise refused(str(error)) from None
    try:
        image = find_image(call, name, auths, text_of(wanted, "platform"))
    except (ImageMissingError, DaemonError) as error:
        raise refused(f"Unable to read Docker image into resource: {error}") from None
    return _made(wanted, image)


def _recipe(call: Call, recipe: Properties, name: str) -> Recipe:
    asked = [key for key in BUILDKIT_ONLY if recipe.get(key)]
    if asked:
        raise PluginError(
            f"build.{asked[0]} needs BuildKit, which the offline provider does not speak: leave it out, "
            "or put the official Docker plugin on PATH"
        )
    context, dockerfile = located(Path(call.folder), text_of(recipe, "context"), text_of(recipe, "dockerfile"))
    query: dict[str, Any] = {
        "rm": flag_of(recipe, "remove"),
        "forcerm": flag_of(recipe, "forceRemove"),
        "nocache": flag_of(recipe, "noCache"),
        "pull": flag_of(recipe, "pullParent"),
        "q": flag_of(recipe, "suppressOutput"),
        "squash": flag_of(recipe, "squash"),
        "target": text_of(recipe, "target"),
        "platform": text_of(recipe, "platform"),
        "networkmode": text_of(recipe, "networkMode"),
        "cgroupparent": text_of(recipe, "cgroupParent"),
        "cpusetcpus": text_of(recipe, "cpuSetCpus"),
        "cpusetmems": text_of(recipe, "cpuSetMems"),
        "cpushares": number_of(recipe, "cpuShares"),
        "cpuquota": number_of(recipe, "cpuQuota"),
        "cpuperiod": number_of(recipe, "cpuPeriod"),
        "memory": number_of(recipe, "memory"),
        "memswap": number_of(recipe, "memorySwap"),
        "shmsize": number_of(recipe, "shmSize"),
        "isolation": text_of(recipe, "isolation"),
        "extrahosts": ",".join(texts_of(recipe, "extraHosts")),
    }
    return Recipe(
        context=context,
        dockerfile=dockerfile,
        tags=(name, *texts_of(recipe, "tags")),
        arguments=mapping_of(recipe, "buildArgs"),
        labels={**mapping_of(recipe, "labels"), **mapping_of(recipe, "label")},
        cache_from=tuple(texts_of(recipe, "cacheFroms")),
        ulimits=tuple(
            {"Name": text_of(u, "name"), "Soft": number_of(u, "soft"), "Hard": number_of(u, "hard")}
            for u in blocks_of(recipe, "ulimits")
        ),
        query={key: value for key, value in query.items() if value},
    )


def _made(state: Mapping[str, Value], image: Mapping[str, Any]) -> Made:
    name, identity = text_of(state, "name"), str(image["Id"])
    id = identity + name  # noqa: A001  the protocol's name; the official provider's form
    return Made(id, {**state, "id": id, "imageId": identity, "repoDigest": repo_digest(name, image)})


def repo_digest(name: str, image: Mapping[str, Any]) -> str:
    """Return the digest under which a registry knows the image, or the empty text."""
    repository = name.split("@")[0]
    head, colon, tag = repository.rpartition(":")
    if colon and "/" not in tag:
        repository = head
    digests = [str(digest) for digest in image.get("RepoDigests") or []]
    if len(digests) == 1:
        return digests[0]
    return next((digest for digest in digests if digest.startswith(f"{repository}@")), "")


def read(call: Call, prior: Mapping[str, Value]) -> Made | None:
    """Return the present state, or None when the daemon has no image of this name."""
    name = text_of(prior, "name")
    if not name:
        return None
    try:
        image = inspect_image(call, name)
    except DaemonError as error:
        raise failed("refreshing", call.urn, f"unable to inspect image {name}: {error}") from None
    return None if image is None else _made(refreshed(FIELDS, prior, {}), image)


def update(call: Call, foretold: Properties, auths: Auths) -> Properties:
    """Look the image up again after a change that leaves it as it is; raise PluginError."""
    wanted = as_foretold(FIELDS, foretold)
    try:
        image = find_image(call, text_of(wanted, "name"), auths, text_of(wanted, "platform"))
    except (ImageMissingError, DaemonError) as error:
        raise failed("updating", call.urn, f"Unable to read Docker image into resource: {error}") from None
    return _made(wanted, image).state


def delete(call: Call, state: Mapping[str, Value]) -> None:
    """Remove the image's tag, and the image with its last one, unless it is to be kept; raise PluginError."""
    name = text_of(state, "name")
    if flag_of(state, "keepLocally"):
        return
    try:
        call.daemon.delete(f"/images/{quoted(name)}", {"force": flag_of(state, "forceRemove")}, seconds=call.seconds)
    except DaemonError as error:
        if error.status != 404:
            raise failed("deleting", call.urn, f"Unable to remove Docker image: {error}") from None
