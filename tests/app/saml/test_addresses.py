"""Whoever writes of an address of signing in, or bounds it, means one that the app has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask

ROOT = Path(__file__).resolve().parents[3]
GATEWAY = ROOT / "gateway" / "nginx.conf.tmpl"
NAMED = re.compile(r"(?<![\w^:])/auth/[a-z/]*[a-z]")
BOUNDED = re.compile(r'"~(\^\S*/auth/\S*)"')


def addresses(app: Flask) -> set[str]:
    """Return method and path of everything that the app answers."""
    return {f"{method}:{rule.rule}" for rule in app.url_map.iter_rules() for method in rule.methods or ()}


@pytest.mark.parametrize("name", ["README.md", "docs/operations.md", "infra/outputs.py", "gateway/nginx.conf.tmpl"])
def test_every_address_that_is_named_is_one_of_the_apps(app: Flask, name: str) -> None:
    found = {address.partition(":")[2] for address in addresses(app)}
    named = set(NAMED.findall((ROOT / name).read_text()))
    assert named <= found, named - found


def test_every_bound_of_the_gateway_is_on_an_address_of_the_apps(app: Flask) -> None:
    bounds = BOUNDED.findall(GATEWAY.read_text())
    assert len(bounds) >= 2
    for bound in bounds:
        assert any(re.search(bound, address) for address in addresses(app)), bound
