"""HTTPS in front of everything: a proxy that ends it, as a user's would, and that alone knows where each name is."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from tests.app.saml.idp import Pair
from tests.conftest import LABEL, Docker, free_port

CONFIGURATION = """
worker_processes 1;
pid /tmp/pid;
error_log stderr;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path /tmp/body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
    ssl_certificate /front/front.crt;
    ssl_certificate_key /front/front.key;
    proxy_http_version 1.1;
    proxy_buffer_size 16k;
    proxy_buffers 8 16k;
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto https;
    @servers@
}
"""
SERVER = """
    server {
        listen 127.0.0.1:@port@ ssl;
        server_name @name@;
        location / { proxy_pass http://127.0.0.1:@behind@; }
    }
"""


@dataclass(frozen=True)
class Front:
    """The proxy: where it listens, and the hash of the key that a browser trusts."""

    port: int
    key_hash: str

    @property
    def flags(self) -> list[str]:
        """What Chromium is told: every name on port 443 is the proxy, and its key is to be trusted."""
        rules = f"MAP *:443 127.0.0.1:{self.port}"
        return [f"--host-resolver-rules={rules}", f"--ignore-certificate-errors-spki-list={self.key_hash}"]


def start(docker: Docker, run_id: str, image: str, folder: Path, pair: Pair, behind: Mapping[str, int]) -> Front:
    """Start the proxy out of an image that has nginx; `behind` says on which port of this machine each name is."""
    port = free_port()
    servers = [
        SERVER.replace("@port@", str(port)).replace("@name@", name).replace("@behind@", str(there))
        for name, there in behind.items()
    ]
    folder.mkdir()
    (folder / "nginx.conf").write_text(CONFIGURATION.replace("@servers@", "".join(servers)))
    (folder / "front.crt").write_text(pair.pem)
    (folder / "front.key").write_text(pair.key_pem)
    docker(
        "run", "--detach", "--label", f"{LABEL}={run_id}", "--network", "host", "--read-only", "--tmpfs", "/tmp",
        "--user", f"{os.getuid()}:{os.getgid()}", "--volume", f"{folder}:/front:ro", image,
        "nginx", "-c", "/front/nginx.conf", "-g", "daemon off;",
    )  # fmt: skip
    return Front(port, hash_of(pair))


def hash_of(pair: Pair) -> str:
    """Return a public key's hash as Chromium takes it."""
    key = pair.certificate.public_key()
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()
