"""The life of a stack on Docker, in order: up, look, break, mend, release, fail, go back, refuse, destroy."""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from operate import backup, backups, flask, restore, restore_undo, restores
from operate.request import Request
from setup import state
from setup.places import places_from
from tests.conftest import ROOT, run_docker
from tests.e2e.browser import chromium
from tests.e2e.release import BROKEN_MIGRATION, head_of, is_page, is_site
from tests.e2e.site import PROJECT, Site
from tests.e2e.traffic import Traffic

TOLD = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6} of .* UTC: [1-9][0-9]* rows in [1-9][0-9]* bytes, restored$")


def stack_label(site: Site) -> str:
    """Return the filter for what belongs to the stack."""
    return f"label=scaffold.stack={site.stack}"


def snapshot(site: Site) -> str:
    """Return everything about the stack's containers that changes when somebody touches them."""
    touched = "{{.Id}} {{.Name}} {{.State.StartedAt}} {{.RestartCount}} {{json .Config}} {{json .HostConfig}}"
    return run_docker("container", "inspect", "--format", touched, *site.containers())


@pytest.fixture
def whole(serving: Site) -> Iterator[Site]:
    """The serving stack; what a failing test breaks is mended by an `up`, for the next one."""
    yield serving
    if serving.get("/").status != 200:
        serving.up(check=False)


def test_the_first_up_serves_the_site_from_nothing(serving: Site) -> None:
    """M1: `pulumi up` builds the image and runs web and PostgreSQL."""
    answer = serving.get("/")
    assert answer.status == 200
    assert "Scaffold under test" in answer.body
    assert serving.outputs()["release"] in answer.body


def test_the_outputs_name_the_addresses_and_they_answer(serving: Site) -> None:
    """M8: the outputs give the URLs."""
    outputs = serving.outputs()
    assert outputs["siteUrl"] == serving.url
    assert serving.get(outputs["healthUrl"].removeprefix(serving.url)).status == 200
    ready = serving.get(outputs["readyUrl"].removeprefix(serving.url))
    assert json.loads(ready.body)["release"] == outputs["release"]
    assert outputs["samlMetadataUrl"].startswith(serving.url)


def test_only_the_gateway_publishes_a_port(serving: Site) -> None:
    """M3: the gateway is the only way in."""
    published = {
        name: run_docker("container", "port", name)
        for name in serving.containers(running=True)
        if run_docker("port", name)
    }
    assert published == {f"scaffold-test-{serving.stack}-gateway": f"8080/tcp -> 127.0.0.1:{serving.port}"}


def test_every_page_looks_right_in_a_browser(serving: Site, artefacts: Path) -> None:
    with chromium() as browser:
        for scheme in ("light", "dark"):
            for width in (1280, 390):
                page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 800})
                problems: list[str] = []
                page.on("pageerror", lambda error: problems.append(str(error)))  # noqa: B023
                page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)  # noqa: B023
                for name, path, status in (("home", "/", 200), ("not-found", "/nowhere", 404)):
                    answer = page.goto(serving.url + path)
                    assert answer is not None
                    assert answer.status == status
                    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (
                        f"{path} at {width}"
                    )
                    page.screenshot(path=artefacts / f"{name}-{scheme}-{width}.png", full_page=True)
                assert [p for p in problems if "404" not in p] == []
                page.close()


