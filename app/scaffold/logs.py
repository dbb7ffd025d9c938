"""JSON lines on standard output: one formatter for the app, Gunicorn, Alembic, warnings and what nobody caught."""

from __future__ import annotations

import logging
import re
import sys
from types import TracebackType

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from .settings import SettingsError

log = structlog.stdlib.get_logger("scaffold")

QUERY = re.compile(r"\?\S*")


def add_release(release: str) -> Processor:
    """Return a processor that adds the release to every line."""

    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("release", release)
        return event

    return add


def configure(level: str = "INFO", release: str = "unreleased") -> None:
    """Send every log line of this process through the one formatter; calling it again replaces the former way."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        add_release(release),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.processors.UnicodeDecoder(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(default=str),
            ],
        )
    )
    root = logging.getLogger()
    for former in root.handlers[:]:
        if isinstance(former.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(level)
    logging.getLogger("alembic.runtime.plugins").setLevel("WARNING")
    logging.captureWarnings(True)
    sys.excepthook = report_uncaught


def without_query(record: logging.LogRecord) -> bool:
    """Cut the queries out of a record, which may carry what must not be kept; a filter for Gunicorn's own lines."""
    record.msg, record.args = QUERY.sub("?…", record.getMessage()), ()
    return True


def report_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Write what nobody caught as one line; settings that cannot be used get one line each, without a traceback."""
    if isinstance(error, SettingsError):
        for problem in error.problems:
            log.error("setting cannot be used", problem=problem)
    elif issubclass(kind, KeyboardInterrupt):
        log.warning("interrupted")
    else:
        log.critical("uncaught exception", exc_info=(kind, error, traceback))
