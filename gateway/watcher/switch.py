"""`switch`: move the gateway to a release that has proven ready, or put everything back and say who was not."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from urllib.parse import urlsplit

from watcher import asking, environment, journal, site, upstream
from watcher.asking import POLL, JobError
from watcher.exchange import Answer, ExchangeError, exchange
from watcher.layout import Layout
from watcher.upstream import Peer, Upstream, UpstreamError

PROBE_TIMEOUT = 5.0
WARM_TIMEOUT = 15.0
LONGEST_THROUGH = 15.0
ABSENT = 404


@dataclass(frozen=True)
class Plan:
    """What to switch to, and how to be sure of it."""

    target: Upstream
    warm_paths: tuple[str, ...]
    site_url: str
    gateway: Peer
    ready_timeout: float


def plan(variables: Mapping[str, str]) -> Plan:
    """Return the plan in the environment; raise VariableError that names the variable."""
    release = environment.text(variables, "RELEASE")
    names = [name.strip() for name in environment.text(variables, "PEERS").split(",") if name.strip()]
    paths = [path.strip() for path in environment.text(variables, "WARM_PATHS", "").split(",") if path.strip()]
    for path in paths:
        if not path.startswith("/") or not path.isascii() or not path.isprintable() or " " in path:
            raise environment.VariableError(f"WARM_PATHS: got {path!r}, wanted paths such as /auth/login")
    if not release or not names:
        raise environment.VariableError(f"{'PEERS' if release else 'RELEASE'} is empty")
    try:
        through = upstream.peer(environment.text(variables, "GATEWAY", "gateway:8080"))
    except UpstreamError as error:
        raise environment.VariableError(f"GATEWAY: {error}") from error
    try:
        site_url = site.site_url(environment.text(variables, "SITE_URL"))
    except ValueError as error:
        raise environment.VariableError(f"SITE_URL: {error}") from error
    try:
        target = upstream.check({"release": release, "peers": names, "site_url": site_url})
    except UpstreamError as error:
        raise environment.VariableError(f"RELEASE, PEERS: {error}") from error
    return Plan(target, tuple(paths), site_url, through, environment.seconds(variables, "READY_TIMEOUT", 60))


def run(variables: Mapping[str, str], layout: Layout) -> int:
    """Switch; return the exit status."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupted)
    try:
        wanted = plan(variables)
        perform(wanted, layout)
    except (JobError, environment.VariableError) as error:
        journal.error("the switch failed", problem=str(error))
        return 1
    journal.info("switched", **wanted.target.document())
    return 0


def interrupted(number: int, _frame: FrameType | None) -> None:
    """Turn a signal into a failure, so that the former upstream is put back."""
    raise JobError(f"interrupted by {signal.Signals(number).name}")


def perform(wanted: Plan, layout: Layout) -> None:
    """Probe, warm, switch and probe again; raise JobError, with the former upstream in use."""
    until = time.monotonic() + wanted.ready_timeout
    for peer in wanted.target.peers:
        began = time.monotonic()
        probe(wanted, peer, until)
        warm(wanted, peer, until)
        journal.info("peer is ready and warm", peer=str(peer), seconds=round(time.monotonic() - began, 3))
    former = asking.ask(layout, "GET", "/status")
    previous = {key: former[key] for key in ("release", "peers", "site_url") if former[key] is not None}
    try:
        asking.ask(layout, "PUT", "/upstream", wanted.target.document())
        through(wanted, layout)
    except BaseException as error:
        put_back(layout, previous, error)
        raise


def put_back(layout: Layout, previous: Mapping[str, object], why: BaseException) -> None:
    """Put the previous upstream back; raise JobError when even that fails."""
    try:
        asking.ask(layout, "PUT", "/upstream", previous)
    except JobError as error:
        raise JobError(f"{why}; and the previous upstream {json.dumps(previous)} was not put back: {error}") from why
    journal.warning("the previous upstream is back", release=previous["release"], peers=previous["peers"])


