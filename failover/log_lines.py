"""Configures the log lines of a process on standard error: structlog renders them, as text for people or as JSON Lines.

Modules log through the standard library. Fields that belong to everything a task does (`session`, `attempt`, `source`,
`request`) are bound with `structlog.contextvars.bound_contextvars` where that work begins, and every line in it has them.

Rules: in the JSON form nothing else is written to standard error, so unhandled exceptions, Python's warnings and the lines of
libraries take the same way; and in neither form a line contains more of an address than its host, because paths and queries
contain accounts.
"""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from types import TracebackType
from typing import Any

from structlog.contextvars import merge_contextvars
from structlog.dev import Column, ConsoleRenderer, KeyValueColumnFormatter, plain_traceback
from structlog.processors import ExceptionRenderer, StackInfoRenderer
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, WrappedLogger

from orchestrator.app.settings import Settings
from orchestrator.core.presentation.event_payload import timestamp
from transcoder.source.redaction import redacted

_NOISY = ("httpx", "httpcore", "urllib3", "docker", "uvicorn.access", "alembic", "apscheduler")
_CONTROL_CHARACTERS = {code: repr(chr(code))[1:-1] for code in (*range(0x20), 0x7F, *range(0x80, 0xA0), 0x2028, 0x2029)}


def begin(settings: Settings) -> None:
    """Configure this process's logging as the settings `log_format` and `log_level` say. May be called again."""
    as_json = settings.log_format == "json"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(json_lines() if as_json else text_lines(colours=sys.stderr.isatty()))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if as_json:
        logging.captureWarnings(True)
        sys.excepthook = _log_unhandled
        threading.excepthook = lambda given: _log_unhandled(given.exc_type, given.exc_value, given.exc_traceback)
        sys.unraisablehook = lambda given: _log_unhandled(given.exc_type, given.exc_value, given.exc_traceback)


def json_lines() -> logging.Formatter:
    """One JSON object per line: `at` (RFC 3339, UTC), `level`, `logger` (its name), `message` and the bound fields;
    with an exception also `error`, its class, and `traceback`."""
    return _formatter(_renamed, _as_json)


def text_lines(*, colours: bool = False) -> logging.Formatter:
    """`at LEVEL logger: message  field=value`, with a traceback below it."""
    reset, dim, bright = ("\x1b[0m", "\x1b[2m", "\x1b[1m") if colours else ("", "", "")

    def plain(style: str = "", *, width: int = 0, postfix: str = "") -> KeyValueColumnFormatter:
        return KeyValueColumnFormatter(None, style, reset, str, width=width, postfix=postfix)

    renderer = ConsoleRenderer(
        columns=[
            Column("at", plain(dim)),
            Column("level", plain(width=7)),
            Column("logger", plain(dim, postfix=":")),
            Column("event", plain(bright)),
            Column("", KeyValueColumnFormatter(dim, "", reset, str)),
        ],
        exception_formatter=plain_traceback,
    )

    def as_text(logger: WrappedLogger, method: str, line: EventDict) -> str:
        line.pop("error", None)  # the last line of the traceback has it
        return str(renderer(logger, method, line))

    return _formatter(_escaped, as_text)


def _formatter(*processors: Any) -> logging.Formatter:
    return ProcessorFormatter(
        processors=[
            _message,
            merge_contextvars,
            _origin,
            _error,
            ExceptionRenderer(),
            StackInfoRenderer(),
            ProcessorFormatter.remove_processors_meta,
            _redacted_values,
            *processors,
        ],
        # A record's own `getMessage` raises where the arguments do not fit its format.
        use_get_message=False,
        pass_foreign_args=True,
    )


def _message(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Insert the arguments into the message. Where they do not fit, the line contains both as they are."""
    text, arguments = line["event"], line.pop("positional_args", ())
    try:
        line["event"] = text % arguments if arguments else text
    except Exception:
        line["event"] = f"{text} {arguments!r}"
    return line


def _origin(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    record: logging.LogRecord = line["_record"]
    origin = {"at": timestamp(record.created), "level": record.levelname, "logger": record.name, "event": line.pop("event")}
    return {**origin, **line}


def _error(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    match line.get("exc_info"):
        case (type() as kind, _, _):
            line["error"] = kind.__qualname__
        case _:
            line.pop("exc_info", None)
    return line


def _redacted_values(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    return {name: value if isinstance(value, int | float | None) else redacted(str(value)) for name, value in line.items()}


def _renamed(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """structlog's names for the message and the traceback become ours."""
    names = {"event": "message", "exception": "traceback"}
    return {names.get(name, name): value for name, value in line.items()}


def _as_json(_: WrappedLogger, __: str, line: EventDict) -> str:
    return json.dumps(line)  # ASCII only, so that no character of it ends the line for any reader


def _escaped(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Escape control characters, so that text from outside cannot look like a line of its own. Tracebacks stay as they are."""
    kept = ("exception", "stack")
    return {name: value if name in kept else str(value).strip().translate(_CONTROL_CHARACTERS) for name, value in line.items()}


class LogStream(io.TextIOBase):
    """A text stream that logs each line written to it, for output that would otherwise be printed."""

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


def _log_unhandled(kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt | SystemExit):
        return
    given: Any = (kind, error, traceback)
    logging.getLogger("failover").critical("unhandled exception", exc_info=given)
