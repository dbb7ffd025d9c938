"""The one change that closes the port on Docker, another container of the gateway, is told beforehand and is short."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from infra.platforms.docker import interruption
from prober.fate import Fate, Outcome, Verdict
from tests.conftest import Docker, remove_labelled, remove_what_dead_runs_left, run_docker
from tests.e2e.healing import assert_one_release
from tests.e2e.probed import overlay
from tests.e2e.site import Site, new_site
from tests.e2e.visitors import Visitors, told

CLOSED_SECONDS = 10
"""More than it takes on a machine that does nothing else; bench/RESULTS.md has that."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, run_id: str, docker: Docker) -> Iterator[Site]:
    """A stack of its own with the prober's addresses, serving, and removed at the end."""
    remove_what_dead_runs_left("scaffold.stack", "e2e-")
    name = f"e2e-{run_id}-gateway"
    try:
        made = new_site(tmp_path_factory.mktemp("gateway"), name, {"readySeconds": "20"}, overlay)
        made.up()
        yield made
    finally:
        remove_labelled(f"scaffold.stack={name}")


def test_a_preview_warns_of_another_gateway_and_of_nothing_else(site: Site) -> None:
    site.config("siteName", "Another name")
    assert "holds the site's port" not in said(site, "preview")
    another_image(site)
    warned = said(site, "preview")
    assert "the container of the gateway will be replaced (image: scaffold-test-gateway:" in warned
    assert f"closed for {interruption.SECONDS} s" in warned


@pytest.mark.slow
def test_another_gateway_closes_the_port_for_a_moment_and_keeps_the_release(site: Site) -> None:
    (gateway,) = site.containers("gateway", running=True)
    before = image_of(gateway)
    outcomes: list[Outcome] = []
    visitors = Visitors(site, others=[])
    visitors.load.listen = outcomes.append
    another_image(site)
    with visitors:
        visitors.wait()
        assert "holds the site's port" in said(site, "up", "--yes", "--skip-preview")
        visitors.wait()
    assert image_of(gateway) != before
    failures = [each for each in outcomes if each.verdict is Verdict.FAILED]
    report = told(visitors.tally)
    assert visitors.tally.paged == 0, report
    # Docker takes connections before anybody is behind the port: those are reset.
    assert {each.fate for each in failures} <= {Fate.NOT_CONNECTED, Fate.RESET, Fate.CLOSED}, report
    assert failures[-1].due - failures[0].due < CLOSED_SECONDS, report
    assert_one_release(site)
    assert "holds the site's port" not in said(site, "preview")


@pytest.mark.slow
def test_a_stopped_gateway_is_replaced_without_a_word(site: Site) -> None:
    another_image(site)
    (gateway,) = site.containers("gateway", running=True)
    run_docker("stop", gateway)
    assert "holds the site's port" not in said(site, "preview")


def another_image(site: Site) -> None:
    """Change the program so that the gateway's image is another one."""
    template = site.folder / "gateway" / "nginx.conf.tmpl"
    template.write_text(template.read_text() + "# another image\n")


def said(site: Site, *arguments: str) -> str:
    """Return what Pulumi says, in one line."""
    done = site.pulumi(*arguments)
    return re.sub(r"\s+", " ", done.stdout + done.stderr)


def image_of(container: str) -> str:
    """Return the id of the image that a container was made from."""
    return run_docker("container", "inspect", "--format", "{{.Image}}", container)
