"""Releases that come, go and fail while visitors ask all the time: none of their requests is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.conftest import Docker, remove_labelled, remove_what_dead_runs_left, run_docker
from tests.e2e.cutting import kill_at
from tests.e2e.healing import assert_one_release, heal, told_by_gateway
from tests.e2e.probed import change, overlay
from tests.e2e.release import BROKEN_MIGRATION, head_of
from tests.e2e.site import Site, new_site
from tests.e2e.visitors import Visitors, assert_all_served, assert_served_or_paged

CANNOT_START = 'raise RuntimeError("this release migrates, but cannot serve")'
BARE = """
from scaffold import health

health.blueprint.deferred_functions.pop()
"""
"""Takes back what was declared last: /readyz."""
# Not by a signal: the first process of a container gets none that it sends itself.
CRASHES = "import os, threading\nthreading.Timer(20, os._exit, [1]).start()"
FAILS_AFTERWARDS = """
def fail(_: object) -> None:
    raise pulumi.RunError("this update fails when its release serves")


serving.release.apply(fail)
"""
STEPS = {
    "the image is being built": r"image-app creating",
    "the migration is begun": r"migrate-\w+ creating",
    "the migration is over": r"migrate-\w+ created",
    "the files are being laid out": r"web-files-\w+ creating",
    "the files are there": r"web-files-\w+ created",
    "the new release is begun": r"web-\w+-1 creating",
    "the new release runs": r"web-\w+-1 created",
    "the switch is begun": r"switch creating",
    "the switch is over": r"switch created",
    "the old release is being taken away": r"web-\w+-1 deleting",
}
QUICK_STEPS = ("the switch is begun",)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, run_id: str, docker: Docker) -> Iterator[Site]:
    """A stack of its own with the prober's addresses, serving, and removed at the end."""
    remove_what_dead_runs_left("scaffold.stack", "e2e-")
    name = f"e2e-{run_id}-releases"
    try:
        made = new_site(tmp_path_factory.mktemp("releases"), name, {"readySeconds": "20"}, overlay)
        made.up()
        yield made
    finally:
        remove_labelled(f"scaffold.stack={name}")


@pytest.fixture
def site(stack: Site, request: pytest.FixtureRequest) -> Iterator[Site]:
    """The serving stack; what a failing test breaks is mended for the next one."""
    yield stack
    if stack.get("/probe/release").status != 200:
        change(stack.folder, f"after {request.node.name}")
        heal(stack)
        stack.up(check=False)


def test_a_release_loses_no_request(site: Site) -> None:
    before = assert_one_release(site)
    change(site.folder, "second")
    with Visitors(site) as visitors:
        visitors.wait()
        site.up()
        visitors.wait()
    assert_all_served(visitors.tally)
    after = assert_one_release(site)
    assert list(visitors.tally.releases) == [before, after]


@pytest.mark.slow
def test_ten_releases_in_a_row_lose_no_request(site: Site) -> None:
    with Visitors(site, rate=100) as visitors:
        for number in range(10):
            change(site.folder, f"in a row {number}")
            site.up()
        visitors.wait()
    assert_all_served(visitors.tally)
    assert len(visitors.tally.releases) == 11
    assert_one_release(site)


@pytest.mark.slow
def test_more_and_fewer_replicas_lose_no_request(site: Site) -> None:
    with Visitors(site) as visitors:
        for replicas in (3, 2, 1):
            site.config("replicas", str(replicas))
            site.up()
            visitors.wait()
            assert_one_release(site, replicas)
    assert_all_served(visitors.tally)


def test_a_failed_migration_loses_no_request_and_runs_again(site: Site) -> None:
    before = assert_one_release(site)
    broken = site.folder / "app" / "migrations" / "versions" / "ffffffffffff_broken.py"
    broken.write_text(BROKEN_MIGRATION.format(head=head_of(site.folder)))
    with Visitors(site) as visitors:
        failed = site.up(check=False)
        assert failed.returncode != 0
        assert "there_is_no_such_table" in failed.stdout + failed.stderr
        assert json.loads(site.get("/probe/release").body)["release"] == before
        broken.unlink()
        change(site.folder, "without the migration")
        site.up()
        visitors.wait()
    assert_all_served(visitors.tally)
    assert_one_release(site)


@pytest.mark.slow
def test_a_release_that_never_gets_healthy_loses_no_request_and_the_mended_one_goes_out(site: Site) -> None:
    before = assert_one_release(site)
    change(site.folder, "broken", CANNOT_START)
    site.config("readySeconds", "5")
    with Visitors(site) as visitors:
        failed = site.up(check=False)
        assert failed.returncode != 0
        assert "job switch failed" in failed.stdout + failed.stderr
        assert json.loads(site.get("/probe/release").body)["release"] == before
        change(site.folder, "mended")
        site.config("readySeconds", "20")
        site.up()
        visitors.wait()
    assert_all_served(visitors.tally)
    assert assert_one_release(site) != before


