"""Releases that come, go and fail in a cluster while visitors ask all the time: none of their requests is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.cutting import kill_at
from tests.e2e.probed import change, overlay
from tests.e2e.release import BROKEN_MIGRATION, head_of
from tests.e2e.site import PROJECT
from tests.e2e.test_releases import BARE, CANNOT_START, FAILS_AFTERWARDS
from tests.e2e.visitors import Visitors, assert_all_served
from tests.kubernetes.cluster import RunningCluster
from tests.kubernetes.healing import assert_one_release, heal, settle
from tests.kubernetes.site import ClusterSite, free_node_port, new_cluster_site

RATE = 20.0
STEPS = {
    "the image is being built": r"image-app \w+ing",
    "the image is in the registry": r"image-app (created|updated)",
    "the attempt is marked": r"attempt (created|replaced)",
    "the migration is begun": r"migrate-\w+ creating",
    "the migration runs": r"migrate-\w+ created",
    "the rollout is begun": r"Deployment web updating",
    "the rollout is under way": r"Deployment web updated",
    "the release is being recorded": r"record-\w+ creating",
    "the record is begun": r"record-\w+ created",
    "the old migration is being taken away": r"migrate-\w+ deleting",
}
QUICK_STEPS = ("the rollout is under way",)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, run_id: str, cluster: RunningCluster) -> Iterator[ClusterSite]:
    """A stack of its own with the prober's addresses, serving, and removed at the end."""
    cluster.remove_what_dead_runs_left(f"{PROJECT}-e2e-")
    made = new_cluster_site(
        tmp_path_factory.mktemp("releases"), f"e2e-{run_id}-releases", cluster, free_node_port(), overlay
    )
    try:
        made.up()
        yield made
    finally:
        made.remove_namespace()


@pytest.fixture
def site(stack: ClusterSite, request: pytest.FixtureRequest) -> Iterator[ClusterSite]:
    """The serving stack; what a failing test breaks is mended for the next one."""
    program = (stack.folder / "__main__.py").read_text()
    yield stack
    (stack.folder / "__main__.py").write_text(program)
    stack.pulumi("config", "rm", "release", check=False)
    if stack.get("/probe/release").status != 200:
        change(stack.folder, f"after {request.node.name}")
        heal(stack)
        stack.up(check=False)


def test_a_release_and_the_way_back_lose_no_request_and_nothing_is_built_for_it(site: ClusterSite) -> None:
    before = assert_one_release(site)
    change(site.folder, "second")
    with Visitors(site, RATE) as visitors:
        visitors.wait()
        site.up()
        visitors.wait()
        after = assert_one_release(site)
        site.config("release", before)
        back = site.up()
        visitors.wait()
    assert_all_served(visitors.tally)
    assert set(visitors.tally.releases) == {before, after}
    assert "image-app creating" not in back.stdout
    assert assert_one_release(site) == before == site.outputs()["pinned"]
    site.up("--expect-no-changes")
    # What is in the clone is again what serves, once the pin is gone.
    change(site.folder, "first")


@pytest.mark.slow
def test_ten_releases_in_a_row_lose_no_request(site: ClusterSite) -> None:
    with Visitors(site, RATE) as visitors:
        for number in range(10):
            change(site.folder, f"in a row {number}")
            site.up()
        visitors.wait()
    assert_all_served(visitors.tally)
    assert len(visitors.tally.releases) == 11
    assert_one_release(site)


@pytest.mark.slow
def test_more_and_fewer_replicas_lose_no_request(site: ClusterSite) -> None:
    with Visitors(site, RATE) as visitors:
        for replicas in (3, 1, 2):
            site.config("replicas", str(replicas))
            site.up()
            visitors.wait()
            assert_one_release(site, replicas)
    assert_all_served(visitors.tally)


