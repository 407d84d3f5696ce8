"""Log lines on standard error: as text for people or as one JSON object per line."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Final

LEVELS: Final = ("debug", "info", "warning", "error")
SERVICE: Final = "expingest"
"""The name under which the original's logs, and so people's filters, know this system."""

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_BARE: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/+")


class _StderrHandler(logging.Handler):
    """Writes to what `sys.stderr` is at that moment, so that a progress bar can keep lines apart from itself."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001 - a log line must not end the work; logging has its own way to tell
            self.handleError(record)


class TextFormatter(logging.Formatter):
    """One line: UTC time, level, message, then `name=value` for each field."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line of `record`, with its traceback below if it has one."""
        fields = "".join(f" {name}={_quoted(value)}" for name, value in _fields(record).items())
        line = f"{_utc(record)} {record.levelname:<7} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, service, logger, message and each field under its own name."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the object of `record`."""
        line: dict[str, object] = {
            "time": _utc(record),
            "level": record.levelname.lower(),
            "service": SERVICE,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _OursOrSerious(logging.Filter):
    """Lets our lines pass, and from libraries what a user has to know; failures of bundles reach the user as errors."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] == "aurora_ingest":
            return True
        if record.name == "root" or record.name.startswith("apache_beam"):
            return False
        return record.levelno >= logging.WARNING


def configure(log_format: str, level: str, *, debug: bool = False) -> None:
    """Sends the log of this process to standard error.

    Args:
        log_format: ``text`` or ``json``.
        level: the least level of our own lines, one of `LEVELS`.
        debug: lets every line of every library pass, from level DEBUG on.
    """
    handler = _StderrHandler()
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    if not debug:
        handler.addFilter(_OursOrSerious())
    root = logging.getLogger()
    for former in [each for each in root.handlers if isinstance(each, _StderrHandler)]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(logging.INFO if debug else logging.WARNING)
    logging.getLogger("aurora_ingest").setLevel(logging.DEBUG if debug else level.upper())


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _utc(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"


def _quoted(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return text if text and _BARE.issuperset(text) else json.dumps(text)
