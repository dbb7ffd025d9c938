"""What a resource's URN says."""

from __future__ import annotations

import pytest

from offline.plugin.urn import name_of, type_of

STACK = "urn:pulumi:dev::scaffold"


@pytest.mark.parametrize(
    ("urn", "token", "name"),
    [
        (f"{STACK}::docker:index/volume:Volume::data", "docker:index/volume:Volume", "data"),
        (f"{STACK}::a:b:Site$a:b:Part$kubernetes:core/v1:Secret::key", "kubernetes:core/v1:Secret", "key"),
        (f"{STACK}::docker:index/volume:Volume::odd::name", "docker:index/volume:Volume", "odd::name"),
    ],
)
def test_type_and_name_are_told_whatever_is_around_them(urn: str, token: str, name: str) -> None:
    assert (type_of(urn), name_of(urn)) == (token, name)
