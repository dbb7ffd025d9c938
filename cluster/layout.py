"""Where a cluster's files are: what it keeps, what lasts as long as the machine runs, and the programs it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cluster.shape import Shape
from setup.places import Places

RUNTIME = Path("/run")
NETWORK_NAMESPACES = Path("/run/netns")


@dataclass(frozen=True)
class Layout:
    """The folders of one cluster."""

    shape: Shape
    folder: Path
    programs: Path
    python: Path
    repository: Path

    @property
    def runtime(self) -> Path:
        """Sockets, process records and the node's mounts; after a restart of the machine it is gone."""
        return RUNTIME / self.shape.cgroup

    @property
    def certificates(self) -> Path:
        """The authorities, certificates and keys."""
        return self.folder / "certificates"

    @property
    def configuration(self) -> Path:
        """What the programs read when they start."""
        return self.folder / "configuration"

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of whoever started the cluster: it may do everything."""
        return self.folder / "kubeconfig"

    @property
    def logs(self) -> Path:
        """What the programs say, one file each."""
        return self.folder / "logs"

    @property
    def store(self) -> Path:
        """The API's objects."""
        return self.folder / "store"

    @property
    def images(self) -> Path:
        """Unpacked images and the containers' own files."""
        return self.folder / "containerd"

    @property
    def registry(self) -> Path:
        """What was pushed to the registry."""
        return self.folder / "registry"

    @property
    def volumes(self) -> Path:
        """The contents of claims."""
        return self.folder / "volumes"

    @property
    def kubelet(self) -> Path:
        """The node agent's own folder, with the pods' secrets mounted below it."""
        return self.folder / "kubelet"

    @property
    def container_logs(self) -> Path:
        """What the pods say."""
        return self.logs / "pods"

    @property
    def records(self) -> Path:
        """One record for each process: which it is, and since when."""
        return self.runtime / "processes"

    @property
    def containerd_socket(self) -> Path:
        """Where the container runtime listens."""
        return self.runtime / "containerd.sock"

    @property
    def keeper_socket(self) -> Path:
        """Where the keeper of the network policies is told of new pods."""
        return self.runtime / "keeper.sock"

    @property
    def namespace(self) -> Path:
        """The node's network namespace."""
        return NETWORK_NAMESPACES / self.shape.node

    @property
    def packages(self) -> Path:
        """The distribution's programs, unpacked."""
        return self.programs / "packages"

    @property
    def binaries(self) -> Path:
        """The programs that were built from Go modules."""
        return self.programs / "bin"

    def built(self, program: str) -> Path:
        """A program that was built from its Go module."""
        return self.binaries / program

    @property
    def plugins(self) -> Path:
        """The network plug-ins: those of the distribution, and this project's own."""
        return self.programs / "network"


def layout_of(shape: Shape, places: Places) -> Layout:
    """Return the folders of a cluster among these places."""
    return Layout(
        shape,
        folder=places.state / "clusters" / shape.name,
        programs=places.cache / "cluster",
        python=places.python,
        repository=places.repository,
    )
