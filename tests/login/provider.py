"""What an identity provider is to these tests: a name, its metadata, and who it knows of."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from werkzeug.serving import make_server

from tests.conftest import free_port


class Provider(ABC):
    """An identity provider that runs on this machine and that a browser knows by its name alone."""

    host: str
    entity_id: str
    settings: Mapping[str, str] = MappingProxyType({})
    """The stack's settings that it takes, beside its metadata."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()

    @property
    def origin(self) -> str:
        """Where it is, for a browser."""
        return f"https://{self.host}"

    @abstractmethod
    def start(self) -> None:
        """Begin to serve, with a folder of its own for what it keeps."""

    @abstractmethod
    def metadata(self) -> str:
        """Return what the site must know of it."""

    @abstractmethod
    def learn(self, metadata: str) -> None:
        """Take the site's metadata, which exists once the site knows the provider."""

    @abstractmethod
    def stop(self) -> None:
        """End it."""


class Serving:
    """A WSGI program on a port of this machine, in a thread that ends with the process."""

    def __init__(self, program: Any, port: int) -> None:
        self.server = make_server("127.0.0.1", port, program, threaded=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Serve no more."""
        self.server.shutdown()
        self.server.server_close()