@pytest.mark.slow
def test_a_failed_migration_loses_no_request_and_runs_again(site: ClusterSite) -> None:
    before = json.loads(site.get("/probe/release").body)["release"]
    broken = site.folder / "app" / "migrations" / "versions" / "ffffffffffff_broken.py"
    broken.write_text(BROKEN_MIGRATION.format(head=head_of(site.folder)))
    with Visitors(site, RATE) as visitors:
        failed = site.up(check=False)
        assert failed.returncode != 0
        assert "there_is_no_such_table" in failed.stdout + failed.stderr
        assert json.loads(site.get("/probe/release").body)["release"] == before
        broken.unlink()
        change(site.folder, "without the migration")
        site.up()
        visitors.wait()
    assert_all_served(visitors.tally)
    assert assert_one_release(site) != before


@pytest.mark.slow
def test_a_release_that_never_gets_healthy_loses_no_request_and_the_mended_one_goes_out(site: ClusterSite) -> None:
    before = assert_one_release(site)
    change(site.folder, "broken", CANNOT_START)
    with Visitors(site, RATE) as visitors:
        failed = site.up(check=False)
        assert failed.returncode != 0
        assert "Deployment web" in failed.stdout + failed.stderr
        assert json.loads(site.get("/probe/release").body)["release"] == before
        change(site.folder, "mended")
        site.up()
        visitors.wait()
    assert_all_served(visitors.tally)
    assert assert_one_release(site) != before


def test_an_image_without_readyz_is_given_up_at_once_and_loses_no_request(site: ClusterSite) -> None:
    before = assert_one_release(site)
    change(site.folder, "bare", BARE)
    site.config("readySeconds", "300")
    try:
        with Visitors(site, RATE) as visitors:
            failed = site.up(check=False)
            assert failed.returncode != 0
            assert "its image has no /readyz: it answered 404, wanted status 200" in failed.stdout + failed.stderr
            assert json.loads(site.get("/probe/release").body)["release"] == before
            change(site.folder, "not bare")
            site.config("readySeconds", "30")
            site.up()
            visitors.wait()
    finally:
        site.config("readySeconds", "30")
    assert_all_served(visitors.tally)
    assert assert_one_release(site) != before


@pytest.mark.slow
def test_going_back_after_a_release_that_failed_when_it_served_loses_no_request(site: ClusterSite) -> None:
    before = assert_one_release(site)
    program = site.folder / "__main__.py"
    working = program.read_text()
    with Visitors(site, RATE) as visitors:
        program.write_text(working + FAILS_AFTERWARDS)
        site.config("siteName", "Another name")
        failed = site.up(check=False)
        assert failed.returncode != 0
        assert "this update fails when its release serves" in failed.stdout + failed.stderr
        # The pods before it serve on until nobody is sent to them.
        site.wait_for(lambda answer: json.loads(answer.body)["release"] != before, path="/probe/release")
        program.write_text(working)
        site.config("siteName", "Scaffold under test")
        site.up()
        visitors.wait()
    assert_all_served(visitors.tally)
    assert assert_one_release(site) == before


@pytest.mark.parametrize(
    "step", [pytest.param(step, marks=[] if step in QUICK_STEPS else pytest.mark.slow) for step in STEPS]
)
def test_an_update_that_is_killed_loses_no_request_and_is_taken_up_again(site: ClusterSite, step: str) -> None:
    before = site.outputs()["release"]
    change(site.folder, f"killed when {step}")
    with Visitors(site, RATE) as visitors:
        kill_at(site, STEPS[step])
        visitors.wait()
        heal(site)
        visitors.wait()
        site.up()
        settle(site)
        visitors.wait()
    assert_all_served(visitors.tally)
    assert assert_one_release(site) != before
    site.up("--expect-no-changes")


@pytest.mark.slow
@pytest.mark.parametrize(
    "changed",
    [
        {"secretKeyVersion": "2", "databasePasswordVersion": "2"},
        {"maintenanceMessage": "Back at noon."},
        {"trustedProxies[0]": "192.0.2.0/24"},
    ],
    ids=["secrets", "page", "gateway"],
)
def test_changed_settings_lose_no_request(site: ClusterSite, changed: dict[str, str]) -> None:
    with Visitors(site, RATE) as visitors:
        for key, value in changed.items():
            site.config(key, value, "--path")
        site.up()
        visitors.wait()
    assert_all_served(visitors.tally)
    assert_one_release(site)
