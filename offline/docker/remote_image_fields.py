"""The properties of an image that is pulled, found or built by name."""

from __future__ import annotations

from offline.docker.fields import block_set, blocks, flag, mapping, number, text, text_set, texts
from offline.docker.schema import Fields

BUILD: Fields = {
    "additionalContexts": texts(replace=True),
    "authConfigs": blocks(
        {
            "hostName": text(required=True),
            "userName": text(),
            "password": text(),
            "auth": text(),
            "email": text(),
            "serverAddress": text(),
            "identityToken": text(),
            "registryToken": text(),
        },
        underlying="auth_config",
    ),
    "buildArgs": mapping(replace=True, typed=True),
    "buildId": text(replace=True),
    "buildLogFile": text(replace=True),
    "builder": text(replace=True),
    "cacheFroms": texts(replace=True, underlying="cache_from"),
    "cacheTos": texts(replace=True, underlying="cache_to"),
    "cgroupParent": text(replace=True),
    "context": text(required=True, replace=True),
    "cpuPeriod": number(replace=True),
    "cpuQuota": number(replace=True),
    "cpuSetCpus": text(replace=True),
    "cpuSetMems": text(replace=True),
    "cpuShares": number(replace=True),
    "dockerfile": text(default="Dockerfile", replace=True),
    "extraHosts": texts(replace=True),
    "forceRemove": flag(replace=True),
    "isolation": text(replace=True),
    "label": mapping(typed=True),
    "labels": mapping(replace=True, typed=True),
    "memory": number(replace=True),
    "memorySwap": number(replace=True),
    "networkMode": text(replace=True),
    "noCache": flag(replace=True),
    "platform": text(replace=True),
    "provenance": text(replace=True),
    "pullParent": flag(replace=True),
    "remoteContext": text(replace=True),
    "remove": flag(default=True),
    "sbom": text(replace=True),
    "secrets": blocks({"id": text(required=True, replace=True), "src": text(replace=True), "env": text(replace=True)}),
    "securityOpts": texts(replace=True, underlying="security_opt"),
    "sessionId": text(replace=True),
    "shmSize": number(replace=True),
    "squash": flag(replace=True),
    "suppressOutput": flag(replace=True),
    "tags": texts(underlying="tag"),
    "target": text(replace=True),
    "ulimits": blocks(
        {
            "name": text(required=True, replace=True),
            "hard": number(required=True, replace=True),
            "soft": number(required=True, replace=True),
        },
        underlying="ulimit",
    ),
    "useLegacyBuilder": flag(default=False, replace=True),
    "version": text(replace=True),
}

REMOTE_IMAGE: Fields = {
    "name": text(required=True, replace=True),
    "imageId": text(computed=True, input=False),
    "repoDigest": text(computed=True, input=False),
    "keepLocally": flag(),
    "pullTriggers": text_set(replace=True),
    "forceRemove": flag(),
    "build": block_set(BUILD, one=True, conflicts=("pullTriggers",)),
    "triggers": mapping(replace=True),
    "platform": text(default="", replace=True),
}
