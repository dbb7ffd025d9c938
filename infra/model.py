"""The vocabulary in which the parts describe what runs; both platforms honour every word of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import pulumi

FILES = PurePosixPath("/run/files")
"""Where a workload finds its files."""


@dataclass(frozen=True)
class Image:
    """An image built from a folder of this repository; `tag` is a hash of what is in it.

    With a `digest` it has been built before and is taken as it was: the platform's own name for exactly that image.
    """

    name: str
    tag: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What tells one image of a system from another."""
        return self.name, self.digest


@dataclass(frozen=True)
class File:
    """A file under /run/files; `fingerprint` changes exactly when the content does and tells nothing about it."""

    name: str
    content: pulumi.Input[str]
    fingerprint: str
    secret: bool = False


@dataclass(frozen=True)
class Volume:
    """Storage that outlives its containers; `data` marks what nothing else has a copy of.

    `folder` is a folder of the machine in its place. A cluster sets `storage` GiB aside for one with data, its usual
    size where that is 0; one that is `beside` another takes a part of that one's.
    """

    name: str
    data: bool = False
    folder: str = ""
    storage: int = 0
    beside: str = ""


@dataclass(frozen=True)
class Mount:
    """A volume at a path of a workload."""

    volume: str
    path: str
    read_only: bool = False


@dataclass(frozen=True)
class Probe:
    """How a workload's health is asked: a command in its container, exit status 0 meaning well.

    `alive` asks for less: whether the process does anything at all; where it is empty nobody asks.
    """

    command: tuple[str, ...]
    alive: tuple[str, ...] = ()
    interval_seconds: int = 10
    timeout_seconds: int = 3
    retries: int = 3
    grace_seconds: int = 30


@dataclass(frozen=True)
class Limits:
    """What a workload may use: memory and /tmp in MiB, processors with one decimal.

    With `gives_way` it gets of a processor that others want too an eighth of what they get.
    """

    memory: int
    cpus: str
    processes: int = 2048
    open_files: int = 4096
    tmp: int = 64
    gives_way: bool = False


EVERYWHERE = "0.0.0.0/0"
"""What is known by a name has addresses that change behind it."""


@dataclass(frozen=True)
class Egress:
    """Something outside that a workload calls: an address range and a port."""

    cidr: str
    port: int


@dataclass(frozen=True)
class Published:
    """An address of the machine, or of the cluster's edge, where a service is reached from outside."""

    address: str
    port: int


@dataclass(frozen=True)
class Workload:
    """What a service and a job have in common: an image with its settings, files, mounts and limits.

    Its group is that of its user's own number, unless it shares volumes with others by another.
    """

    image: Image
    user: int
    limits: Limits
    env: Mapping[str, str] = field(default_factory=dict)
    files: tuple[File, ...] = ()
    mounts: tuple[Mount, ...] = ()
    command: tuple[str, ...] = ()
    egress: tuple[Egress, ...] = ()
    shared_group: int = 0

    @property
    def group(self) -> int:
        """The group that it runs as, and that its volumes belong to."""
        return self.shared_group or self.user


@dataclass(frozen=True)
class Control:
    """What a service may look at, stop and start: services of the system, and on one machine other containers.

    It may also run the release's `migrations`, a job, once more; and nothing else.
    """

    services: tuple[str, ...]
    containers: tuple[str, ...] = ()
    migrations: str = ""


@dataclass(frozen=True)
class Service:
    """Something that keeps running. With `release` a new one stands beside the old; `update` hands it files live.

    A `port` of 0 is none: nobody calls it. `beside` shares that service's host, where their volumes are. With
    `controls` it may stop and start others.

    With `max_replicas` above `replicas` the load decides how many run in between. `flag` is a file below one of its
    mounts that a verb changes while it runs, that every instance sees, and that no update touches.
    """

    name: str
    workload: Workload
    port: int
    probe: Probe
    reachable_from: tuple[str, ...]
    stop_seconds: int
    release: str | None = None
    replicas: int = 1
    max_replicas: int = 0
    published: Published | None = None
    update: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    flag: str = ""
    beside: str = ""
    controls: Control | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for a flag that no volume would keep."""
        if self.flag and not any(PurePosixPath(self.flag).is_relative_to(m.path) for m in self.workload.mounts):
            raise ValueError(f"{self.name}: the flag {self.flag} is below none of its mounts, and would not be kept")

    @property
    def identity(self) -> str:
        """The name of the workload as which it is known to what it calls: its own."""
        return self.name


@dataclass(frozen=True)
class Job:
    """Something that runs to its end before what comes after it; `beside` shares that service's host and volumes.

    `once_serving` puts it after everything else, when visitors have been sent to the release. `notes` are told to it in
    its environment, with the image's digest in the variable `digest_as`, and are no part of what it is: the same job
    with other notes is not run again. With `acts_as` it reaches what that job reaches, and has that job's files.
    A `passing` one is there for one update: what comes after it does not run again when it is gone, and it has a day.
    """

    name: str
    workload: Workload
    release: str | None = None
    beside: str | None = None
    after: tuple[str, ...] = ()
    once_serving: bool = False
    notes: Mapping[str, str] = field(default_factory=dict)
    digest_as: str = ""
    acts_as: str = ""
    passing: bool = False

    @property
    def identity(self) -> str:
        """The name of the workload as which it is known to what it calls."""
        return self.acts_as or self.name


@dataclass(frozen=True)
class Route:
    """How traffic reaches a released service: through which gateway, and what a new release must answer first."""

    service: str
    gateway: str
    site_url: str
    warm_paths: tuple[str, ...]
    ready_seconds: int


@dataclass(frozen=True)
class System:
    """Everything a stack runs; with another `attempt`, the jobs of the release run again, though it is the same one.

    `told` are small files, by the services that write them: what is in them is known once an update has ended.
    """

    project: str
    stack: str
    release: str
    services: tuple[Service, ...]
    jobs: tuple[Job, ...]
    volumes: tuple[Volume, ...]
    route: Route
    attempt: pulumi.Input[str] = ""
    told: Mapping[str, str] = field(default_factory=dict)

    @property
    def declared(self) -> tuple[Service | Job, ...]:
        """Services and jobs."""
        return (*self.services, *self.jobs)

    @property
    def identities(self) -> tuple[Service | Job, ...]:
        """Services and jobs without those that act as another."""
        return (*self.services, *(job for job in self.jobs if not job.acts_as))

    @property
    def images(self) -> Mapping[tuple[str, str], Image]:
        """Every image in use, by its key; the release's first: often it alone is built, and all else waits for it."""
        return {image.key: image for image in (self.image, *(each.workload.image for each in self.declared))}

    @property
    def image(self) -> Image:
        """The released service's image."""
        return self.service(self.route.service).workload.image

    def service(self, name: str) -> Service:
        """Return the service of that name; raise KeyError if there is none."""
        for service in self.services:
            if service.name == name:
                return service
        raise KeyError(name)

    def callers(self, service: Service) -> tuple[str, ...]:
        """Return the names of the workloads that may call a service, itself excluded."""
        return tuple(name for name in service.reachable_from if name != service.name)
