"""A thread in each worker that has the metadata fetched in time; only one of them all does it."""

from __future__ import annotations

import threading

import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from .. import database
from ..database import db
from . import trust
from .settings import Saml

log = structlog.stdlib.get_logger(__name__)

LOOK = 30.0


class Watch:
    """Looks now and then whether it is time; must be started after a fork, as threads do not survive one."""

    def __init__(self, app: Flask, saml: Saml, look: float = LOOK) -> None:
        self.app = app
        self.saml = saml
        self.look = look
        self.ended = threading.Event()

    def start(self) -> None:
        """Look from now on, where there is metadata to fetch."""
        if self.saml.metadata_url is not None:
            threading.Thread(target=self._watch, name="saml metadata", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self.ended.set()

    def _watch(self) -> None:
        while not self.ended.is_set():
            self.once()
            self.ended.wait(self.look)

    def once(self) -> None:
        """Fetch if it is time; what goes wrong is said, and the former copy serves on."""
        with self.app.app_context():
            try:
                if trust.claim(self.saml):
                    added = trust.refresh(self.saml)
                    log.info("the identity provider's metadata was fetched", new_certificates=len(added))
            except (OSError, ValueError) as error:
                log.warning("the identity provider's metadata was not fetched", error=str(error))
            except SQLAlchemyError as error:
                log.warning("the identity provider's metadata was not looked at", error=database.reason(error))
            finally:
                db.session.remove()