def test_a_command_of_the_apps_own_runs_in_the_release_that_serves(
    serving: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(state, "NAME", PROJECT)
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    words = ("release", "list", "--json")
    assert flask.run(Request("flask", serving.stack, words, places_from(environment, ROOT), environment)) == 0
    (newest, *_) = json.loads(capfd.readouterr().out)
    assert (newest["release"], newest["outcome"]) == (serving.outputs()["release"], "serving")


def test_a_backup_is_made_of_the_database_restored_and_listed(
    serving: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """M11, M12: on demand as by the clock, by pg_dump, and proven."""
    monkeypatch.setattr(state, "NAME", PROJECT)
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    places = places_from(environment, ROOT)
    assert backup.run(Request("backup", serving.stack, (), places, environment)) == 0
    assert "backup made, restored and compared" in capfd.readouterr().out
    assert backups.run(Request("backups", serving.stack, ("list", "--json"), places, environment)) == 0
    (newest, *_) = json.loads(capfd.readouterr().out)
    assert (newest["level"], newest["good"], newest["database"]) == ("restored", True, "scaffold")
    assert newest["rows"] > 0
    (name,) = serving.containers("db-backup", running=True)
    kept = run_docker("exec", name, "sh", "-c", f"pg_restore --list {newest['folder']}/*.dump")
    assert "TABLE DATA public users" in kept


def test_a_restore_takes_the_database_back_with_the_site_up_again_and_can_be_undone(
    serving: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """M13, M14, M15, M16: a backup from its volume, through the queue, with web stopped and started for it."""
    monkeypatch.setattr(state, "NAME", PROJECT)
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "YES": "yes", "LATEST": "1"}
    places = places_from(environment, ROOT)

    def typed(verb: ModuleType, name: str, *words: str) -> str:
        assert verb.run(Request(name, serving.stack, words, places, environment)) == 0, capfd.readouterr().out
        return capfd.readouterr().out

    typed(backup, "backup")
    typed(flask, "flask", "users", "add", "later@example.com", "--name", "Later")
    running = serving.containers("web", running=True)
    with Traffic(serving.port) as traffic:
        typed(restore, "restore")
        serving.wait_for(is_site)
    assert set(traffic.answers) <= {"200", "503"}
    assert "later@example.com" not in typed(flask, "flask", "users", "list")
    assert serving.containers("web", running=True) == running
    (receipt,) = json.loads(typed(restores, "restores", "list", "--json"))
    assert (receipt["outcome"], receipt["file"].partition(".")[2]) == ("done", "dump")
    assert receipt["previous_is_there"]
    typed(restore_undo, "restore-undo")
    serving.wait_for(is_site)
    assert "later@example.com" in typed(flask, "flask", "users", "list")


def test_a_second_up_changes_nothing_and_tells_of_the_newest_backup(serving: Site) -> None:
    before = snapshot(serving)
    serving.up("--expect-no-changes")
    assert snapshot(serving) == before
    assert TOLD.match(serving.outputs()["lastBackup"])


def test_a_preview_touches_nothing(serving: Site) -> None:
    before, state = snapshot(serving), serving.state()
    serving.config("maintenanceMessage", "Just a preview.")
    try:
        said = serving.pulumi("preview").stdout
    finally:
        serving.pulumi("config", "rm", "maintenanceMessage")
    assert re.search(r"\+ \d+ to create", said)
    assert snapshot(serving) == before
    assert serving.state() == state


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_tracked_stack_file_previews(serving: Site, stack: str) -> None:
    tracked = (ROOT / f"Pulumi.{stack}.yaml").read_text()
    file = serving.folder / f"Pulumi.{stack}.yaml"
    assert "encryptionsalt" not in tracked
    serving.pulumi("stack", "init", "--no-select", stack)
    file.write_text(f"{file.read_text()}\n{tracked}".replace("scaffold:", f"{PROJECT}:"))
    said = serving.pulumi("preview", "--stack", stack).stdout
    assert re.search(r"\+ \d+ to create", said)
    made = ["--filter", f"label=scaffold.project={PROJECT}", "--filter", f"label=scaffold.stack={stack}"]
    assert run_docker("ps", "--all", "--quiet", *made) == ""
    serving.pulumi("stack", "rm", "--yes", "--preserve-config", stack)
    file.unlink()


def test_an_unknown_host_is_refused_except_by_the_probes(serving: Site) -> None:
    assert serving.get("/", {"Host": "evil.example"}).status == 421
    assert serving.get("/healthz", {"Host": "evil.example"}).status == 200
    answer = serving.get("/nowhere", {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"})
    assert "evil.example" not in answer.body + str(answer.headers)


def test_neither_a_name_nor_an_environment_nor_a_log_nor_a_process_nor_the_state_shows_a_secret(serving: Site) -> None:
    exported = json.loads(serving.pulumi("stack", "export", "--show-secrets").stdout)
    secrets = {
        resource["outputs"]["result"]["plaintext"].strip('"')
        for resource in exported["deployment"]["resources"]
        if resource["type"] == "random:index/randomPassword:RandomPassword"
    } | {serving.passphrase}
    # Passwords of six roles, what signs backups, what seals an archive, two keys with the next of each, the passphrase.
    assert len(secrets) == 13
    containers = serving.containers()
    places = {
        "docker inspect": run_docker("container", "inspect", *containers),
        "process list": subprocess.run(["ps", "axeww"], capture_output=True, text=True, timeout=30, check=True).stdout,
        "state": serving.state(),
        "program's folder": "".join(p.read_text(errors="replace") for p in serving.folder.glob("Pulumi.*")),
        "volume names": run_docker("volume", "ls", "--format", "{{.Name}} {{.Labels}}"),
    }
    for name in containers:
        logs = subprocess.run(["docker", "logs", name], capture_output=True, text=True, timeout=30, check=True)
        places[f"log of {name}"] = logs.stdout + logs.stderr
    for image in {run_docker("container", "inspect", "--format", "{{.Config.Image}}", name) for name in containers}:
        places[f"history of {image}"] = run_docker("image", "history", "--no-trunc", image)
        places[f"configuration of {image}"] = run_docker("image", "inspect", image)
    assert len(places) > 15
    for place, text in places.items():
        for secret in secrets:
            assert secret not in text, f"a secret is in the {place}"


def test_every_line_that_a_container_prints_is_json(serving: Site) -> None:
    """M23: structured logs from every component."""
    for name in serving.containers():
        done = subprocess.run(["docker", "logs", name], capture_output=True, text=True, timeout=30, check=True)
        for line in (done.stdout + done.stderr).splitlines():
            assert isinstance(json.loads(line), dict), f"{name}: {line}"


def test_every_service_runs_without_privileges_on_a_root_it_cannot_write(serving: Site) -> None:
    for service in ("gateway", "database", "web", "db-backup", "db-restore", "db-restore-loader"):
        for name in serving.containers(service, running=True):
            status = run_docker("exec", name, "cat", "/proc/1/status")
            assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE), name
            assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE), name
            assert re.search(r"^Uid:\s+1000\d\s", status, re.MULTILINE), name
            assert "Read-only" in _refused(name, "touch", "/etc/written")


def _refused(container: str, *command: str) -> str:
    """Return what a command that must fail in a container says."""
    done = subprocess.run(
        ["docker", "exec", container, *command], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode != 0, f"{container}: {command} was allowed"
    return done.stderr


def test_nobody_reaches_what_is_not_declared(serving: Site) -> None:
    address = "{{range $name, $network := .NetworkSettings.Networks}}{{$network.IPAddress}} {{end}}"
    (database,) = serving.containers("database", running=True)
    database_address = run_docker("container", "inspect", "--format", address, database).split()[0]
    connect = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)"
    (gateway,) = serving.containers("gateway", running=True)
    _refused(gateway, "python3", "-c", connect, database_address, "5432")
    _refused(gateway, "python3", "-c", connect, "database", "5432")
    (web,) = serving.containers("web", running=True)
    run_docker("exec", web, "python3", "-c", connect, "database", "5432")
    internal = {
        name: run_docker("network", "inspect", "--format", "{{.Internal}}", name)
        for name in run_docker("network", "ls", "--filter", stack_label(serving), "--format", "{{.Name}}").split()
    }
    outward = [name for name, inside in internal.items() if inside == "false"]
    assert outward == [f"scaffold-test-{serving.stack}-edge"]
    joined = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}"
    for name in serving.containers():
        if name != gateway:
            assert not set(run_docker("container", "inspect", "--format", joined, name).split()) & {*outward, "bridge"}


def test_a_killed_app_shows_the_page_at_once_and_comes_back_by_itself(whole: Site, artefacts: Path) -> None:
    (web,) = whole.containers("web", running=True)
    with Traffic(whole.port) as traffic:
        whole.wait_for(is_site)
        killed = time.monotonic()
        whole.kill_process(web)
        whole.wait_for(is_page, 5)
        first_page = time.monotonic() - killed
        whole.wait_for(is_site, 20)
        back = time.monotonic() - killed
    (artefacts / "killed-app.json").write_text(json.dumps({"first page s": first_page, "real answer s": back}))
    assert set(traffic.answers) <= {"200", "503"}, traffic.answers
    assert traffic.answers["503"] > 0
    assert first_page < 2


def test_web_stopped_by_hand_shows_the_page_until_the_next_up(whole: Site, artefacts: Path) -> None:
    """M4, M6: the page, with whom to ask, whenever the app is gone."""
    (web,) = whole.containers("web", running=True)
    run_docker("stop", web)
    whole.wait_for(is_page)
    with chromium() as browser:
        for scheme in ("light", "dark"):
            page = browser.new_page(color_scheme=scheme, viewport={"width": 1280, "height": 800})
            answer = page.goto(whole.url)
            assert answer is not None
            assert answer.status == 503
            page.screenshot(path=artefacts / f"maintenance-{scheme}-1280.png", full_page=True)
            page.close()
    whole.up()
    whole.wait_for(is_site)


def test_web_removed_by_hand_comes_back_with_the_next_up(whole: Site) -> None:
    (web,) = whole.containers("web", running=True)
    run_docker("rm", "--force", web)
    whole.wait_for(is_page)
    whole.up()
    whole.wait_for(is_site)
    assert whole.containers("web", running=True) == [web]


def test_a_stopped_database_shows_the_page_and_then_the_site_again(whole: Site) -> None:
    (database,) = whole.containers("database", running=True)
    run_docker("stop", database)
    assert run_docker("container", "inspect", "--format", "{{.State.ExitCode}}", database) == "0"
    whole.wait_for(is_page)
    assert whole.get("/healthz").status == 200
    assert whole.get("/readyz").status == 503
    whole.up()
    whole.wait_for(is_site)


def test_a_killed_database_recovers_by_itself(whole: Site) -> None:
    (database,) = whole.containers("database", running=True)
    whole.kill_process(database)
    whole.wait_for(is_site, 60)
    whole.up("--expect-no-changes")


def test_a_stopped_stack_comes_back_though_its_networks_were_pruned(whole: Site) -> None:
    run_docker("stop", *whole.containers(running=True))
    networks = run_docker("network", "ls", "--quiet", "--filter", stack_label(whole)).split()
    assert len(networks) == 3
    run_docker("network", "rm", *networks)
    whole.up()
    whole.wait_for(is_site)
    whole.up("--expect-no-changes")


def test_an_address_without_a_daemon_is_refused_and_leaves_no_trace(whole: Site) -> None:
    before = snapshot(whole)
    whole.config("dockerHost", "unix:///there/is/no/such.sock")
    try:
        refused = whole.up(check=False)
    finally:
        whole.pulumi("config", "rm", "dockerHost")
    assert refused.returncode != 0
    assert "no Docker daemon answers at dockerHost 'unix:///there/is/no/such.sock'" in refused.stdout + refused.stderr
    whole.up("--expect-no-changes")
    assert snapshot(whole) == before


def test_a_stack_is_not_taken_to_another_daemon(whole: Site, tmp_path: Path) -> None:
    before = snapshot(whole)
    with other_daemon(tmp_path / "docker.sock") as address:
        whole.config("dockerHost", address)
        try:
            refused = whole.up(check=False)
        finally:
            whole.pulumi("config", "rm", "dockerHost")
    assert refused.returncode != 0
    assert "another Docker daemon than the one this stack runs on" in refused.stdout + refused.stderr
    whole.up("--expect-no-changes")
    assert snapshot(whole) == before


class AnswersAsAnotherDaemon(http.server.BaseHTTPRequestHandler):
    """Answers what `docker info` asks, with an identity of its own."""

    def do_GET(self) -> None:
        """Tell of a daemon without containers."""
        body = json.dumps({"ID": "another", "NCPU": 2}).encode()
        self.send_response(200)
        self.send_header("Api-Version", "1.41")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        """Answer the question for a sign of life as the other one."""
        self.do_GET()

    def address_string(self) -> str:
        """Name who asks; a Unix socket has no address."""
        return "local"

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def other_daemon(path: Path) -> Iterator[str]:
    """Serve on a Unix socket as a daemon would that is not the one in use, and yield its address."""
    with socketserver.ThreadingUnixStreamServer(str(path), AnswersAsAnotherDaemon) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"unix://{path}"
        server.shutdown()
        thread.join(timeout=10)


def test_a_failed_migration_leaves_the_old_release_serving_and_runs_again_with_the_next_up(whole: Site) -> None:
    """M2, M24: migrations go before traffic, and decide whether there is any."""
    before = whole.outputs()["release"]
    broken = whole.folder / "app" / "migrations" / "versions" / "ffffffffffff_broken.py"
    broken.write_text(BROKEN_MIGRATION.format(head=head_of(whole.folder)))
    with Traffic(whole.port) as traffic:
        first = whole.up(check=False)
        assert first.returncode != 0
        assert "there_is_no_such_table" in first.stdout + first.stderr
        assert json.loads(whole.get("/readyz").body)["release"] == before
        again = whole.up(check=False)
        assert again.returncode != 0, "the failed migration was forgotten"
        assert "there_is_no_such_table" in again.stdout + again.stderr
        mended = broken.read_text().replace("ALTER TABLE there_is_no_such_table ADD COLUMN nothing integer", "SELECT 1")
        broken.write_text(mended)
        whole.up()
    after = json.loads(whole.get("/readyz").body)["release"]
    assert after == whole.outputs()["release"] != before
    assert set(traffic.answers) == {"200"}, traffic.answers
    whole.up("--expect-no-changes")


def test_going_back_after_a_failed_switch_serves_the_old_release(whole: Site) -> None:
    before = whole.outputs()["release"]
    server = whole.folder / "app" / "gunicorn.conf.py"
    working = server.read_text()
    whole.config("readySeconds", "6")
    whole.up()
    server.write_text(working + '\nraise RuntimeError("this release migrates, but cannot serve")\n')
    with Traffic(whole.port) as traffic:
        failed = whole.up(check=False)
        assert failed.returncode != 0
        assert json.loads(whole.get("/readyz").body)["release"] == before
        assert {name.split("-web-")[1].split("-")[0] for name in whole.containers("web", running=True)} == {before}
        assert whole.outputs()["release"] == before
        server.write_text(working)
        whole.up()
        assert json.loads(whole.get("/readyz").body)["release"] == before == whole.outputs()["release"]
    assert set(traffic.answers) == {"200"}, traffic.answers
    assert {name.split("-web-")[1].split("-")[0] for name in whole.containers("web")} == {before}


def test_a_new_page_reaches_the_gateway_without_a_restart(whole: Site) -> None:
    (gateway,) = whole.containers("gateway", running=True)
    started = run_docker("container", "inspect", "--format", "{{.State.StartedAt}}", gateway)
    whole.config("maintenanceMessage", "Back at noon.")
    with Traffic(whole.port) as traffic:
        whole.up()
    assert set(traffic.answers) == {"200"}, traffic.answers
    assert run_docker("container", "inspect", "--format", "{{.State.StartedAt}}", gateway) == started
    (web,) = whole.containers("web", running=True)
    run_docker("stop", web)
    assert "Back at noon." in whole.wait_for(is_page).body
    whole.up()


def test_a_new_database_password_refuses_nobody(whole: Site) -> None:
    with Traffic(whole.port) as traffic:
        whole.config("databasePasswordVersion", "2")
        whole.up()
    assert set(traffic.answers) == {"200"}, traffic.answers
    whole.up("--expect-no-changes")


def test_a_killed_update_is_named_and_healed(whole: Site) -> None:
    (web,) = whole.containers("web", running=True)
    run_docker("rm", "--force", web)
    process = subprocess.Popen(
        [whole.environment["SCAFFOLD_PULUMI"], "up", "--yes", "--skip-preview", "--non-interactive"],
        cwd=whole.folder,
        env=whole.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not whole.containers("web") and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    locked = whole.up(check=False)
    assert locked.returncode != 0
    assert "locked" in locked.stdout + locked.stderr
    whole.pulumi("cancel", "--yes")
    second = whole.up(check=False)
    if second.returncode != 0:
        assert "a killed run left it" in second.stdout + second.stderr
        assert web in second.stdout + second.stderr
        run_docker("rm", "--force", web)
        whole.up()
    whole.wait_for(is_site)
    whole.up("--expect-no-changes")


def test_destroy_is_refused_over_protected_data(whole: Site) -> None:
    refused = whole.pulumi("destroy", "--yes", "--skip-preview", check=False)
    assert refused.returncode != 0
    assert "protect" in refused.stdout + refused.stderr
    assert run_docker("volume", "inspect", f"scaffold-test-{whole.stack}-database")
    whole.up()
    whole.wait_for(is_site)
