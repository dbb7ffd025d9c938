"""Release ids: a hash of everything that makes a release what it is, known before anything runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from infra.model import File, Workload

LENGTH = 10


def id_of(workloads: Sequence[Workload], program: str = "") -> str:
    """Return the release id of some workloads, as 10 hex digits; secrets count by their fingerprints alone.

    `program` stands for the code that turns them into containers: when it changes, so may what it makes of the same
    settings, and a serving container must not be replaced where it stands.
    """
    text = json.dumps([program, *(plain(workload) for workload in workloads)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def plain(workload: Workload) -> dict[str, Any]:
    """Return a workload as plain data, its files by name and fingerprint."""
    return {
        "image": [workload.image.name, workload.image.tag],
        "user": workload.user,
        "limits": vars(workload.limits),
        "env": dict(workload.env),
        "files": [[file.name, file.secret, file.fingerprint] for file in workload.files],
        "mounts": [[mount.volume, mount.path] for mount in workload.mounts],
        "command": list(workload.command),
        "egress": [[egress.cidr, egress.port] for egress in workload.egress],
    }


def labelled(workload: Workload, release: str) -> Workload:
    """Return the workload told which release it is."""
    return replace(workload, env={**workload.env, "RELEASE": release})


def fingerprint(content: str) -> str:
    """Return the fingerprint of something public."""
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def file_name(setting: str) -> str:
    """Return the name of the file that holds one of an image's settings."""
    return setting.lower().replace("_", "-")


def public_file(name: str, content: str) -> File:
    """A file that everybody may read."""
    return File(name=name, content=content, fingerprint=fingerprint(content))
