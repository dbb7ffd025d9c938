"""Loading a backup into a database that was just made: before anything migrates or serves, in one update alone."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from infra import backup, database
from infra.model import Job
from infra.secrets import Secrets
from infra.settings import Settings

NAME = "recovery"
VARIABLE = "SCAFFOLD_RECOVER"
"""Names the backup, or says latest; no setting, since it is for one update and means nothing for the next."""


def wanted(environment: Mapping[str, str]) -> str:
    """Return which backup this update loads, or nothing."""
    return environment.get(VARIABLE, "")


def job(settings: Settings, secrets: Secrets, identifier: str, first: str) -> Job:
    """Describe the job that fetches a backup and loads it as the owner; `first` goes before."""
    if settings.backups.bucket is None or not settings.backups.enabled:
        raise pulumi.RunError(
            f"{VARIABLE}: got {identifier!r}, wanted nothing: backupS3Bucket is not set, so there is no bucket to "
            "fetch a backup from. Nothing was changed. Set it, and backups to true"
        )
    url = {"DATABASE_URL": database.owner_url(settings, secrets)}
    return Job(
        name=NAME,
        workload=backup.workload(settings, secrets, ("python", "-m", "backup", "recover", identifier), url),
        after=(first,),
        passing=True,
    )
