"""The gateway as a whole: its files, its upstream and its Nginx, changed one thing at a time."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import replace
from typing import Any

from watcher import configuration, durable, files, journal, maintenance, settings, upstream
from watcher.files import Files, Store
from watcher.layout import Layout
from watcher.maintenance import Flag, FlagError
from watcher.nginx import Nginx, NginxError
from watcher.resolver import Resolver
from watcher.settings import Settings, SettingsError
from watcher.upstream import Upstream, UpstreamError

RESOLVE_TIMEOUT = 5.0
FIRST_RESOLVE_TIMEOUT = 1.0
START_TIMEOUT = 15.0
PUSH = "upstream"
CANDIDATE = "candidate"


class Refused(Exception):  # noqa: N818 - it is an answer, not a fault
    """A change that was not made; the former state holds."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def serving(wanted: Settings, chosen: Upstream) -> Settings:
    """Return the settings as they hold while an upstream serves: under the URL that its release knows itself by."""
    return replace(wanted, site_url=chosen.site_url) if chosen.peers and chosen.site_url else wanted


class Gateway:
    """What the control and the supervisor act on; every method that changes something holds the lock."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.nginx = Nginx(layout)
        self.resolver = Resolver(self._addresses_changed)
        self._store = Store(layout)
        self._lock = threading.RLock()
        self._push = threading.Lock()
        self._upstream = Upstream()
        self._settings = Settings()
        self._problem = ""
        self._flag: Flag | None = None
        self._flag_read = ""
        self._template = (layout.image / "nginx.conf.tmpl").read_text(encoding="utf-8")
        self._surroundings = configuration.Surroundings("", "", "", "", ())
        self._digest = ""
        self._started = False
        self._stopping = False
        self._failures = 0

    # -- Starting, and starting again

    def start(self) -> None:
        """Take up what was last applied and start Nginx; raise OSError, NginxError."""
        with self._lock:
            for directory in (self.layout.runtime, self.layout.spool):
                directory.mkdir(mode=0o700, exist_ok=True)
            self._store.prepare()
            self._take_up_flag()
            self._surroundings = configuration.Surroundings(
                runtime=str(self.layout.runtime),
                spool=str(self.layout.spool),
                page=str(self.layout.current / files.PAGE),
                lua=str(self.layout.image / "lua"),
                listen=self.nginx.open_sockets(),
            )
            self._settings = self._stored_settings()
            self._upstream = self._stored_upstream()
            self.resolver.watch(PUSH, self._upstream.peers)
            self.resolver.start()
            if missing := self.resolver.await_all(self._upstream.peers, FIRST_RESOLVE_TIMEOUT):
                journal.warning("peers have no address yet", peers=[str(peer) for peer in missing])
            self._write_peers()
            self._install(self._render(self._settings, self._upstream))
            self.nginx.start()
            self.nginx.await_configuration(self._digest, START_TIMEOUT)
            self._started = True
            self._push_peers()
        on = {"maintenance": self._flag.id} if self._flag else {}
        journal.info("serving", files=self._store.current(), **self._upstream.document(), **on)

    def _stored_settings(self) -> Settings:
        try:
            found = (
                settings.parse(self._store.read().settings) if self._store.current() != files.DEFAULT else Settings()
            )
            self._test(self._render(found, Upstream()))
        except (OSError, SettingsError, NginxError) as error:
            self._problem = str(error)
            journal.error("the stored settings cannot be used; every request gets the page", problem=self._problem)
            return Settings()
        return found

    def _stored_upstream(self) -> Upstream:
        if self._settings.upstream:
            return Upstream("", (upstream.peer(self._settings.upstream),))
        try:
            return upstream.parse(self.layout.upstream_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Upstream()
        except (OSError, UpstreamError) as error:
            journal.error("the stored upstream cannot be used", problem=str(error))
            return Upstream()

    def supervise(self) -> None:
        """Start Nginx again when its master has ended; called when a child ends, and every second."""
        with self._lock:
            status = self.nginx.ended()
            if status is None or self._stopping:
                return
            self._failures += 1
            journal.error("nginx has ended and is started again", status=status, times=self._failures)
            if self._failures > 1:
                time.sleep(min(5.0, 0.1 * 2 ** min(self._failures, 6)))
            self._write_peers()
            try:
                self.nginx.start()
                self.nginx.await_configuration(self._digest, START_TIMEOUT)
                self._push_peers()
            except NginxError as error:
                journal.error("nginx did not start", problem=str(error))
                return
            finally:
                self.nginx.retire_orphans()
            self._failures = 0
            journal.info("nginx serves again", pid=self.nginx.pid)

    def stop(self) -> None:
        """Take no more connections and let nobody start Nginx again."""
        self._stopping = True
        self.nginx.close_sockets()

    # -- Files

    def put_files(self, given: object) -> dict[str, Any]:
        """Take a page and settings; raise Refused, in which case the former ones hold."""
        with self._lock:
            try:
                fresh = files.check(given)
                wanted = settings.parse(fresh.settings)
            except (files.FilesError, SettingsError) as error:
                raise Refused(422, str(error)) from error
            rendered = self._render(wanted, self._upstream)
            try:
                self._test(rendered)
            except (OSError, NginxError) as error:
                raise Refused(422, f"nginx refuses the configuration, and the former one is kept: {error}") from error
            self._use(fresh, wanted, rendered)
            return {"digest": fresh.digest}

    def _use(self, fresh: Files, wanted: Settings, rendered: str) -> None:
        former_files, former_digest = self._store.current(), self._digest
        former_rendered = self.layout.configuration.read_text(encoding="utf-8")
        reload = configuration.digest_of(rendered) != former_digest
        try:
            self._store.use(self._store.add(fresh))
            if reload:
                self._install(rendered)
                self.nginx.reload(self._digest)
        except (OSError, NginxError) as error:
            with contextlib.suppress(OSError, NginxError):
                self._store.use(former_files)
                self._install(former_rendered)
                self.nginx.reload(self._digest)
            raise Refused(422, f"nginx did not take the configuration, and the former one is kept: {error}") from error
        self._settings, self._problem = wanted, ""
        self._write_planned_page(self._flag)
        self._store.prune()
        journal.info("files are in use", files=fresh.digest, reloaded=reload)
        # Kubernetes names the peers in the settings; Docker's switch tells them.
        chosen = self._stored_upstream()
        if chosen != self._upstream:
            self.resolver.watch(CANDIDATE, chosen.peers)
            self.resolver.await_all(chosen.peers, FIRST_RESOLVE_TIMEOUT)
            self._move_to(chosen)
            self.resolver.watch(CANDIDATE, ())

    def _render(self, wanted: Settings, chosen: Upstream) -> str:
        return configuration.render(serving(wanted, chosen), self._template, self._surroundings)

    def _test(self, rendered: str) -> None:
        self.layout.candidate.write_text(rendered, encoding="utf-8")
        self.nginx.test(self.layout.candidate)

    def _install(self, rendered: str) -> None:
        durable.write(self.layout.configuration, rendered)
        self._digest = configuration.digest_of(rendered)

    # -- A maintenance on purpose

    def put_maintenance(self, given: object) -> dict[str, Any]:
        """Have everybody get the page from now on, or nobody any more; raise Refused, in which case all is as before.

        Kept before Nginx is told: what a person was told is on stays on, whatever is killed after it.
        """
        with self._lock:
            if not os.access(self.layout.flag_file.parent, os.W_OK):
                raise Refused(409, "a maintenance is told by a ConfigMap here, and read from it")
            try:
                wanted = maintenance.check(given) if given is not None else None
            except FlagError as error:
                raise Refused(422, str(error)) from error
            former = self._flag
            try:
                self._keep_flag(wanted)
                self._use_flag(wanted, maintenance.text(wanted) if wanted else "")
            except (OSError, NginxError) as error:
                with contextlib.suppress(OSError, NginxError):
                    self._keep_flag(former)
                    self._use_flag(former, maintenance.text(former) if former else "")
                raise Refused(503, f"maintenance: {error}; what was so before holds") from error
            return {"maintenance": wanted.document() if wanted else None}

    def follow_flag(self) -> None:
        """Do what the file says, where it says something new; called every second."""
        with self._lock:
            if self._stopping or (said := self._said_of_flag()) in (None, self._flag_read):
                return
            try:
                self._use_flag(maintenance.parse(said) if said else None, said)
            except FlagError as error:
                self._flag_read = said
                journal.error("the maintenance cannot be used; what was so before holds", problem=str(error))
            except (OSError, NginxError) as error:
                journal.warning("nginx was not told of the maintenance, and will be", problem=str(error))

    def _take_up_flag(self) -> None:
        """Know the maintenance before Nginx starts: there is no moment at which it lets visitors in."""
        self.layout.flag_file.parent.mkdir(exist_ok=True)
        said = self._flag_read = self._said_of_flag() or ""
        try:
            self._flag = maintenance.parse(said) if said else None
        except FlagError as error:
            journal.error("the stored maintenance cannot be used", problem=str(error))
        self._write_planned_page(self._flag)
        durable.write(self.layout.flag, maintenance.nginx_text(self._flag))

    def _said_of_flag(self) -> str | None:
        """Return what the file says, nothing where there is none, or None where it cannot be read."""
        try:
            return self.layout.flag_file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            journal.warning("the maintenance cannot be read", problem=str(error))
            return None

    def _keep_flag(self, wanted: Flag | None) -> None:
        if wanted:
            durable.write(self.layout.flag_file, maintenance.text(wanted))
        else:
            durable.remove(self.layout.flag_file)

    def _use_flag(self, wanted: Flag | None, said: str) -> None:
        """Tell Nginx; raise OSError, NginxError. The page first: whoever is sent to it finds it."""
        self._write_planned_page(wanted)
        text = maintenance.nginx_text(wanted)
        durable.write(self.layout.flag, text)
        self.nginx.put_flag(text)
        self._flag, self._flag_read = wanted, said
        if wanted:
            journal.info("a maintenance is on", maintenance=wanted.id, expected=wanted.expected, allow=wanted.allow)
        else:
            journal.info("no maintenance is on")

    def _write_planned_page(self, wanted: Flag | None) -> None:
        if wanted:
            durable.write(self.layout.planned_page, maintenance.page(self._store.read().page, wanted))

    # -- The upstream

    def put_upstream(self, given: object) -> dict[str, Any]:
        """Send every request from now on to these peers; raise Refused, in which case the former ones hold."""
        with self._lock:
            if self._settings.upstream:
                raise Refused(
                    409, f"gateway.json says upstream.discover {self._settings.upstream!r}: set it to null to switch"
                )
            try:
                wanted = upstream.check(given)
            except UpstreamError as error:
                raise Refused(422, str(error)) from error
            self.resolver.watch(CANDIDATE, wanted.peers)
            try:
                missing = self.resolver.await_all(wanted.peers, RESOLVE_TIMEOUT)
                if missing:
                    names = ", ".join(str(peer) for peer in missing)
                    raise Refused(
                        422, f"upstream: no address for {names} within {RESOLVE_TIMEOUT:g} s; the former one is kept"
                    )
                try:
                    self._move_site_and_peers_to(wanted)
                except (OSError, NginxError) as error:
                    raise Refused(503, f"upstream: {error}; the former one is kept") from error
            finally:
                self.resolver.watch(CANDIDATE, ())
            journal.info("upstream is in use", **wanted.document())
            return wanted.document()

    def _move_site_and_peers_to(self, wanted: Upstream) -> None:
        """Answer under a release's own URL, where it has one, and send requests to it; raise OSError, NginxError."""
        former = self.layout.configuration.read_text(encoding="utf-8")
        rendered = self._render(self._settings, wanted)
        reload = configuration.digest_of(rendered) != self._digest
        try:
            if reload:
                self._test(rendered)
                self._install(rendered)
                self.nginx.reload(self._digest)
            self._move_to(wanted)
        except (OSError, NginxError):
            if reload:
                with contextlib.suppress(OSError, NginxError):
                    self._install(former)
                    self.nginx.reload(self._digest)
            raise

    def _move_to(self, wanted: Upstream) -> None:
        """Send requests to other peers; raise OSError, NginxError, in which case they go where they went before.

        The former peers' addresses are forgotten last: a change of address that is pushed meanwhile needs them.
        """
        with self._push:
            former, self._upstream = self._upstream, wanted
            try:
                self.nginx.put_peers(self._write_peers())
                if not self._settings.upstream:
                    durable.write(self.layout.upstream_file, upstream.text(wanted))
            except (OSError, NginxError):
                self._upstream = former
                with contextlib.suppress(OSError, NginxError):
                    self.nginx.put_peers(self._write_peers())
                raise
            self.resolver.watch(PUSH, wanted.peers)

    def _addresses_changed(self) -> None:
        """Tell Nginx the addresses as they are now; called by the resolver."""
        if not self._started or self._stopping:
            return
        try:
            self._push_peers()
        except (OSError, NginxError) as error:
            journal.warning("nginx was not told new addresses", problem=str(error))

    def _write_peers(self) -> str:
        chosen = self._upstream
        text = upstream.addresses_text(chosen, self.resolver.addresses(chosen.peers))
        durable.write(self.layout.peers, text)
        return text

    def _push_peers(self) -> None:
        with self._push:
            self.nginx.put_peers(self._write_peers())

    # -- What is so

    def status(self) -> dict[str, Any]:
        """Return what is in use, and what the workers counted."""
        chosen = self._upstream
        addresses = self.resolver.addresses(chosen.peers)
        try:
            counters = self.nginx.counters()
        except NginxError as error:
            counters = {}
            journal.warning("no counters", problem=str(error))
        return {
            "release": chosen.release,
            "peers": [str(peer) for peer in chosen.peers],
            "addresses": {str(peer): list(addresses.get(peer, ())) for peer in chosen.peers},
            "files": self._store.current(),
            "site_url": serving(self._settings, chosen).site_url,
            "problem": self._problem,
            "nginx": {"pid": self.nginx.pid, "workers": sorted(self.nginx.workers()), "configuration": self._digest},
            "requests": {name: counters.get(name, 0) for name in ("1xx", "2xx", "3xx", "4xx", "5xx")},
            "maintenance": self._flag.document() if self._flag else None,
            "maintenance_pages": counters.get("pages", 0),
            "maintenance_pages_planned": counters.get("planned", 0),
            "maintenance_bypassed": counters.get("bypassed", 0),
        }

    def metrics(self) -> str:
        """Return the counters in the text format that Prometheus reads."""
        now = self.status()
        lines = ["# TYPE gateway_requests_total counter"]
        lines += [f'gateway_requests_total{{class="{name}"}} {count}' for name, count in now["requests"].items()]
        lines += [
            "# TYPE gateway_maintenance_pages_total counter",
            f"gateway_maintenance_pages_total {now['maintenance_pages']}",
            "# TYPE gateway_maintenance_pages_planned_total counter",
            f"gateway_maintenance_pages_planned_total {now['maintenance_pages_planned']}",
            "# TYPE gateway_maintenance_bypassed_total counter",
            f"gateway_maintenance_bypassed_total {now['maintenance_bypassed']}",
            "# TYPE gateway_maintenance_on gauge",
            f"gateway_maintenance_on {int(now['maintenance'] is not None)}",
            "# TYPE gateway_peer_addresses gauge",
            f"gateway_peer_addresses {sum(len(found) for found in now['addresses'].values())}",
            "# TYPE gateway_release_info gauge",
            f'gateway_release_info{{release="{now["release"]}"}} 1',
            "# TYPE gateway_nginx_up gauge",
            f"gateway_nginx_up {int(now['nginx']['pid'] is not None)}",
        ]
        return "\n".join(lines) + "\n"
