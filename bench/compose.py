"""The same app under docker-compose, with an Nginx in front, as people set it up; and docker-rollout's method on it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import LABEL, free_port, run_docker

SECONDS = 600
PASSWORD = "b3nch"  # noqa: S105 - of a database that lives for minutes and is reached by nobody else
DATABASE = f"postgresql+psycopg://{{role}}:{PASSWORD}@database:5432/scaffold"
# The name is asked again every second, so that neither method is held to an address that is gone.
NGINX = """
daemon off; pid /tmp/nginx.pid; worker_processes 2; error_log stderr warn;
events { worker_connections 2048; }
http {
    client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/x; uwsgi_temp_path /tmp/x;
    scgi_temp_path /tmp/x; access_log off; keepalive_requests 10000;
    resolver 127.0.0.11 valid=1s;
    server {
        listen 8080;
        location / {
            set $web http://web:8000;
            proxy_pass $web; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
            proxy_connect_timeout 2s;
        }
    }
}
"""


@dataclass(frozen=True)
class Images:
    """What the project's own stack was built to, and runs on here too."""

    gateway: str
    database: str


@dataclass
class Compose:
    """A compose project in a folder, with a copy of the app's build context."""

    folder: Path
    name: str
    run_id: str
    images: Images
    port: int = 0
    number: int = 0

    def __post_init__(self) -> None:
        """Choose a port."""
        self.port = self.port or free_port()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://localhost:{self.port}"

    def prepare(self, app: Path) -> None:
        """Write the project, start the database, and make its roles."""
        self.folder.mkdir(parents=True)
        shutil.copytree(app, self.folder / "app")
        (self.folder / "nginx.conf").write_text(NGINX)
        roles = [{"name": name, "password": PASSWORD} for name in ("app_a", "app_b")]
        owner = {"name": "owner", "password": PASSWORD}
        (self.folder / "roles.json").write_text(json.dumps({"database": "scaffold", "owner": owner, "app": roles}))
        self.folder.chmod(0o755)
        (self.folder / "roles.json").chmod(0o444)
        (self.folder / "docker-compose.yml").write_text(json.dumps(self.document(), indent=2))
        self.compose("up", "-d", "database")
        self.wait_for("database", 1)
        run_docker(
            "run", "--rm", "--label", f"{LABEL}={self.run_id}", "--volume", f"{self.name}_socket:/run/postgresql",
            "--volume", f"{self.folder}/roles.json:/run/files/roles.json:ro", self.images.database,
            "python3", "-m", "server", "roles",
        )  # fmt: skip

    def document(self) -> dict[str, object]:
        """Return what a person would write for this app; JSON is YAML too."""
        labels = {LABEL: self.run_id}
        app = {
            "build": "./app",
            "image": f"{self.name}-app",
            "labels": labels,
            "stop_grace_period": "10s",
        }
        environment = {
            "ENVIRONMENT": "development",
            "SITE_URL": self.url,
            "RELEASE": "${RELEASE}",
            "DRAIN_SECONDS": "5",
            "SECRET_KEY": "bench-" + "x" * 40,
            "WEB_THREADS": "8",
            "WEB_WORKERS": "2",
        }
        return {
            "version": "2.4",
            "services": {
                "database": {
                    "image": self.images.database,
                    "labels": labels,
                    "environment": {"MEMORY_LIMIT_MB": "512"},
                    "volumes": ["data:/var/lib/postgresql", "socket:/run/postgresql"],
                    "healthcheck": {"test": ["CMD", "probe-database"], "interval": "2s", "retries": 15},
                },
                "migrate": {
                    **app,
                    "command": ["flask", "--app", "scaffold:create_app", "db", "upgrade"],
                    "environment": environment | {"SQLALCHEMY_DATABASE_URI": DATABASE.format(role="owner")},
                },
                "web": {
                    **app,
                    "environment": environment | {"SQLALCHEMY_DATABASE_URI": DATABASE.format(role="app_a")},
                    "healthcheck": {
                        "test": ["CMD", "probe-http", "8000", "/readyz"],
                        "interval": "2s",
                        "timeout": "5s",
                        "retries": 15,
                    },
                    "depends_on": {"migrate": {"condition": "service_completed_successfully"}},
                    "restart": "unless-stopped",
                },
                "nginx": {
                    "image": self.images.gateway,
                    "labels": labels,
                    "command": ["nginx", "-c", "/bench/nginx.conf"],
                    "read_only": True,
                    "tmpfs": ["/tmp"],  # noqa: S108 - inside the container
                    "volumes": [f"{self.folder}/nginx.conf:/bench/nginx.conf:ro"],
                    "ports": [f"127.0.0.1:{self.port}:8080"],
                    "depends_on": ["web"],
                },
            },
            "volumes": {"data": {"labels": labels}, "socket": {"labels": labels}},
        }

    def compose(self, *arguments: str) -> str:
        """Run docker-compose; raise RuntimeError with what it said when it fails."""
        done = subprocess.run(
            ["docker-compose", "--project-name", self.name, *arguments],
            cwd=self.folder,
            env={**os.environ, "RELEASE": f"{self.name}-{self.number}", "DOCKER_BUILDKIT": "0"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"docker-compose {' '.join(arguments)}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        return done.stdout

    def containers(self, service: str) -> list[str]:
        """Return the ids of a service's running containers, the oldest first."""
        return run_docker(
            "ps", "--quiet", "--no-trunc", "--filter", f"label=com.docker.compose.project={self.name}",
            "--filter", f"label=com.docker.compose.service={service}",
        ).split()[::-1]  # fmt: skip

    def wait_for(self, service: str, count: int) -> None:
        """Wait until so many containers of a service are healthy."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            states = [
                run_docker("inspect", "-f", "{{.State.Health.Status}}", each) for each in self.containers(service)
            ]
            if states.count("healthy") >= count:
                return
            time.sleep(0.2)
        raise RuntimeError(f"{service}: not {count} healthy containers within {SECONDS} s")

    def up(self) -> None:
        """Release as compose does: build, migrate, stop the old container, start the new one."""
        self.number += 1
        self.compose("up", "-d", "--build")

    def rollout(self) -> None:
        """Release as docker-rollout describes it: build, migrate, twice as many, wait for the new, stop the old."""
        self.number += 1
        old = self.containers("web")
        self.compose("build", "web")
        self.compose("run", "--rm", "migrate")
        self.compose("up", "-d", "--no-deps", "--no-recreate", "--scale", f"web={2 * len(old)}", "web")
        self.wait_for("web", 2 * len(old))
        run_docker("stop", *old)
        run_docker("rm", *old)

    def remove(self) -> None:
        """Take everything of the project away, with its image."""
        subprocess.run(
            ["docker-compose", "--project-name", self.name, "down", "--volumes", "--timeout", "1"],
            cwd=self.folder, env={**os.environ, "RELEASE": ""}, capture_output=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        run_docker("image", "rm", f"{self.name}-app", check=False)
