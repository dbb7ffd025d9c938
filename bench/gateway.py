"""The gateway beside a bare Nginx: requests a second through each, to the same peer, with a JSON access log in both.

usage: python3 bench/gateway.py [--seconds 10] [--turns 6] [--image scaffold-gateway:test]

Needs Docker, the gateway's image (built when absent) and wrk. Prints one row of a table. The two take turns without a
pause: what else the machine does slows both, and each turn has new connections, which fall to the workers in another
proportion. The peer and wrk use the same processors, as the app does in production.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.row import Row

ROOT = Path(__file__).resolve().parent.parent
HOST = "bench.test"
CONNECTIONS = 32
TEMPORARY = "/tmp"  # noqa: S108 - inside the containers

PEER = """
daemon off; pid /tmp/peer.pid; worker_processes 2; error_log stderr warn;
events { worker_connections 2048; }
http {
    client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/x; uwsgi_temp_path /tmp/x;
    scgi_temp_path /tmp/x; access_log off; keepalive_requests 1000000; keepalive_timeout 75s;
    server { listen 8000; location / { default_type text/html; return 200 "BODY"; } }
}
""".replace("BODY", "x" * 2000)

BARE = """
daemon off; pid /tmp/bare.pid; worker_processes 2; error_log stderr warn;
events { worker_connections 2048; }
http {
    client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/x; uwsgi_temp_path /tmp/x;
    scgi_temp_path /tmp/x; keepalive_requests 10000;
    log_format json escape=json '{"timestamp":"$time_iso8601","level":"info","logger":"gateway.access",'
        '"event":"request","request_id":"$request_id","client":"$remote_addr","method":"$request_method","path":"$uri",'
        '"status":$status,"bytes":$body_bytes_sent,"duration":$request_time,"upstream":"$upstream_addr",'
        '"upstream_status":"$upstream_status","connect_time":"$upstream_connect_time",'
        '"upstream_time":"$upstream_response_time"}';
    access_log /dev/stdout json;
    upstream peer { server PEER:8000; keepalive 32; keepalive_requests 100000; keepalive_timeout 20s; }
    server {
        listen 8080;
        location / {
            proxy_pass http://peer; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
        }
    }
}
"""


def docker(*arguments: str) -> str:
    """Return what Docker prints; raise CalledProcessError."""
    return subprocess.run(
        ["docker", *arguments], check=True, capture_output=True, text=True, timeout=300
    ).stdout.strip()  # fmt: skip


class Bench:
    """The three containers, which go away in the end."""

    def __init__(self, image: str, folder: Path) -> None:
        self.image = image
        self.folder = folder
        self.name = f"bench-{uuid.uuid4().hex[:8]}"

    def run(self, purpose: str, *arguments: str) -> str:
        """Start a container and return its address on the benchmark's network."""
        name = f"{self.name}-{purpose}"
        docker(
            "run", "-d", "--name", name, "--network", self.name, "--label", f"scaffold.bench={self.name}",
            "--log-driver", "none", "--read-only", "--tmpfs", TEMPORARY, "-v", f"{self.folder}:/bench:ro", *arguments,
        )  # fmt: skip
        return docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name)

    def nginx(self, purpose: str, configuration: str) -> str:
        """Start a plain Nginx of the same image."""
        (self.folder / f"{purpose}.conf").write_text(configuration)
        return self.run(purpose, self.image, "nginx", "-c", f"/bench/{purpose}.conf")

    def start(self) -> tuple[str, str]:
        """Return the addresses of the bare Nginx and of the gateway, once both answer."""
        docker("network", "create", "--label", f"scaffold.bench={self.name}", self.name)
        peer = self.nginx("peer", PEER)
        bare = self.nginx("bare", BARE.replace("PEER", peer))
        (self.folder / "maintenance.html").write_text("<p>away</p>")
        (self.folder / "gateway.json").write_text(json.dumps({"site_url": f"http://{HOST}"}))
        gateway = self.run("gateway", self.image)
        name = f"{self.name}-gateway"
        docker("exec", name, "python3", "-m", "watcher", "apply", "/bench")
        script = (
            "from watcher import asking; from watcher.layout import Layout; "
            f"asking.ask(Layout(), 'PUT', '/upstream', {{'release': 'bench', 'peers': ['{peer}:8000']}})"
        )
        docker("exec", name, "python3", "-c", script)
        return bare, gateway

    def stop(self) -> None:
        """Remove what was started."""
        found = docker("ps", "-aq", "--filter", f"label=scaffold.bench={self.name}").split()
        if found:
            docker("rm", "-fv", *found)
        docker("network", "rm", self.name)


@dataclass(frozen=True)
class Run:
    """Requests a second, the 99th percentile as wrk writes it, and failures."""

    rate: float
    tail: str
    failures: int


def wrk(address: str, seconds: int) -> Run:
    """Put one address under load and return what wrk saw."""
    done = subprocess.run(
        ["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-H", f"Host: {HOST}", f"http://{address}:8080/"],
        check=True, capture_output=True, text=True, timeout=seconds + 60,
    ).stdout  # fmt: skip
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done)
    tail = re.search(r"99%\s+(\S+)", done)
    if not rate or not tail:
        raise SystemExit(f"wrk said something else:\n{done}")
    failures = [int(number) for number in re.findall(r"Non-2xx or 3xx responses: (\d+)", done)]
    failures += [int(number) for number in re.findall(r"(?:connect|read|write|timeout) (\d+)", done)]
    return Run(float(rate[1]), tail[1], sum(failures))


def measure(seconds: int, turns: int, image: str = "") -> list[tuple[Run, Run]]:
    """Return the runs of each turn, the bare Nginx's first; the image is built from the working tree when not given."""
    if not image:
        image = "scaffold-gateway:bench"
        docker("build", "-q", "-t", image, str(ROOT / "gateway"))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        bench = Bench(image, Path(folder))
        try:
            bare, gateway = bench.start()
            for address in (bare, gateway):
                wrk(address, 2)
            return [(wrk(bare, seconds), wrk(gateway, seconds)) for _ in range(turns)]
        finally:
            bench.stop()


def rows() -> list[Row]:
    """Return the figure for the table of all benchmarks."""
    from bench.row import Row, spread

    results = measure(seconds=10, turns=6)
    ratios = [gateway.rate / bare.rate for bare, gateway in results]
    how = f"wrk, {CONNECTIONS} connections, 6 turns of 10 s beside a bare proxy_pass; {spread(ratios)}"
    return [Row("throughput through the gateway", statistics.median(ratios), 0.9, "of bare Nginx", how, least=True)]


def main() -> int:
    """Measure, print the row, and return 0 where nothing failed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=int, default=10, help="how long each is under load in a turn")
    options.add_argument("--turns", type=int, default=6, help="how often the two take turns")
    options.add_argument("--image", default="", help="the gateway's image; built from the working tree when not given")
    given = options.parse_args()
    results = measure(given.seconds, given.turns, given.image)
    bare, gateway = (statistics.mean(result[which].rate for result in results) for which in (0, 1))
    failures = sum(result[0].failures + result[1].failures for result in results)
    print("| bare proxy_pass, requests/s | gateway, requests/s | ratio | bare p99 | gateway p99 | failures |")
    print("|---|---|---|---|---|---|")
    last = results[-1]
    print(f"| {bare:.0f} | {gateway:.0f} | {gateway / bare:.2f} | {last[0].tail} | {last[1].tail} | {failures} |")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
