"""Warnings about versions of the API that a cluster no longer serves, or soon will not."""

from __future__ import annotations

from offline.kubernetes.fields import life


def is_stable(api_version: str, kind: str) -> bool:
    """Say whether nothing has to be said about a kind on any cluster, so that none needs to be asked."""
    found = life(api_version, kind)
    return not found.removed and not found.successor


def warning(api_version: str, kind: str, cluster: tuple[int, int]) -> str:
    """Return what to say about a kind on a cluster of this version, such as (1, 34); empty for nothing."""
    found = life(api_version, kind)
    named = f"{api_version}/{kind}"
    removed = _numbers(found.removed)
    if removed and cluster >= removed:
        changes = f"https://git.k8s.io/kubernetes/CHANGELOG/CHANGELOG-{found.removed}.md#deprecation"
        return (
            f'apiVersion "{named}" was removed in Kubernetes {found.removed}. Use "{found.successor or named}" instead.'
            f"\nSee {changes} for more information."
        )
    if not found.successor or cluster < (_numbers(life(*found.successor.rsplit("/", 1)).introduced) or (1, 9)):
        return ""
    until = f" and not supported by Kubernetes v{found.removed}+ clusters." if removed else "."
    return f"{named} is deprecated by {found.successor}{until}"


def _numbers(version: str) -> tuple[int, int] | None:
    major, _, minor = version.partition(".")
    return (int(major), int(minor)) if minor else None
