"""A maintenance on purpose in a cluster: one ConfigMap, every gateway, and no update that ends it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from operate.flag import Flag, Order
from operate.kubernetes import cluster as clusters
from operate.kubernetes import maintenance as in_cluster
from operate.maintenance import begin
from operate.request import Request
from setup.places import places_from
from setup.terminal import Terminal
from tests.conftest import ROOT
from tests.e2e.site import PROJECT
from tests.e2e.traffic import Traffic
from tests.kubernetes.site import ClusterSite, name_of

LONGEST_LAG_SECONDS = 75
"""On an idle machine it is a few; but a pod that leaves hears of nothing any more, and answers until it has left."""


class Operator:
    """Somebody who types the verb."""

    def __init__(self, site: ClusterSite, folder: Path) -> None:
        self.site = site
        environment = {**os.environ, "XDG_STATE_HOME": str(folder)}
        places = places_from(environment, ROOT)
        file = places.stack_file(site.stack)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"config:\n  scaffold:platform: kubernetes\n  scaffold:kubeconfig: {site.cluster.kubeconfig}\n")
        self.printed = StringIO()
        terminal = Terminal(self.printed, environment)
        self.request = Request("maintenance", site.stack, (), places, environment, terminal)

    def orders(self, order: Order) -> Flag | None:
        """Have the order carried out."""
        return in_cluster.run(self.request, order)


@pytest.fixture
def operator(serving: ClusterSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    """An operator of the serving stack, whose project is not called as the real one is."""
    if serving.get("/").status != 200:
        serving.up()
    monkeypatch.setattr(clusters, "NAME", PROJECT)
    made = Operator(serving, tmp_path)
    yield made
    made.orders(Order())


def said(site: ClusterSite) -> list[str]:
    """Which maintenance each gateway has, asked in its pod; nothing for none."""
    told = [
        json.loads(site.run_in(name_of(pod), "python3", "-m", "watcher", "status"))["maintenance"]
        for pod in site.ready_pods("gateway")
    ]
    return [each["id"] if each else "" for each in told]


def test_every_gateway_is_told_within_seconds_and_an_update_and_a_new_pod_keep_it(operator: Operator) -> None:
    site = operator.site
    assert operator.orders(Order(look=True)) is None
    flag, value = begin({"MESSAGE": "We move."}, time.time())
    staff = {"Cookie": f"maintenance_bypass={value}"}
    with Traffic(site.port) as traffic:
        began = time.monotonic()
        assert operator.orders(Order(flag=flag)) == flag
        lag = time.monotonic() - began
        assert lag < LONGEST_LAG_SECONDS, operator.printed.getvalue()
        assert "on at 2 gateways" in operator.printed.getvalue()
        for _ in range(8):
            page = site.get("/")
            assert (page.status, "We move." in page.body) == (503, True)
            assert site.get("/readyz").status == 200
            assert site.get("/", staff).status == 200
    assert set(traffic.answers) == {"200", "503"}, traffic.answers
    assert operator.orders(Order(look=True)) == flag

    # What the verb wrote is no drift, and an update that rolls the gateways leaves it alone.
    site.up("--expect-no-changes")
    site.config("maintenanceMessage", "Another usual message.")
    site.up()
    site.pulumi("config", "rm", "maintenanceMessage")
    victim = name_of(site.ready_pods("gateway")[0])
    site.kubectl("delete", "pod", victim, "--wait=false")
    site.wait_until(
        lambda: len(ready := site.ready_pods("gateway")) == 2 and victim not in map(name_of, ready), "a gateway is new"
    )
    assert said(site) == [flag.id] * 2
    assert site.get("/").status == 503
    assert site.get("/", staff).status == 200

    with Traffic(site.port) as traffic:
        began = time.monotonic()
        assert operator.orders(Order()) is None
        lag = time.monotonic() - began
        assert lag < LONGEST_LAG_SECONDS, operator.printed.getvalue()
        assert said(site) == ["", ""]
        site.wait_until(lambda: site.get("/").status == 200, "the site serves everybody")
    assert set(traffic.answers) <= {"200", "503"}, traffic.answers
    site.up()
