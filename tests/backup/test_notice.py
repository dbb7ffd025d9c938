"""Notices: what others are told, and that none of them can harm a backup."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from backup import notice
from backup.error import StopError
from backup.notice import Event

FAILURE = Event("failure", {"database": "scaffold", "error": "the disk is full"})


class Receiver(ThreadingHTTPServer):
    """A web server that keeps what it gets."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        super().__init__((host, 0), Handler)
        self.host = host
        self.got: list[tuple[str, bytes]] = []
        self.answer = 200
        self.hang = threading.Event()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.got.append((self.path, self.rfile.read(length)))
        if self.server.answer == 0:
            self.server.hang.wait(30)
            return
        self.send_response(self.server.answer)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Letterbox(socketserver.ThreadingTCPServer):
    """A mail server that keeps what it gets."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Clerk)
        self.letters: list[str] = []
        self.commands: list[str] = []


class Clerk(socketserver.StreamRequestHandler):
    server: Letterbox

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline().decode().strip():
            self.server.commands.append(line)
            word = line.upper().split()[0]
            if word == "DATA":
                self.wfile.write(b"354 go on\r\n")
                letter = ""
                while (text := self.rfile.readline().decode()) != ".\r\n":
                    letter += text
                self.server.letters.append(letter)
            self.wfile.write(b"221 bye\r\n" if word == "QUIT" else b"250 well\r\n")
            if word == "QUIT":
                return


def serve(server: Any) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    if isinstance(server, Receiver):
        server.hang.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    yield from serve(Receiver())


@pytest.fixture
def letterbox() -> Iterator[Letterbox]:
    yield from serve(Letterbox())


def test_a_web_hook_gets_json_and_a_ping_its_word(receiver: Receiver) -> None:
    channels = notice.find(
        {"BACKUP_WEBHOOK_URL": f"{receiver.url}/hook?token=t", "BACKUP_PING_URL": f"{receiver.url}/uuid/"}
    )
    for name in ("start", "success", "failure", "overdue"):
        notice.tell(channels, Event(name, {"bytes": 7}))
    hooks = [json.loads(body) for path, body in receiver.got if path == "/hook?token=t"]
    assert [hook["event"] for hook in hooks] == ["start", "success", "failure", "overdue"]
    assert {hook["bytes"] for hook in hooks} == {7}
    pings = [(path, body) for path, body in receiver.got if path.startswith("/uuid")]
    assert pings == [("/uuid/start", b""), ("/uuid", b""), ("/uuid/fail", b""), ("/uuid/fail", b"")], (
        "no words in pings"
    )


def test_a_drill_that_fails_is_told_by_every_channel(receiver: Receiver, letterbox: Letterbox) -> None:
    channels = notice.find(
        {
            "BACKUP_WEBHOOK_URL": f"{receiver.url}/hook",
            "BACKUP_PING_URL": f"{receiver.url}/uuid",
            "BACKUP_SMTP_URL": f"smtp://127.0.0.1:{letterbox.server_address[1]}",
            "BACKUP_MAIL_TO": "a@example.org",
            "BACKUP_MAIL_FROM": "backup@example.org",
        }
    )
    assert notice.tell(channels, Event("drill-failure", {"backups": "latest", "error": "no identity matched"}))
    assert [path for path, _ in receiver.got] == ["/hook", "/uuid/fail"]
    assert json.loads(receiver.got[0][1])["error"] == "no identity matched"
    (letter,) = letterbox.letters
    assert "drill-failure" in letter


def test_mail_goes_out_for_what_somebody_has_to_do_something_about(letterbox: Letterbox) -> None:
    port = letterbox.server_address[1]
    channels = notice.find(
        {
            "BACKUP_SMTP_URL": f"smtp://127.0.0.1:{port}",
            "BACKUP_MAIL_TO": "a@example.org, b@example.org",
            "BACKUP_MAIL_FROM": "backup@example.org",
        }
    )
    notice.tell(channels, Event("success", {}))
    notice.tell(channels, FAILURE)
    (letter,) = letterbox.letters
    assert "Subject: Backup of scaffold: failure" in letter
    assert "error: the disk is full" in letter
    assert "To: a@example.org, b@example.org" in letter


def test_a_password_is_never_sent_to_a_mail_server_without_tls(
    letterbox: Letterbox, capsys: pytest.CaptureFixture[str]
) -> None:
    port = letterbox.server_address[1]
    channels = notice.find(
        {
            "BACKUP_SMTP_URL": f"smtp://user:geheim@127.0.0.1:{port}",
            "BACKUP_MAIL_TO": "a@example.org",
            "BACKUP_MAIL_FROM": "backup@example.org",
        }
    )
    notice.tell(channels, FAILURE)
    assert letterbox.letters == []
    assert not any("AUTH" in command for command in letterbox.commands)
    told = capsys.readouterr().out
    assert "mail to 127.0.0.1" in told
    assert "geheim" not in told


@pytest.mark.parametrize("answer", [0, 302, 500])
def test_a_web_hook_that_hangs_or_refuses_is_passed_over_and_told_without_its_address(
    receiver: Receiver, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, answer: int
) -> None:
    monkeypatch.setattr(notice, "SECONDS", 0.5)
    receiver.answer = answer
    assert not notice.tell(notice.find({"BACKUP_WEBHOOK_URL": f"{receiver.url}/secret-token"}), FAILURE)
    (line,) = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert line["level"] == "warning"
    assert (f"it answered {answer}" if answer else "TimeoutError") in line["event"] or "timed out" in line["event"]
    assert "secret-token" not in line["event"]


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"BACKUP_WEBHOOK_URL": "ftp://geheim@host"}, "BACKUP_WEBHOOK_URL: wanted a URL that begins with https://"),
        ({"BACKUP_PING_URL": "geheim"}, "BACKUP_PING_URL"),
        ({"BACKUP_SMTP_URL": "smtp://geheim@host"}, "BACKUP_MAIL_TO and BACKUP_MAIL_FROM"),
        ({"BACKUP_MAIL_TO": "a@example.org"}, "BACKUP_SMTP_URL: not set"),
    ],
)
def test_an_unusable_channel_is_refused_by_its_setting(environ: dict[str, str], words: str) -> None:
    with pytest.raises(StopError) as refused:
        notice.find(environ)
    assert words in str(refused.value)
    assert "geheim" not in str(refused.value)
    assert "geheim" not in repr(notice.find({"BACKUP_PING_URL": "https://geheim@host/geheim"}))


def test_a_hanging_web_hook_does_not_change_what_a_run_comes_to(desk: Any) -> None:
    # An address of the container's own at which nobody listens.
    place = {"BACKUP_WEBHOOK_URL": "http://127.0.0.1:9/geheim", "BACKUP_PING_URL": "http://127.0.0.1:9/geheim"}
    done = desk.run("run", **place)
    assert done.status == 0, done.text
    assert done.text.count("the backup is none the worse") == 4
    assert "geheim" not in done.text
