"""The description of the system: decided from settings alone, before anything runs."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest
from scaffold import settings as app_settings

from infra import images, release, secrets, web
from infra.model import Image, Job, Limits, Probe, Service, System, Workload
from infra.platforms import order
from infra.platforms.docker import network
from infra.platforms.docker.workload import duration
from infra.settings import Patience
from tests.infra.conftest import RunProgram

ROOT = Path(__file__).resolve().parent.parent.parent
PROVIDERS = ("pulumi_docker", "pulumi_kubernetes")
PARTS = {"backup", "database", "gateway", "images", "maintenance", "release", "secrets", "web"}


def imports(path: Path) -> set[str]:
    """Return the dotted names that a module imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def test_only_a_platform_imports_a_provider() -> None:
    modules = list((ROOT / "infra").glob("*.py"))
    assert len(modules) > 8
    for path in modules:
        assert not [name for name in imports(path) if name.startswith(PROVIDERS)], path.name


def test_a_platform_imports_no_part() -> None:
    modules = list((ROOT / "infra" / "platforms").rglob("*.py"))
    assert len(modules) > 5
    for path in modules:
        parts = {name.split(".")[1] for name in imports(path) if name.startswith("infra.") and name.count(".") >= 1}
        assert not parts & PARTS, path


def workload(**changes: object) -> Workload:
    """Return a small workload."""
    return replace(Workload(Image("app", "0"), 10001, Limits(128, "1.0")), **changes)  # type: ignore[arg-type]


def test_a_release_id_changes_with_whatever_makes_the_release() -> None:
    secret = release.public_file("key", "one")
    base = workload(files=(secret,), env={"A": "1"})
    changed = [
        workload(files=(replace(secret, fingerprint="other"),), env={"A": "1"}),
        workload(files=(secret,), env={"A": "2"}),
        workload(files=(secret,), env={"A": "1"}, image=Image("app", "1")),
        workload(files=(secret,), env={"A": "1"}, limits=Limits(256, "1.0")),
    ]
    ids = [release.id_of([each]) for each in (base, *changed)]
    assert len(set(ids)) == len(ids)
    assert release.id_of([base]) == ids[0]
    assert release.id_of([base], "another program") != ids[0]
    assert all(len(each) == release.LENGTH for each in ids)


def test_how_long_a_migration_waits_makes_no_release(run_program: RunProgram) -> None:
    waits = [run_program({"migrationLockTimeout": seconds}).outputs["release"] for seconds in ("5", "50")]
    assert waits[0] == waits[1]


@pytest.mark.parametrize("patience", [(1, 1, 1, 0, 0), (3600, 100, 86400, 86400, 3600)])
def test_what_the_stack_takes_for_the_patience_of_a_migration_the_app_takes_too(patience: tuple[int, ...]) -> None:
    told = web.patience(Patience(*patience))
    environment = {"SQLALCHEMY_DATABASE_URI": "sqlite://", "ENVIRONMENT": "development"}
    found = app_settings.load(environment | told, serving=False)
    names = ("lock_timeout", "lock_attempts", "statement_timeout", "lock_wait", "database_wait")
    assert tuple(getattr(found, f"migration_{name}") for name in names) == patience


def test_a_release_id_never_touches_the_content_of_a_file() -> None:
    one = workload(files=(replace(release.public_file("key", "one"), content="another"),))
    other = workload(files=(release.public_file("key", "one"),))
    assert release.id_of([one]) == release.id_of([other])


def test_an_image_tag_follows_the_content_the_names_and_the_executable_bits(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("one")
    tags = [images.tag(tmp_path, {})]
    (tmp_path / "file").chmod(0o755)
    tags.append(images.tag(tmp_path, {}))
    (tmp_path / "file").rename(tmp_path / "other")
    tags.append(images.tag(tmp_path, {}))
    tags.append(images.tag(tmp_path, {"PSYCOPG": "c"}))
    assert len(set(tags)) == 4
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.pyc").write_text("left behind")
    assert images.tag(tmp_path, {"PSYCOPG": "c"}) == tags[-1]


def test_two_login_roles_take_turns_and_only_the_new_one_gets_a_new_password() -> None:
    assert [secrets.active_slot(version) for version in (1, 2, 3)] == ["app_a", "app_b", "app_a"]
    for version in range(1, 20):
        active = secrets.active_slot(version)
        assert secrets.slot_version(active, version) == version
        for slot in secrets.SLOTS:
            if slot != secrets.active_slot(version + 1):
                assert secrets.slot_version(slot, version) == secrets.slot_version(slot, version + 1)


def system_of(services: tuple[Service, ...], jobs: tuple[Job, ...] = ()) -> System:
    """Return a system with nothing but services and jobs."""
    return System("p", "s", "r", services, jobs, (), None)  # type: ignore[arg-type]


def service(name: str, *callers: str, after: tuple[str, ...] = ()) -> Service:
    """Return a small service."""
    return Service(name, workload(), 80, Probe(("true",)), callers, 1, after=after)


def test_who_may_call_a_service_shares_an_internal_network_with_it_and_nobody_else_does() -> None:
    planned = network.plan(system_of((service("a"), service("b", "a"), service("c", "b"))))
    assert planned.networks == {"to-b": True, "to-c": True}
    assert planned.members == {"b": ("to-b", "to-c"), "a": ("to-b",), "c": ("to-c",)}


def test_what_comes_after_something_follows_it() -> None:
    names = [
        each.name
        for each in order.of(system_of((service("a", after=("b",)), service("b", after=("c",)), service("c"))))
    ]
    assert names == ["c", "b", "a"]


@pytest.mark.parametrize(("after", "said"), [(("nothing",), "does not exist"), (("a",), "wait for each other")])
def test_an_impossible_order_is_refused_by_name(after: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        order.of(system_of((service("a", after=after),)))


@pytest.mark.parametrize(
    ("seconds", "text"), [(1, "1s"), (10, "10s"), (60, "1m0s"), (90, "1m30s"), (3600, "1h0m0s"), (3725, "1h2m5s")]
)
def test_a_duration_is_spelled_as_the_daemon_gives_it_back(seconds: int, text: str) -> None:
    assert duration(seconds) == text


def test_the_outputs_name_every_address_that_is_registered_elsewhere(run_program: RunProgram) -> None:
    found = run_program({"siteUrl": "https://app.example.com", "environment": "production"}).outputs
    assert found["siteUrl"] == "https://app.example.com"
    assert found["healthUrl"] == "https://app.example.com/healthz"
    assert found["samlMetadataUrl"] == "https://app.example.com/auth/login/saml/metadata"
    assert found["samlAcsUrl"] == "https://app.example.com/auth/login/saml/acs"
    assert found["samlSlsUrl"] == "https://app.example.com/auth/login/saml/sls"
    assert len(found["release"]) == release.LENGTH


def test_a_flag_that_no_volume_would_keep_is_refused() -> None:
    with pytest.raises(ValueError, match=r"web: the flag /tmp/flag is below none of its mounts"):
        Service("web", workload(), 8000, Probe(("true",)), (), 5, flag="/tmp/flag")
