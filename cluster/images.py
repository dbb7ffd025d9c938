"""The cluster's own images: one layer with static programs, made here and handed to the runtime as an OCI archive."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.layout import Layout
from setup.processes import run

PAUSE = "cluster.invalid/pause:1"
DNS = "cluster.invalid/coredns:1"
RUNTIME_NAMESPACE = "k8s.io"
IMPORT_SECONDS = 120
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
NOBODY = "65532"


@dataclass(frozen=True)
class Image:
    """An image: its name, the programs in its root folder, and which of them it starts as which user."""

    name: str
    programs: Sequence[Path]
    starts: str
    user: str


def images(layout: Layout) -> list[Image]:
    """Return the images that the cluster cannot do without."""
    return [
        # As root: the folders of volumes belong to it.
        Image(PAUSE, [layout.built("pause"), layout.built("volume")], "/pause", ""),
        Image(DNS, [layout.built("coredns")], "/coredns", NOBODY),
    ]


def provide(layout: Layout) -> int:
    """Hand the runtime the images that it does not have in this very form, and return how many these were."""
    present = dict(_present(layout))
    given = 0
    for image in images(layout):
        digest, archive = made(image)
        if present.get(image.name) == digest:
            continue
        path = layout.runtime / "image.tar"
        path.write_bytes(archive)
        try:
            _ctr(layout, "images", "import", str(path))
        finally:
            path.unlink()
        given += 1
    return given


def made(image: Image) -> tuple[str, bytes]:
    """Return the image's digest and its archive; the same programs give the same bytes."""
    plain = _tar({program.name: program.read_bytes() for program in image.programs}, 0o755)
    layer = gzip.compress(plain, compresslevel=1, mtime=0)
    settings: dict[str, Any] = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Entrypoint": [image.starts], "User": image.user},
        "rootfs": {"type": "layers", "diff_ids": [_digest(plain)]},
    }
    configuration = json.dumps(settings).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _described("application/vnd.oci.image.config.v1+json", configuration),
            "layers": [_described("application/vnd.oci.image.layer.v1.tar+gzip", layer)],
        }
    ).encode()
    found = _described("application/vnd.oci.image.manifest.v1+json", manifest)
    found["annotations"] = {"io.containerd.image.name": image.name}
    index = json.dumps({"schemaVersion": 2, "manifests": [found]}).encode()
    blobs = {f"blobs/sha256/{_digest(content)[7:]}": content for content in (layer, configuration, manifest)}
    archive = _tar({"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": index, **blobs}, 0o644)
    return _digest(manifest), archive


def _described(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _tar(files: dict[str, bytes], mode: int) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return written.getvalue()


def _present(layout: Layout) -> list[tuple[str, str]]:
    rows = [line.split() for line in _ctr(layout, "images", "list").splitlines()[1:]]
    return [(row[0], row[2]) for row in rows if len(row) > 2]


def _ctr(layout: Layout, *arguments: str) -> str:
    program = str(layout.packages / "usr/bin/ctr")
    command = [program, "--address", str(layout.containerd_socket), "--namespace", RUNTIME_NAMESPACE, *arguments]
    return run(command, IMPORT_SECONDS)
