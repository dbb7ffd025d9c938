"""The provider's own configuration: checked, compared, and read."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kubeapi import kubeconfig
from kubeapi.access import Access, KubeconfigError
from offline.plugin.errors import PluginError
from offline.plugin.values import Properties, Value, is_unknown, reveal

RENDERING = ("renderYamlToDirectory", "alwaysRender")
IDENTIFIER = "clusterIdentifier"
WHICH_CLUSTER = ("kubeconfig", "context", "cluster")
FLAGS = {
    "deleteUnreachable": "PULUMI_K8S_DELETE_UNREACHABLE",
    "skipUpdateUnreachable": "PULUMI_K8S_SKIP_UPDATE_UNREACHABLE",
    "enableConfigMapMutable": "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE",
    "enableSecretMutable": "PULUMI_K8S_ENABLE_SECRET_MUTABLE",
    "enablePatchForce": "PULUMI_K8S_ENABLE_PATCH_FORCE",
    "enableServerSideApply": "PULUMI_K8S_ENABLE_SERVER_SIDE_APPLY",
    "upsertExistingObjects": "PULUMI_K8S_UPSERT_EXISTING_OBJECTS",
}


@dataclass(frozen=True)
class Configuration:
    """What a program configures the provider with."""

    kubeconfig: str = field(default="", repr=False)
    context: str = ""
    cluster: str = ""
    namespace: str = ""
    delete_unreachable: bool = False
    skip_update_unreachable: bool = False
    mutable_config_maps: bool = False
    mutable_secrets: bool = False
    upsert: bool = False
    force: bool = False
    unknown: bool = False
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def access(self) -> Access:
        """Return who speaks to which cluster; raise KubeconfigError."""
        if self.unknown:
            raise KubeconfigError("the provider's settings are not known yet")
        text = self.kubeconfig
        if not text:
            return kubeconfig.load("", self.context, self.environment, cluster=self.cluster)
        path = Path(text).expanduser()
        if "\n" not in text and len(text) < os.pathconf("/", "PC_PATH_MAX") and path.is_file():
            return kubeconfig.load(str(path), self.context, cluster=self.cluster)
        if "\n" not in text and "{" not in text and ":" not in text:
            raise KubeconfigError(f"the provider's setting `kubeconfig` names the file {text}, which is not there")
        origin = "the provider's setting `kubeconfig`"
        return kubeconfig.parse(text, self.context, origin=origin, cluster=self.cluster)

    @functools.cached_property
    def default_namespace(self) -> str:
        """Return the namespace of objects that name none; empty where the kubeconfig that was given cannot be read."""
        if self.namespace:
            return self.namespace
        try:
            return self.access().namespace
        except KubeconfigError:
            return "" if self.kubeconfig else "default"


def check(news: Properties) -> tuple[Properties, list[tuple[str, str]]]:
    """Return the configuration as the engine keeps it, and complaints: pairs of a property and a reason."""
    complaints = []
    plain = {key: reveal(value) for key, value in news.items()}
    if _flag(plain.get("strictMode")):
        complaints += [
            (name, f'strict mode requires Provider "{name}" argument')
            for name in ("kubeconfig", "context")
            if not plain.get(name)
        ]
    if _flag(plain.get("alwaysRender")) and not plain.get("renderYamlToDirectory"):
        complaints.append(("alwaysRender", '"alwaysRender" requires "renderYamlToDirectory" to be set'))
    return news, complaints


def changed(olds: Mapping[str, Value], news: Mapping[str, Value]) -> tuple[list[str], list[str]]:
    """Return the settings that differ, and those among them that mean another cluster, where nothing of ours is."""
    differing = sorted(key for key in olds.keys() | news.keys() if olds.get(key) != news.get(key))
    identified = bool(olds.get(IDENTIFIER)) and bool(news.get(IDENTIFIER))
    if identified and IDENTIFIER not in differing:
        return differing, []
    elsewhere = [IDENTIFIER] if identified else []
    unknown = next((key for key in WHICH_CLUSTER if is_unknown(news.get(key))), "")
    if unknown:
        return [unknown], [*elsewhere, unknown]
    before, after = _cluster(olds), _cluster(news)
    if before and after and before != after:
        elsewhere += [key for key in WHICH_CLUSTER if key in differing]
    return differing, elsewhere


def _cluster(settings: Mapping[str, Value]) -> tuple[object, ...] | None:
    """Return what tells one cluster from another: all a kubeconfig says of it, and nothing it says of the user."""
    if not settings.get("kubeconfig"):
        return None  # the environment's may have been another one then
    try:
        found = read({key: settings[key] for key in WHICH_CLUSTER if key in settings}).access()
    except (KubeconfigError, PluginError):
        return None
    return found.server, found.authority, found.insecure, found.server_name, found.proxy


def read(properties: Properties, environment: Mapping[str, str] | None = None) -> Configuration:
    """Return the configuration the engine sends; raise PluginError for one this provider cannot follow."""
    given = os.environ if environment is None else environment
    plain = {key: reveal(value) for key, value in properties.items()}
    flags = {
        key: _flag(plain[key]) if plain.get(key) not in (None, "") else _flag(given.get(variable))
        for key, variable in FLAGS.items()
    }
    if plain.get("renderYamlToDirectory"):
        raise _unsupported("renderYamlToDirectory", "leave it out")
    said = plain.get("enableServerSideApply")
    if said not in (None, "") and not flags["enableServerSideApply"]:
        raise _unsupported("enableServerSideApply: false", "leave it out: objects are applied server-side")

    def text(key: str) -> str:
        value = plain.get(key)
        return value if isinstance(value, str) else ""

    written = plain.get("kubeconfig")
    return Configuration(
        kubeconfig=json.dumps(written) if isinstance(written, dict) else text("kubeconfig"),
        context=text("context"),
        cluster=text("cluster"),
        namespace=text("namespace"),
        delete_unreachable=flags["deleteUnreachable"],
        skip_update_unreachable=flags["skipUpdateUnreachable"],
        mutable_config_maps=flags["enableConfigMapMutable"],
        mutable_secrets=flags["enableSecretMutable"],
        upsert=flags["upsertExistingObjects"],
        force=flags["enablePatchForce"],
        unknown=any(is_unknown(value) for value in plain.values()),
        environment=dict(given),
    )


def _flag(value: Value) -> bool:
    return value is True or (isinstance(value, str) and value.lower() in ("true", "1"))


def _unsupported(setting: str, remedy: str) -> PluginError:
    return PluginError(
        f"the provider's setting `{setting}` needs the official Kubernetes plugin: {remedy}, or put it on PATH"
    )
