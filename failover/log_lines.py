"""What a process says on standard error, as text or as JSON Lines: each line one object, whatever is said.

Laws: in the JSON form nothing else is written, so an exception that ends the process, a warning of Python's and a library's
lines take the same way; and in neither form has a line more of an address than its host, for accounts stand in paths.
"""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from types import TracebackType
from typing import Any

from orchestrator.app.settings import Settings
from orchestrator.core.reading.event_payload import timestamp
from transcoder.redaction import redacted

_NOISY = ("httpx", "httpcore", "urllib3", "docker", "uvicorn.access", "alembic", "apscheduler")
_TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class TextLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


class JsonLines(logging.Formatter):
    """`at` (RFC 3339, UTC), `level`, `room` (the logger's name), `message`; with an exception `error`, its class, and
    `traceback`."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": timestamp(record.created),
            "level": record.levelname,
            "room": record.name,
            "message": redacted(_message(record)),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__qualname__
            line["traceback"] = redacted(self.formatException(record.exc_info))
        elif record.exc_text:
            line["traceback"] = redacted(record.exc_text)
        if record.stack_info:
            line["stack"] = redacted(record.stack_info)
        return json.dumps(line)  # ASCII alone: no character in it ends a line, for whoever reads


class LogStream(io.TextIOBase):
    """A file whose lines are said by a logger, for what is printed otherwise."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._begun = ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in filter(str.strip, lines):
            self._logger.info("%s", line.strip())
        return len(text)

    def writable(self) -> bool:
        return True


def begin(settings: Settings) -> None:
    """From now on the process says what it says as the settings want it."""
    as_json = settings.log_format == "json"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if as_json else TextLines(_TEXT))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if as_json:
        logging.captureWarnings(True)
        sys.excepthook = _uncaught
        threading.excepthook = lambda given: _uncaught(given.exc_type, given.exc_value, given.exc_traceback)
        sys.unraisablehook = lambda given: _uncaught(given.exc_type, given.exc_value, given.exc_traceback)


def _uncaught(kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt | SystemExit):
        return
    given: Any = (kind, error, traceback)
    logging.getLogger("failover").critical("an exception that nobody has caught", exc_info=given)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # arguments that do not fit: better the line as it is than none
        return f"{record.msg} {record.args!r}"