@pytest.mark.slow
def test_an_image_without_readyz_is_given_up_at_once_and_loses_no_request(site: Site) -> None:
    before = assert_one_release(site)
    change(site.folder, "bare", BARE)
    site.config("readySeconds", "300")
    with Visitors(site) as visitors:
        failed = site.up(check=False)
        assert failed.returncode != 0
        assert "has no /readyz: it answered 404, wanted status 200" in failed.stdout + failed.stderr
        assert json.loads(site.get("/probe/release").body)["release"] == before
        change(site.folder, "not bare")
        site.config("readySeconds", "20")
        site.up()
        visitors.wait()
    assert_all_served(visitors.tally)
    assert assert_one_release(site) != before


def test_a_release_that_crashes_later_shows_the_page_and_nothing_else_until_it_is_back(site: Site) -> None:
    before = assert_one_release(site)
    change(site.folder, "crashes", CRASHES)
    with Visitors(site, others=[]) as visitors:
        site.up()
        crashing = site.outputs()["release"]
        site.wait_for(lambda _: bool(visitors.tally.pages), 40, "/probe/release")
        site.wait_for(lambda answer: answer.status == 200, 40, "/probe/release")
        change(site.folder, "does not crash")
        site.up()
        while_it_crashes = visitors.lap()
        visitors.wait()
    assert_served_or_paged(while_it_crashes)
    assert while_it_crashes.pages
    assert while_it_crashes.pages.first > while_it_crashes.releases[crashing].first > 0
    assert while_it_crashes.releases[before].last < while_it_crashes.pages.first
    assert_all_served(visitors.tally)
    assert_one_release(site)


@pytest.mark.slow
def test_going_back_after_a_release_that_failed_when_it_served_loses_no_request(site: Site) -> None:
    before = assert_one_release(site)
    program = site.folder / "__main__.py"
    working = program.read_text()
    with Visitors(site) as visitors:
        program.write_text(working + FAILS_AFTERWARDS)
        site.config("siteName", "Another name")
        failed = site.up(check=False)
        assert failed.returncode != 0
        assert "this update fails when its release serves" in failed.stdout + failed.stderr
        assert told_by_gateway(site)["release"] != before
        program.write_text(working)
        site.config("siteName", "Scaffold under test")
        site.up()
        visitors.wait()
    assert_all_served(visitors.tally)
    assert assert_one_release(site) == before


@pytest.mark.slow
def test_going_back_after_a_release_that_was_killed_when_it_served_loses_no_request(site: Site) -> None:
    before = assert_one_release(site)
    with Visitors(site) as visitors:
        site.config("siteName", "Another name")
        kill_at(site, STEPS["the switch is over"])
        assert told_by_gateway(site)["release"] != before
        heal(site)
        site.config("siteName", "Scaffold under test")
        site.up()
        visitors.wait()
    assert_all_served(visitors.tally)
    assert assert_one_release(site) == before


@pytest.mark.parametrize(
    "step", [pytest.param(step, marks=[] if step in QUICK_STEPS else pytest.mark.slow) for step in STEPS]
)
def test_an_update_that_is_killed_loses_no_request_and_is_taken_up_again(site: Site, step: str) -> None:
    before = site.outputs()["release"]
    change(site.folder, f"killed when {step}")
    with Visitors(site) as visitors:
        kill_at(site, STEPS[step])
        visitors.wait()
        heal(site)
        visitors.wait()
        site.up()
        visitors.wait()
    assert_all_served(visitors.tally)
    assert assert_one_release(site) != before
    site.up("--expect-no-changes")


def test_a_restarted_database_shows_the_page_and_nothing_else(site: Site) -> None:
    (database,) = site.containers("database", running=True)
    with Visitors(site) as visitors:
        visitors.wait()
        assert_all_served(visitors.lap())
        run_docker("restart", database)
        site.wait_for(lambda answer: answer.status == 200, 60, "/probe/release")
        visitors.wait()
        restarting = visitors.lap()
        visitors.wait()
    assert_served_or_paged(restarting)
    assert_all_served(visitors.tally)
    assert_one_release(site)


@pytest.mark.parametrize(
    "changed",
    [
        {"secretKeyVersion": "2", "databasePasswordVersion": "2"},
        {"maintenanceMessage": "Back at noon.", "maintenanceContactEmail": "others@example.com"},
        {"trustedProxies[0]": "192.0.2.0/24"},
    ],
    ids=["secrets", "page", "gateway"],
)
def test_changed_settings_lose_no_request(site: Site, changed: dict[str, str]) -> None:
    (gateway,) = site.containers("gateway", running=True)
    started = run_docker("container", "inspect", "--format", "{{.State.StartedAt}}", gateway)
    with Visitors(site) as visitors:
        for key, value in changed.items():
            site.config(key, value, "--path")
        site.up()
        visitors.wait()
    assert_all_served(visitors.tally)
    assert_one_release(site)
    assert run_docker("container", "inspect", "--format", "{{.State.StartedAt}}", gateway) == started
