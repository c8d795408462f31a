"""Log lines: one JSON object each, searchable by run and project.

Owns the shape of a line. Must not decide what is worth a line.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from datetime import UTC, datetime
from typing import Any

from opstrand.text import printable_json


class JsonFormatter(logging.Formatter):
    """Formats a record, with its `extra`, as one JSON object on one line."""

    #: The attributes that every record has, and those that kopf adds.
    _OWN = frozenset(logging.makeLogRecord({}).__dict__) | {
        "message",
        "taskName",
        "settings",
        "k8s_ref",
        "k8s_skip",
    }

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.now(UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        entry["message"] = record.getMessage()
        entry |= {key: value for key, value in record.__dict__.items() if key not in self._OWN}
        if record.exc_info:
            entry["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return printable_json(json.dumps(entry, default=str, ensure_ascii=False))


def configure_logging() -> None:
    """Log everything from INFO on to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def about(project: str, run: str) -> dict[str, str]:
    """The `extra` of every line that is about a run."""
    return {"run": run, "project": project}


class Sparse:
    """A logger for events that others can cause as often as they like: one line of a kind in
    `seconds`; the next line says how many were held back.
    """

    def __init__(self, logger: logging.Logger, seconds: float = 10.0) -> None:
        self._logger, self._seconds = logger, seconds
        self._logged: dict[str, tuple[float, int]] = {}

    def info(self, message: str, **extra: Any) -> None:
        """Log `message`, which is the kind: put what a client sent into `extra`, never into it."""
        now = time.monotonic()
        since, held_back = self._logged.get(message, (float("-inf"), 0))
        if now - since < self._seconds:
            self._logged[message] = since, held_back + 1
            return
        self._logged[message] = now, 0
        self._logger.info(
            message, extra={**extra, **({"held_back": held_back} if held_back else {})}
        )
