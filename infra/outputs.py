"""What a stack tells: the addresses that people register elsewhere, what serves, and which releases are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pulumi

from infra import backup, bundle, history
from infra.bundle import Bundle, Kept
from infra.origin import NOWHERE, Origin
from infra.platforms.contract import Serving
from infra.settings import Settings


def of(
    settings: Settings,
    addresses: Mapping[str, str],
    serving: Serving,
    made: Bundle,
    before: Sequence[Kept] = (),
    origin: Origin = NOWHERE,
) -> dict[str, pulumi.Input[Any]]:
    """Return the stack's outputs by name; `addresses` are its platform's, `before` the releases kept so far."""
    site = settings.site_url
    kept = releases(settings, serving, made, before, origin)
    pinned: dict[str, pulumi.Input[Any]] = {"pinned": settings.release} if settings.release else {}
    return {
        "siteUrl": site,
        "healthUrl": f"{site}/healthz",
        "readyUrl": f"{site}/readyz",
        "samlMetadataUrl": f"{site}/auth/login/saml/metadata",
        "samlAcsUrl": f"{site}/auth/login/saml/acs",
        "samlSlsUrl": f"{site}/auth/login/saml/sls",
        **addresses,
        "release": serving.release,
        "digest": serving.digest,
        **pinned,
        "backups": backup.where(settings, pulumi.get_project(), pulumi.get_stack()),
        **last_backup(serving),
        "releases": pulumi.Output.unsecret(kept.apply(lambda every: {each.release: told(each) for each in every})),
        history.OUTPUT: pulumi.Output.secret(kept.apply(bundle.written)),
    }


def last_backup(serving: Serving) -> dict[str, pulumi.Input[Any]]:
    """Return what the backup service told, where there is one."""
    found = serving.told.get(backup.NAME)
    return {"lastBackup": found.apply(backup.last)} if found is not None else {}


def releases(
    settings: Settings, serving: Serving, made: Bundle, before: Sequence[Kept], origin: Origin
) -> pulumi.Output[tuple[Kept, ...]]:
    """Return the releases to go back to, newest first, with the one that serves among them."""

    def kept(found: list[Any]) -> tuple[Kept, ...]:
        release, digest, document = found
        now = datetime.now(UTC).isoformat(timespec="seconds")
        newest = Kept(release, now, origin.revision, digest, document)
        return bundle.with_newest(before, newest, settings.keep_releases, settings.release)

    return pulumi.Output.all(serving.release, serving.digest, bundle.document(made)).apply(kept)


def told(kept: Kept) -> str:
    """Return what everybody may know of a kept release, on one line."""
    image = kept.document["serve"]["image"]
    schema = kept.steps[-1].revision if kept.steps else "none"
    words = [kept.made_at, f"{image['name']}:{image['tag']}", f"schema {schema}", kept.revision]
    return " ".join(word for word in words if word)
