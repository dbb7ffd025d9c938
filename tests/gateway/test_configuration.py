"""nginx.conf: no value of gateway.json can say more than it should, and Nginx takes every rendered one."""

from __future__ import annotations

import json
import re
from pathlib import Path

from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from watcher import configuration, settings
from watcher.configuration import Surroundings
from watcher.settings import Settings, SettingsError

from infra.gateway import MEMORY
from infra.model import Limits
from tests.conftest import ROOT, run_docker
from tests.gateway.stage import Stage

TEMPLATE = (ROOT / "gateway" / "nginx.conf.tmpl").read_text(encoding="utf-8")
SURROUNDINGS = Surroundings(
    runtime="/dev/shm/gateway",
    spool="/tmp/gateway",
    page="/var/lib/gateway/current/maintenance.html",
    lua="/usr/lib/gateway/lua",
    listen=("0.0.0.0:8080", "[::]:8080"),
)
label = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
host = st.one_of(
    st.lists(label, min_size=1, max_size=6).map(".".join).filter(lambda name: len(name) <= 253),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
)
valid = st.fixed_dictionaries(
    {"site_url": st.builds("{}://{}".format, st.sampled_from(["http", "https"]), host)},
    optional={
        "trusted_proxies": st.lists(st.ip_addresses().map(str).filter("255.255.255.255".__ne__), max_size=4),
        "max_body": st.builds("{}{}".format, st.integers(1, 1024), st.sampled_from(["k", "m"])),
        "retry_after": st.integers(1, 86400),
        "connect_timeout_ms": st.integers(10, 10000),
        "read_timeout": st.integers(1, 3600),
        "workers": st.integers(1, 4),
        "worker_connections": st.integers(64, 1024),
        "hsts_max_age": st.integers(0, 63072000),
        "upstream": st.none() | st.builds(lambda name: {"discover": f"{name}:8000"}, label),
    },
)
hostile = st.text(alphabet=st.sampled_from([*list("a0.:/[]@#$;{}\"'\\ \n\t%?&=-_~*^()<>|"), "\x00", "é"]))
keys = st.sampled_from(list(Settings.__dataclass_fields__))
anything = st.one_of(hostile, st.builds("https://{}".format, hostile), st.lists(hostile), st.integers())


def render(text: str) -> str:
    return configuration.render(settings.parse(text), TEMPLATE, SURROUNDINGS)


def skeleton(rendered: str) -> list[str]:
    """The directives without what settings may fill in: quoted text, numbers, addresses."""
    kept = []
    for line in rendered.splitlines():
        bare = line.strip()
        if not bare:
            continue
        if re.fullmatch(r"(set_real_ip_from [0-9a-f.:/]+|[0-9a-f.:/]+ 1);", bare):
            continue
        if "Strict-Transport-Security" in bare:
            assert re.fullmatch(
                r'proxy_hide_header Strict-Transport-Security;|'
                r'add_header Strict-Transport-Security "max-age=\d+" always;', bare
            )  # fmt: skip
            continue
        bare = re.sub(
            r'^((?:proxy_set_header (?:Host|X-Forwarded-Host)|server_name)) "[a-z0-9.:\[\]-]+";$', r"\1 V;", bare
        )
        bare = re.sub(r"^default https?;$", "default V;", bare)
        bare = re.sub(r'ngx\.print\("[0-9a-f]{16}"\)', "V", bare)
        kept.append(re.sub(r"\b\d+(ms|s|k|m)?\b", "N", bare))
    return kept


USUAL = skeleton(render('{"site_url": "https://site.test"}'))


@given(valid)
@effort(max_examples=60)
def test_valid_settings_change_values_and_never_the_structure(chosen: dict[str, object]) -> None:
    assert skeleton(render(json.dumps(chosen))) == USUAL


@given(st.dictionaries(keys, anything), st.booleans())
@effort(max_examples=200)
def test_hostile_values_are_refused_or_harmless(chosen: dict[str, object], with_site: bool) -> None:
    try:
        rendered = render(json.dumps({**({"site_url": "https://site.test"} if with_site else {}), **chosen}))
    except SettingsError:
        return
    assert skeleton(rendered) == USUAL


@given(valid, valid)
@effort(max_examples=40)
def test_the_digest_is_the_configuration_s_own(one: dict[str, object], other: dict[str, object]) -> None:
    first, second = render(json.dumps(one)), render(json.dumps(other))
    assert (configuration.digest_of(first) == configuration.digest_of(second)) == (first == second)
    assert re.fullmatch(r"[0-9a-f]{16}", configuration.digest_of(first))


def test_as_many_clients_as_connect_cannot_exhaust_the_memory_with_headers_and_bodies() -> None:
    def kib(directive: str) -> int:
        found = re.search(rf"^ +{directive} (?:(\d+) )?(\d+)k;", TEMPLATE, re.MULTILINE)
        assert found
        return int(found[1] or 1) * int(found[2])

    buffers = ("client_header_buffer_size", "large_client_header_buffers", "client_body_buffer_size")
    clients = Settings().workers * Settings().worker_connections
    idle, spool = 40, Limits(memory=MEMORY, cpus="1.0").tmp
    assert idle + spool + clients * sum(map(kib, buffers)) // 1024 <= MEMORY


def test_nginx_takes_what_is_rendered(stage: Stage, tmp_path: Path) -> None:
    texts: list[str] = [render(json.dumps({"site_url": f"https://{'.'.join(['a' * 62] * 4)}"}))]

    @given(valid)
    @effort(max_examples=40, suppress_health_check=list(HealthCheck), database=None)
    def collect(chosen: dict[str, object]) -> None:
        texts.append(render(json.dumps(chosen)))

    collect()
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.conf").write_text(text)
    tmp_path.chmod(0o755)
    script = (
        "mkdir /tmp/gateway /dev/shm/gateway; "
        "for f in /conf/*.conf; do nginx -t -q -c $f || { echo $f; exit 1; }; done; echo fine"
    )
    said = run_docker(
        "run", "--rm", *stage.label(), "-v", f"{tmp_path}:/conf:ro", stage.image, "bash", "-c", f"{script} 2>&1",
        timeout=60,
    )  # fmt: skip
    assert said == "fine"