def headers(site_url: str) -> dict[str, str]:
    """Return the headers that make a request look like one to the site."""
    parts = urlsplit(site_url)
    return {"Host": parts.netloc, "X-Forwarded-Proto": parts.scheme, "X-Forwarded-Host": parts.netloc}


def probe(wanted: Plan, peer: Peer, until: float) -> None:
    """Wait until a peer says that it is ready and of the wanted release; raise JobError with what it said last.

    An image without /readyz is given up at once: it will not get one by waiting.
    """
    release = wanted.target.release

    def ready() -> str:
        answer = get(peer, "/readyz", wanted.site_url, PROBE_TIMEOUT)
        if answer.status == ABSENT:
            raise JobError(f"{peer}: {lacking(release)}")
        return readiness(answer, release)

    retry(ready, until, f"{peer}: /readyz: not ready within {wanted.ready_timeout:g} s")


def readiness(answer: Answer, release: str) -> str:
    """Return what is missing in an answer of /readyz, or nothing where the release is ready."""
    document = answer.document()
    told = document if isinstance(document, dict) else {}
    if answer.status != 200 or told.get("status") != "ready":
        return f"it answered {answer.status} {answer.body[:200].decode('utf-8', 'replace').strip()!r}"
    if told.get("release") != release:
        return f"it answered as release {told.get('release')!r}, wanted {release!r}"
    return ""


def lacking(release: str) -> str:
    """Say that a release's image does not have what every release is asked, and what to do."""
    wanted = json.dumps({"status": "ready", "release": release})
    return (
        f"the image of release {release} has no /readyz: it answered {ABSENT}, wanted status 200 and {wanted}. "
        "Let the app serve it (app/scaffold/health.py does), and update again; or run a release that has it: "
        "make rollback ARGS=ID (make releases shows them)"
    )


def warm(wanted: Plan, peer: Peer, until: float) -> None:
    """Ask a peer for the warm paths, so that nobody's first request is slow; raise JobError when one fails."""
    for path in wanted.warm_paths:

        def answers(path: str = path) -> str:
            answer = get(peer, path, wanted.site_url, WARM_TIMEOUT)
            return f"it answered {answer.status}" if answer.status >= 500 else ""

        retry(answers, until, f"{peer}: {path}: no good answer within {wanted.ready_timeout:g} s")


def through(wanted: Plan, layout: Layout) -> None:
    """Wait until the gateway answers as the wanted release, as often as there are peers; raise JobError."""
    timeout = min(LONGEST_THROUGH, wanted.ready_timeout)
    until = time.monotonic() + timeout
    where = f"through the gateway {wanted.gateway}"
    for _ in wanted.target.peers:
        retry(
            lambda: readiness(get(wanted.gateway, "/readyz", wanted.site_url, PROBE_TIMEOUT), wanted.target.release),
            until,
            f"{where}: /readyz: not release {wanted.target.release} within {timeout:g} s",
        )
    for path in wanted.warm_paths:

        def answers(path: str = path) -> str:
            answer = get(wanted.gateway, path, wanted.site_url, WARM_TIMEOUT)
            if answer.status == 503 and asking.ask(layout, "GET", "/status")["maintenance"]:
                return ""  # everybody gets the page on purpose; the peers themselves have answered this path
            return f"it answered {answer.status}" if answer.status >= 500 or answer.status == 421 else ""

        retry(answers, until, f"{where}: {path}: no good answer within {timeout:g} s")


def retry(attempt: Callable[[], str], until: float, failing: str) -> None:
    """Try about ten times a second until an attempt finds nothing missing; raise JobError with what it found last."""
    while True:
        try:
            missing = attempt()
        except ExchangeError as error:
            missing = str(error)
        if not missing:
            return
        if time.monotonic() >= until:
            raise JobError(f"{failing}: {missing}")
        time.sleep(POLL)


def get(peer: Peer, path: str, site_url: str, timeout: float) -> Answer:
    """Return the answer to a GET as if it came to the site; raise ExchangeError."""
    return exchange((peer.name, peer.port), "GET", path, headers=headers(site_url), timeout=timeout)
