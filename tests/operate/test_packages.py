"""What is newer than an image's packages is told package by package, and the record of it names one state alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra import images, settings
from operate import packages, throwaway, upgrade_images
from operate.packages import Newer
from operate.request import request_from
from setup import daemon
from setup.daemon import Daemon
from setup.problem import Problem
from tests.conftest import ROOT, Docker

INSTALLED = {("apt", "3.0.4"), ("tzdata", "2025b-4"), ("zlib1g", "1:1.3")}
NEWER = [Newer("tzdata", "2025b-4", "2026a-0+deb13u1")]
OLDER = """
FROM {base}
RUN sed -i '/^Package: tzdata$/,/^$/s/^Version: .*/Version: 1.0/' /var/lib/dpkg/status
"""


@pytest.fixture
def client() -> Daemon:
    """The Docker daemon of this machine."""
    return Daemon(daemon.endpoint_from({}))


@pytest.fixture
def older(docker: Docker, run_id: str, tmp_path: Path) -> Iterator[str]:
    """An image whose dpkg believes that it has an older tzdata than the distribution."""
    (tmp_path / "Dockerfile").write_text(OLDER.format(base="debian:trixie-slim"))
    name = f"scaffold-test-older:{run_id}"
    docker("build", "--quiet", "--tag", name, str(tmp_path))
    yield name
    docker("image", "rm", "--force", name)


def test_what_dpkg_calls_installed_is_read_without_what_it_says_beside() -> None:
    said = ["installed apt 3.0.4", "config-files vim 2:9", "", "installed zlib1g 1:1.3", "dpkg-query: a warning"]
    assert packages.installed_from(said) == {("apt", "3.0.4"), ("zlib1g", "1:1.3")}


def test_the_answer_is_found_among_apts_own_lines() -> None:
    said = ["Get:1 somewhere trixie InRelease", "newer zlib1g 1:1.3 1:1.4", "newer apt 3.0.4 3.0.5", "Reading lists..."]
    assert packages.newer_from(said) == [Newer("apt", "3.0.4", "3.0.5"), Newer("zlib1g", "1:1.3", "1:1.4")]


def test_the_record_is_the_day_and_a_hash_of_what_will_be_installed() -> None:
    made = packages.record(INSTALLED, NEWER, "2026-11-25", "")
    assert made.startswith("2026-11-25-")
    assert settings.read({"environment": "development", "packages": made}).packages == made
    others = [Newer("tzdata", "2025b-4", "2026b-0+deb13u1")]
    assert packages.record(INSTALLED, others, "2026-11-25", "") != made


def test_the_same_versions_asked_for_again_are_the_same_record_whatever_the_day() -> None:
    """What was begun and failed goes on, and builds nothing that is built."""
    made = packages.record(INSTALLED, NEWER, "2026-11-25", "")
    assert packages.record(INSTALLED, NEWER, "2026-11-29", made) == made
    upgraded = (INSTALLED - {("tzdata", "2025b-4")}) | {("tzdata", "2026a-0+deb13u1")}
    assert packages.record(upgraded, [], "2026-11-29", made) == made


def test_a_person_sees_name_from_and_to() -> None:
    assert packages.table([*NEWER, Newer("zlib1g", "1", "2")]) == [
        "tzdata  2025b-4  2026a-0+deb13u1",
        "zlib1g  1        2",
    ]


def test_another_record_makes_every_image_another_one() -> None:
    before = settings.read({"environment": "development"})
    after = dataclasses.replace(before, packages="2026-11-25-3fa2c1d0")
    for image in (images.app, images.gateway, images.database, images.backup):
        assert image(before).tag != image(after).tag
        assert image(after).arguments["PACKAGES"] == "2026-11-25-3fa2c1d0"


@pytest.mark.parametrize("folder", ["app", "gateway", "database", "backup"])
def test_the_record_stands_before_the_packages_of_the_stage_that_runs(folder: str) -> None:
    """An argument that is declared later would leave the cached packages as they are."""
    last = (ROOT / folder / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    assert last.index("ARG PACKAGES\n") < last.index("apt-get update") < last.index("apt-get upgrade")


def test_a_record_that_nothing_made_is_refused() -> None:
    with pytest.raises(
        settings.SettingsError, match="packages: got 'yesterday', wanted what `make upgrade-images` sets"
    ):
        settings.read({"packages": "yesterday"})


def test_images_are_found_in_the_state_of_either_platform() -> None:
    resources: list[dict[str, Any]] = [
        {"type": "docker:index/remoteImage:RemoteImage", "outputs": {"name": "scaffold-app:1"}},
        {"type": "docker:index/remoteImage:RemoteImage", "outputs": {"name": "scaffold-app:0"}, "delete": True},
        {"type": "docker:index/image:Image", "outputs": {"imageName": "127.0.0.1:5050/scaffold-gateway:1"}},
        {"type": "docker:index/container:Container", "outputs": {"name": "web"}},
    ]
    assert upgrade_images.images_of(resources, "dev") == ["127.0.0.1:5050/scaffold-gateway:1", "scaffold-app:1"]
    with pytest.raises(Problem, match="The stack dev has no images yet"):
        upgrade_images.images_of(resources[3:], "dev")


def test_a_pinned_stack_is_refused_with_the_way_out(tmp_path: Path) -> None:
    request = request_from("upgrade-images", [], {"HOME": str(tmp_path), "STACK": "pinned"})
    file = request.places.stack_file("pinned")
    file.parent.mkdir(parents=True)
    file.write_text("config:\n  scaffold:release: 0123456789\n")
    with pytest.raises(Problem, match="pinned to the release 0123456789") as refused:
        upgrade_images.run(request)
    assert "make unpin STACK=pinned" in refused.value.fix


def test_the_distribution_is_asked_what_is_newer_than_an_images_packages(client: Daemon, older: str) -> None:
    said = throwaway.run(client, older, packages.INSTALLED, lambda _: None, online=False, seconds=60)
    installed = packages.installed_from(said)
    lines = "\n".join(f"{name} {version}" for name, version in installed if name in ("tzdata", "base-passwd"))
    newer = packages.newer_from(upgrade_images.ask(client, "debian:trixie-slim", lines, lambda _: None))
    assert [(each.name, each.installed) for each in newer] == [("tzdata", "1.0")]


def test_a_machine_without_a_network_hears_of_it_and_keeps_no_container(client: Daemon, docker: Docker) -> None:
    with pytest.raises(Problem, match="ended with exit code") as failed:
        throwaway.run(
            client, "debian:trixie-slim", ("sh", "-c", packages.QUESTION, "ask", "apt 3.0.4"), lambda _: None,
            online=False, seconds=120,
        )  # fmt: skip
    assert "Temporary failure resolving" in failed.value.cause
    assert docker("ps", "--all", "--quiet", "--filter", f"label={throwaway.LABEL}") == ""
