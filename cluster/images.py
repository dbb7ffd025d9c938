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

from cluster import build
from cluster.layout import Layout
from setup.processes import run

HOME = "cluster.invalid"
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


def pause() -> str:
    """Return the image that holds a pod's namespaces; each version of the program has a name of its own."""
    return f"{HOME}/pause:{build.version('node')}"


def dns() -> str:
    """Return the image that answers for names."""
    return f"{HOME}/coredns:{build.version('coredns')}"


def images(layout: Layout) -> list[Image]:
    """Return the images that the cluster cannot do without."""
    return [
        # As root: the folders of volumes belong to it.
        Image(pause(), [layout.built("pause"), layout.built("volume")], "/pause", ""),
        Image(dns(), [layout.built("coredns")], "/coredns", NOBODY),
    ]


def provide(layout: Layout) -> int:
    """Hand the runtime the images that it does not have, and return how many these were."""
    present = _present(layout)
    missing = [image for image in images(layout) if image.name not in present]
    for image in missing:
        path = layout.runtime / "image.tar"
        path.write_bytes(archive(image))
        try:
            _ctr(layout, "images", "import", str(path))
        finally:
            path.unlink()
    return len(missing)


def archive(image: Image) -> bytes:
    """Return the image as an archive; the same programs give the same bytes."""
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
    return _tar({"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": index, **blobs}, 0o644)


def _described(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _tar(files: dict[str, bytes], mode: int) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.USTAR_FORMAT) as packed:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            packed.addfile(entry, io.BytesIO(content))
    return written.getvalue()


def _present(layout: Layout) -> set[str]:
    return set(_ctr(layout, "images", "list", "--quiet").split())


def _ctr(layout: Layout, *arguments: str) -> str:
    program = str(layout.packages / "usr/bin/ctr")
    command = [program, "--address", str(layout.containerd_socket), "--namespace", RUNTIME_NAMESPACE, *arguments]
    return run(command, IMPORT_SECONDS)
