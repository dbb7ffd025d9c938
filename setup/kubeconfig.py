"""Which kubeconfig leads to a stack's cluster, decided without reading it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SETTING = "setting"
VARIABLE = "KUBECONFIG"
HOME = "home"
LOCAL = "local"


@dataclass(frozen=True)
class Source:
    """Where the way to a cluster is written: who names it, and the path; with `local` this project's own cluster."""

    kind: str
    path: str = ""

    def __str__(self) -> str:
        return {
            SETTING: f"{self.path}, which the setting kubeconfig names",
            VARIABLE: f"{self.path}, which KUBECONFIG names",
            HOME: self.path,
            LOCAL: "the local cluster's",
        }[self.kind]


def choose(setting: str | None, environment: Mapping[str, str], home: Path) -> Source:
    """Return where the way to the cluster is: what is named goes first, then the home folder's file where there is one.

    A file that is named and absent is not passed over: another cluster than the one that is meant would be changed.
    """
    if setting:
        return Source(SETTING, setting)
    named = [name for name in environment.get(VARIABLE, "").split(os.pathsep) if name]
    if named:
        return Source(VARIABLE, os.pathsep.join(named))
    usual = home / ".kube" / "config"
    return Source(HOME, str(usual)) if usual.is_file() else Source(LOCAL)
