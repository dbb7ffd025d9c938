"""What would make an update fail is said before it begins, with its remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from setup import preflight
from setup.locks import Holder
from setup.ports import Listener
from setup.preflight import Publisher, port_of, port_problem, publishers, setting
from setup.state import Known, PulumiLock, Strays

EVERY = "0.0.0.0"  # noqa: S104 - compared, not bound

LABELS = {"scaffold.project": "scaffold", "scaffold.stack": "dev"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("config:\n  scaffold:gatewayPort: 8010\n", "8010"),
        ("config:\n  scaffold:gatewayPort: '8010'  # the usual one is taken\n", "8010"),
        ('config:\n  "scaffold:gatewayPort": "8010"\n', "8010"),
        ("config:\n  # scaffold:gatewayPort: 8010\n", None),
        ("config:\n  scaffold:gatewayPortal: 8010\n", None),
        ("config:\n  scaffold:gatewayPort:\n", None),
        (None, None),
    ],
)
def test_a_plain_setting_is_read_without_a_yaml_library(text: str | None, value: str | None) -> None:
    assert setting("gatewayPort", text) == value


def test_a_secret_that_is_set_is_seen_without_being_read() -> None:
    text = "config:\n  scaffold:databaseUrl:\n    secure: v1:abc\n"
    assert preflight.is_set("databaseUrl", None, text)
    assert not preflight.is_set("databaseOwnerUrl", text)
    assert not preflight.is_set("databaseUrl", "config:\n  # scaffold:databaseUrl: x\n", None)


def test_the_stack_file_in_use_goes_before_the_tracked_one() -> None:
    assert port_of("scaffold:gatewayPort: 1\n", "scaffold:gatewayPort: 2\n") == 1
    assert port_of(None, "scaffold:gatewayPort: 2\n") == 2
    assert port_of("scaffold:gatewayPort: many\n") == preflight.DEFAULT_PORT


def test_a_port_that_a_process_has_names_it_and_two_ways_out() -> None:
    problem = port_problem(8000, "127.0.0.1", [Listener("127.0.0.1", 8000, "7", 42, "python3")], [])
    assert problem is not None
    assert problem.cause == "Port 8000 on 127.0.0.1 is taken by process 42 (python3, on 127.0.0.1)."
    assert "gatewayPort" in problem.fix


def test_a_port_that_a_container_has_names_the_container_and_not_dockers_proxy() -> None:
    proxy = Listener(EVERY, 8000, "7", 42, "docker-proxy")
    problem = port_problem(8000, "127.0.0.1", [proxy], [Publisher("other-web", EVERY, ours=False)])
    assert problem is not None
    assert "the container other-web" in problem.cause
    assert "docker-proxy" not in problem.cause
    assert "docker stop other-web" in problem.fix


def test_a_port_that_this_stacks_own_gateway_has_is_no_problem() -> None:
    proxy = Listener("127.0.0.1", 8000, "7", 42, "docker-proxy")
    assert port_problem(8000, "127.0.0.1", [proxy], [Publisher("gateway", "127.0.0.1", ours=True)]) is None


def test_a_listener_on_another_address_is_no_problem() -> None:
    assert port_problem(8000, "127.0.0.1", [Listener("10.0.0.1", 8000, "7", 42, "x")], []) is None


def test_a_process_of_another_user_is_said_to_be_one() -> None:
    problem = port_problem(8000, EVERY, [Listener("127.0.0.1", 8000, "7")], [])
    assert problem is not None
    assert "a process of another user" in problem.cause


def test_the_containers_that_publish_a_port_are_found_with_whose_they_are() -> None:
    def row(name: str, labels: dict[str, str] | None, **port: Any) -> dict[str, Any]:
        return {"Names": [f"/{name}"], "Labels": labels, "Ports": [port]}

    rows = [
        row("ours", LABELS, IP="127.0.0.1", PublicPort=8000, PrivatePort=8080, Type="tcp"),
        row("theirs", None, IP=EVERY, PublicPort=8000, PrivatePort=80, Type="tcp"),
        row("another-stack", {**LABELS, "scaffold.stack": "prod"}, IP="::", PublicPort=8000, Type="tcp"),
        row("udp", None, IP=EVERY, PublicPort=8000, Type="udp"),
        row("inside", None, PrivatePort=8000, Type="tcp"),
    ]
    assert publishers(8000, rows, LABELS) == [
        Publisher("ours", "127.0.0.1", ours=True),
        Publisher("theirs", EVERY, ours=False),
        Publisher("another-stack", "::", ours=False),
    ]


def test_a_lock_names_who_holds_it_and_the_command_that_takes_it_off() -> None:
    held = PulumiLock(Path("/x"), 42, "ann", "far", 0)
    problem = preflight.lock_problem("dev", [held])
    assert problem is not None
    assert "ann@far, process 42" in problem.cause
    assert "make cancel STACK=dev" in problem.fix
    assert preflight.lock_problem("dev", []) is None


def test_the_second_of_two_runs_is_told_about_the_first() -> None:
    assert "process 42 (make up STACK=dev" in preflight.held_problem("dev", Holder(42, "make up STACK=dev", 0)).cause


@pytest.mark.parametrize(
    ("present", "given", "state", "salt", "file", "words"),
    [
        (True, False, True, True, False, None),
        (False, True, True, True, False, None),
        (False, False, False, False, False, None),
        (False, False, True, False, True, "its file /p is gone"),
        (False, False, False, True, False, "carries secrets that were encrypted with a passphrase of its own"),
        (False, False, False, True, True, None),
    ],
)
def test_a_missing_passphrase_is_never_replaced_by_one_that_would_not_fit(
    present: bool, given: bool, state: bool, salt: bool, file: bool, words: str | None
) -> None:
    problem = preflight.passphrase_problem(
        Path("/p"), present=present, given=given, state_exists=state, tracked_salt=salt, stack_file_exists=file
    )
    assert (problem is None) == (words is None)
    assert problem is None or (words or "") in problem.cause


def test_running_containers_of_a_stack_that_this_state_never_knew_are_left_alone() -> None:
    running = Strays(containers=[{"Id": "1", "Names": ["/scaffold-dev-web"], "State": "running"}])
    stopped = Strays(containers=[{"Id": "1", "Names": ["/scaffold-dev-web"], "State": "exited"}])
    unknown, known = Known(exists=False), Known(exists=True, resources=3)
    problem = preflight.stray_problem("dev", unknown, running, sweep=False)
    assert problem is not None
    assert "scaffold-dev-web" in problem.cause
    assert "SWEEP=yes" in problem.fix
    assert preflight.stray_problem("dev", Known(exists=True), running, sweep=False), "configured, but never run"
    assert preflight.stray_problem("dev", unknown, running, sweep=True) is None
    assert preflight.stray_problem("dev", unknown, stopped, sweep=False) is None
    assert preflight.stray_problem("dev", known, running, sweep=False) is None


def test_stray_volumes_are_named_and_kept() -> None:
    note = preflight.stray_volumes_note(Strays(volumes=[{"Name": "scaffold-dev-data"}]))
    assert note is not None
    assert note.startswith("kept: the volume scaffold-dev-data")
    assert "docker volume rm scaffold-dev-data" in note
    assert preflight.stray_volumes_note(Strays()) is None
