"""The cluster's certificates: an authority of its own for the API, another for its store, made with OpenSSL."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cluster.shape import DOMAIN, Shape
from setup.files import private_folder, read_text_or_none, write_atomically
from setup.processes import run

DAYS = 3650
RENEWED_SECONDS = (DAYS - 365) * 24 * 3600.0
OPENSSL_SECONDS = 30
API = "api"
STORE = "store"


@dataclass(frozen=True)
class Identity:
    """Who a certificate speaks for: its file name and authority, user and group, and the names it serves under."""

    name: str
    authority: str
    user: str
    group: str = ""
    serves: Sequence[str] = ()


def identities(shape: Shape) -> list[Identity]:
    """Return everybody in the cluster who proves who they are."""
    node, inside = str(shape.node_address), "127.0.0.1"
    service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", f"kubernetes.default.svc.{DOMAIN}"]
    return [
        Identity("apiserver", API, "kube-apiserver", "", [*service, "localhost", inside, node, str(shape.api_address)]),
        Identity("administrator", API, "administrator", "system:masters"),
        Identity("to-kubelet", API, "kube-apiserver-to-kubelet", "system:masters"),
        Identity("controller-manager", API, "system:kube-controller-manager"),
        Identity("scheduler", API, "system:kube-scheduler"),
        Identity("proxy", API, "system:kube-proxy"),
        Identity("kubelet", API, f"system:node:{shape.node}", "system:nodes", [shape.node, node, inside]),
        Identity("keeper", API, "cluster:keeper"),
        Identity("storage", API, "cluster:storage"),
        Identity("store-server", STORE, "store", "", ["localhost", inside]),
        Identity("to-store", STORE, "kube-apiserver-to-store", "", []),
    ]


def provide(shape: Shape, folder: Path) -> bool:
    """Make the authorities, certificates and keys unless they are there, and return whether they were made.

    All of them are made anew when one is wanted otherwise, and a year before they run out.
    """
    wanted = hashlib.sha256(json.dumps([asdict(each) for each in identities(shape)]).encode()).hexdigest()
    stamp = folder / "made"
    if read_text_or_none(stamp) == wanted and time.time() - stamp.stat().st_mtime < RENEWED_SECONDS:
        return False
    private_folder(folder.parent)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".certificates-") as made:
        for authority in (API, STORE):
            _make_authority(Path(made), authority, f"{shape.name} cluster: {authority}")
        for each in identities(shape):
            _make(Path(made), each)
        _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", f"{made}/tokens.key")
        _openssl("pkey", "-in", f"{made}/tokens.key", "-pubout", "-out", f"{made}/tokens.pub")
        private_folder(folder)
        for file in Path(made).iterdir():
            write_atomically(folder / file.name, file.read_bytes(), 0o600)
    write_atomically(stamp, wanted.encode())
    return True


def certificate(folder: Path, name: str) -> Path:
    """Return the certificate of an identity or an authority."""
    return folder / f"{name}.crt"


def key(folder: Path, name: str) -> Path:
    """Return the private key of an identity or an authority."""
    return folder / f"{name}.key"


def _make_authority(folder: Path, name: str, title: str) -> None:
    _openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", str(DAYS),
        "-subj", f"/CN={title}", "-addext", "basicConstraints=critical,CA:TRUE",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature",
        "-keyout", str(key(folder, name)), "-out", str(certificate(folder, name)),
    )  # fmt: skip


def _make(folder: Path, identity: Identity) -> None:
    request, extensions = folder / "request", folder / "extensions"
    subject = (f"/O={identity.group}" if identity.group else "") + f"/CN={identity.user}"
    _openssl(
        "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject,
        "-keyout", str(key(folder, identity.name)), "-out", str(request),
    )  # fmt: skip
    extensions.write_text(extensions_of(identity))
    _openssl(
        "x509", "-req", "-in", str(request), "-days", str(DAYS), "-extfile", str(extensions), "-CAcreateserial",
        "-CA", str(certificate(folder, identity.authority)), "-CAkey", str(key(folder, identity.authority)),
        "-out", str(certificate(folder, identity.name)),
    )  # fmt: skip
    request.unlink()
    extensions.unlink()


def extensions_of(identity: Identity) -> str:
    """Return what a certificate may be used for, in OpenSSL's words; only who is called has names to be called by."""
    uses = ["clientAuth", *(["serverAuth"] if identity.serves else [])]
    lines = ["basicConstraints=CA:FALSE", "keyUsage=critical,digitalSignature", f"extendedKeyUsage={','.join(uses)}"]
    if identity.serves:
        names = [f"{'IP' if each[-1].isdigit() else 'DNS'}:{each}" for each in identity.serves]
        lines.append(f"subjectAltName={','.join(names)}")
    return "\n".join(lines) + "\n"


def _openssl(*arguments: str) -> None:
    run(["openssl", *arguments], OPENSSL_SECONDS)
