"""Logs: every line is JSON, whoever wrote it, and none holds a secret or a query string."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

APP = Path(__file__).resolve().parents[2] / "app"


def lines_of(source: str, **env: str) -> list[dict[str, Any]]:
    """Run some Python with the app's package and return what it printed, standard error included."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(APP), **env}
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    found = [json.loads(line) for line in (done.stdout + done.stderr).splitlines()]
    assert found, done.returncode
    return found


def test_the_app_the_standard_library_and_warnings_are_written_alike() -> None:
    lines = lines_of(
        "import logging, warnings, structlog\n"
        "from scaffold import logs\n"
        "logs.configure('INFO', 'r7')\n"
        "structlog.stdlib.get_logger('a').info('one', answer=42)\n"
        "logging.getLogger('b').warning('two %s', 'words')\n"
        "warnings.warn('three')\n"
        "logging.getLogger('c').debug('too quiet')\n"
    )
    assert [line["level"] for line in lines] == ["info", "warning", "warning"]
    assert lines[0]["answer"] == 42
    assert lines[1]["event"] == "two words"
    assert "three" in lines[2]["event"]
    assert all(line["release"] == "r7" and line["timestamp"].endswith("Z") for line in lines)


def test_what_nobody_caught_is_one_line_with_its_traceback_in_one_field() -> None:
    (line,) = lines_of("from scaffold import logs\nlogs.configure()\ndef f():\n    raise RuntimeError('a\\nb')\nf()\n")
    assert line["level"] == "critical"
    assert line["exception"].startswith("Traceback")
    assert "RuntimeError: a\nb" in line["exception"]


def test_settings_that_cannot_be_used_are_a_line_each_without_a_traceback() -> None:
    lines = lines_of("import scaffold\nscaffold.create_app()\n", SECRET_KEY="hunter2", WEB_WORKERS="none")
    assert [line["problem"].split(":")[0] for line in lines] == [
        "SQLALCHEMY_DATABASE_URI", "SITE_URL", "SECRET_KEY", "WEB_WORKERS",
    ]  # fmt: skip
    assert "hunter2" not in json.dumps(lines)
    assert not any("exception" in line for line in lines)


def test_a_request_is_a_line_with_its_reference_and_without_its_query(tmp_path: Path) -> None:
    lines = lines_of(
        "import scaffold\n"
        "client = scaffold.create_app().test_client()\n"
        "client.get('/nowhere?SAMLRequest=hunter2', headers={'X-Request-ID': 'reference-1'}, buffered=True)\n"
        "client.get('/healthz')\n",
        ENVIRONMENT="development", SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/x.db", RELEASE="r7",
    )  # fmt: skip
    (line,) = [line for line in lines if line["event"] == "request"]
    assert (line["path"], line["status"], line["request_id"], line["release"]) == ("/nowhere", 404, "reference-1", "r7")
    assert "hunter2" not in json.dumps(lines)


def test_a_traceback_of_a_request_carries_its_reference(tmp_path: Path) -> None:
    lines = lines_of(
        "import scaffold\n"
        "app = scaffold.create_app()\n"
        "app.add_url_rule('/broken', view_func=lambda: 1 / 0)\n"
        "app.test_client().get('/broken', headers={'X-Request-ID': 'reference-1'}, buffered=True)\n",
        ENVIRONMENT="development", SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/x.db",
    )  # fmt: skip
    (line,) = [line for line in lines if "exception" in line]
    assert line["request_id"] == "reference-1"
    assert "ZeroDivisionError" in line["exception"]
