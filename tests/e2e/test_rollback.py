"""The way back: a former release runs again whole, and what cannot be is refused before anything moves."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.conftest import Docker, remove_labelled, remove_what_dead_runs_left, run_docker
from tests.e2e.healing import assert_one_release
from tests.e2e.probed import change, overlay
from tests.e2e.release import head_of
from tests.e2e.site import Site, new_site
from tests.e2e.visitors import Visitors, assert_all_served, assert_served_or_paged

MIGRATION = '''"""A column more."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{head}"
{compatible}


def upgrade() -> None:
    op.add_column("users", sa.Column("added_{revision}", sa.Integer))


def downgrade() -> None:
    op.drop_column("users", "added_{revision}")
'''
CANNOT_START = 'raise RuntimeError("this release migrates, but cannot serve")'
NOT_COMPATIBLE = "not declared compatible"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, run_id: str, docker: Docker) -> Iterator[Site]:
    """A stack of its own with the prober's addresses, serving its first release, and removed at the end."""
    remove_what_dead_runs_left("scaffold.stack", "e2e-")
    name = f"e2e-{run_id}-rollback"
    try:
        made = new_site(tmp_path_factory.mktemp("rollback"), name, {"readySeconds": "20"}, overlay)
        made.up()
        yield made
    finally:
        remove_labelled(f"scaffold.stack={name}")


def migrate(site: Site, revision: str, compatible: str) -> None:
    """Add a migration to the site's app."""
    text = MIGRATION.format(revision=revision, head=head_of(site.folder), compatible=compatible)
    (site.folder / "app" / "migrations" / "versions" / f"{revision}_column.py").write_text(text)


def without_migration(site: Site, revision: str) -> None:
    """Take a migration out of the site's app."""
    (site.folder / "app" / "migrations" / "versions" / f"{revision}_column.py").unlink()


def unpin(site: Site) -> None:
    """Go on with what is in the clone."""
    for key in ("release", "releaseDowngrade"):
        site.pulumi("config", "rm", key, check=False)


def said(site: Site, *arguments: str) -> str:
    """Return what a command that must fail says."""
    refused = site.pulumi(*arguments, check=False)
    assert refused.returncode != 0
    return refused.stdout + refused.stderr


def secret_key(site: Site) -> str:
    """Return a digest of the key that the serving release signs sessions with."""
    (web,) = site.containers("web", running=True)
    return run_docker("exec", web, "sha256sum", "/run/files/secret-key").split()[0]


def ledger(site: Site) -> list[dict[str, object]]:
    """Return the ledger, newest first."""
    (web,) = site.containers("web", running=True)
    found: list[dict[str, object]] = json.loads(
        run_docker("exec", web, "flask", "--app", "scaffold:create_app", "release", "list", "--json")
    )
    return found


def test_a_rollback_brings_the_whole_release_back_without_building_and_loses_no_request(site: Site) -> None:
    """M26: the release before, its image, settings, files and secrets."""
    first, key = assert_one_release(site), secret_key(site)
    site.config("secretKeyVersion", "2")
    site.config("siteName", "Another name")
    for version in ("2", "3"):
        # Twice, so that the password in the first release's bundle is dead.
        site.config("databasePasswordVersion", version)
        site.up()
    change(site.folder, "second")
    site.up()
    second = assert_one_release(site)
    assert second != first
    assert secret_key(site) != key
    site.config("release", first)
    with Visitors(site, rate=20) as visitors:
        done = site.up()
        visitors.wait()
    assert_all_served(visitors.tally)
    assert "image-app creating" not in done.stdout
    assert secret_key(site) == key
    assert "Scaffold under test" in site.get("/").body
    outputs = site.outputs()
    assert outputs["pinned"] == first
    site.up("--expect-no-changes")
    back = ledger(site)[0]
    assert (back["outcome"], back["bundle"]) == ("serving", first)
    # Today's password, so another release; by its first name it is found all the same.
    assert back["release"] == outputs["release"] == assert_one_release(site)
    unpin(site)
    with Visitors(site, rate=20) as visitors:
        site.up()
        visitors.wait()
    assert_all_served(visitors.tally)
    assert assert_one_release(site) == second
    assert "pinned" not in site.outputs()


@pytest.mark.slow
def test_the_release_before_comes_back_as_the_same_release(site: Site) -> None:
    before = assert_one_release(site)
    change(site.folder, "third")
    site.up()
    assert assert_one_release(site) != before
    site.config("release", before)
    site.up()
    assert assert_one_release(site) == before == site.outputs()["release"]
    unpin(site)
    site.up()


def test_a_release_that_does_not_exist_is_refused_and_nothing_changes(site: Site) -> None:
    before = site.outputs()
    site.config("release", "0123456789")
    for command in (("preview",), ("up", "--yes", "--skip-preview")):
        refused = said(site, *command)
        assert "'0123456789'" in refused
        assert str(before["release"]) in refused
        assert "pulumi config rm release" in refused
    site.config("release", "yesterday")
    assert "10 hex digits" in said(site, "preview")
    unpin(site)
    assert site.outputs() == before
    site.up("--expect-no-changes")


def test_an_image_that_is_gone_is_named_and_nothing_changes(site: Site) -> None:
    before = assert_one_release(site)
    change(site.folder, "fourth")
    site.up()
    after = assert_one_release(site)
    image = f"scaffold-test-{site.outputs()['releases'][before].split()[1]}-{site.stack}"
    run_docker("image", "rm", "--force", image)
    site.config("release", before)
    refused = said(site, "up", "--yes", "--skip-preview")
    assert image in refused
    assert "not on the machine any more" in refused
    unpin(site)
    assert assert_one_release(site) == after
    site.up("--expect-no-changes")


def test_a_migration_that_says_nothing_of_the_release_before_is_refused(site: Site) -> None:
    before = assert_one_release(site)
    migrate(site, "cccc00000000", "")
    refused = said(site, "preview")
    assert "cccc00000000_column.py" in refused
    assert "compatible = True" in refused
    assert "compatible = True" in said(site, "up", "--yes", "--skip-preview")
    without_migration(site, "cccc00000000")
    assert assert_one_release(site) == before
    site.up("--expect-no-changes")


@pytest.mark.slow
def test_a_rollback_over_a_compatible_migration_needs_no_downgrade(site: Site) -> None:
    before = assert_one_release(site)
    migrate(site, "aaaa00000000", "compatible = True")
    site.up()
    site.config("release", before)
    with Visitors(site, rate=20) as visitors:
        site.up()
        visitors.wait()
    assert_all_served(visitors.tally)
    assert assert_one_release(site) == before
    assert not site.containers("downgrade")
    unpin(site)
    site.up()


def test_a_rollback_over_an_incompatible_migration_is_refused_and_goes_with_a_downgrade(site: Site) -> None:
    before = assert_one_release(site)
    migrate(site, "bbbb00000000", "compatible = False")
    site.up()
    after = assert_one_release(site)
    site.config("release", before)
    for command in (("preview",), ("up", "--yes", "--skip-preview")):
        refused = said(site, *command)
        assert NOT_COMPATIBLE in refused
        assert "bbbb00000000" in refused
        assert "--with-downgrade" in refused
    assert assert_one_release(site) == after
    site.config("releaseDowngrade", "true")
    with Visitors(site, rate=20, others=[]) as visitors:
        site.up()
        visitors.wait()
    assert_served_or_paged(visitors.tally)
    assert assert_one_release(site) == before
    site.up("--expect-no-changes")
    unpin(site)
    site.up()
    assert assert_one_release(site) == after


@pytest.mark.slow
def test_a_failed_release_that_moved_the_schema_too_far_is_the_way_back_too(
    site: Site,
) -> None:
    before = assert_one_release(site)
    site.config("readySeconds", "5")
    site.up()
    migrate(site, "dddd00000000", "compatible = False")
    change(site.folder, "too far", CANNOT_START)
    assert "job switch failed" in said(site, "up", "--yes", "--skip-preview")
    # What served cannot live with the schema any more: going back is no green update over the page.
    site.wait_for(lambda answer: answer.status == 503, 10, "/probe/release")
    without_migration(site, "dddd00000000")
    site.config("release", before)
    stopped = said(site, "up", "--yes", "--skip-preview")
    assert "dddd00000000" in stopped
    site.config("releaseDowngrade", "true")
    site.up()
    assert assert_one_release(site) == before
    assert site.get("/probe/release").status == 200
    unpin(site)
