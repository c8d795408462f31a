"""The files of metrics and other events: one for each name of a kind, in the published format.

A line is `step|timestamp|VALUE` below a header, or one JSON object for kinds with free text. Owns
these files, and that a call costs microseconds: a line is one write at the end of an open file.
Must not open a connection: what collects the run's files sends them.
"""

from __future__ import annotations

import contextlib
import json
import operator
import os
import threading
import weakref
from datetime import datetime, timezone
from typing import Any

#: Kinds whose files have a JSON object in each line.
JSON_LINES = frozenset({"html", "text", "chart", "span"})
#: Files that are kept open.
_MOST_OPEN = 64
#: Bytes of a name: with a step and an extension it must stay a file's name.
MOST_NAME = 200
#: What a forked child renews the locks of. A series that nothing else holds is forgotten.
_ALL: weakref.WeakSet[Series] = weakref.WeakSet()


class Series:
    """The events of the run whose folder this is. A folder that does not exist is not written."""

    def __init__(self, folder: str, part: str = "events") -> None:
        self._folder = os.path.join(folder, part)
        self._files: dict[tuple[str, str], int] = {}
        self._is_closed = False
        self.renew_lock()
        _ALL.add(self)
        self.is_off = not os.path.isdir(folder)

    def renew_lock(self) -> None:
        # Another thread may close a file whose number is about to be written to. A forked child
        # may get a lock that no thread will release. The handler of a signal may run in a thread
        # that has it.
        self._lock = threading.RLock()

    def close(self) -> None:
        """Close the files. A line that another thread still writes opens its file once more."""
        with self._lock:
            self._is_closed = True
            self._close()

    def append(self, values: dict[str, Any], step: Any = None, timestamp: Any = None) -> None:
        """Append a point to each metric, by its name as a file has it. Raises OSError."""
        if self.is_off:
            return
        start = f"\n{to_step(step)}|{to_timestamp(timestamp)}|"
        for name, value in values.items():
            self._write("metric", name, f"{start}{value}".encode())

    def add(self, kind: str, name: str, value: Any, step: Any, timestamp: Any) -> None:
        """Append an event whose value JSON can hold. Raises OSError."""
        if self.is_off:
            return
        at = to_timestamp(timestamp)
        number = to_step(step)
        if kind in JSON_LINES:
            text = value if isinstance(value, str) else to_text(value)
            event = {"timestamp": at, "step": int(number) if number else None, kind: text}
            line = f"\n{json.dumps(event)}"
        else:
            line = f"\n{number}|{at}|{to_text(value)}"
        self._write(kind, name, line.encode("utf-8", "backslashreplace"))

    def _write(self, kind: str, name: str, line: bytes) -> None:
        with self._lock:
            file = self._files.get((kind, name))
            os.write(self._open(kind, name) if file is None else file, line)
            if self._is_closed:
                self._close()

    def _open(self, kind: str, name: str) -> int:
        if len(self._files) >= _MOST_OPEN:
            self._close()
        folder = os.path.join(self._folder, kind)
        os.makedirs(folder, exist_ok=True)
        # Each line is one write at the end: other processes of the run may append to the file too.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        file = os.open(os.path.join(folder, f"{name}.plx"), flags, 0o666)
        try:
            if kind not in JSON_LINES and not os.fstat(file).st_size:
                os.write(file, f"step|timestamp|{kind}".encode())
        except BaseException:
            os.close(file)
            raise
        self._files[kind, name] = file
        return file

    def _close(self) -> None:
        while self._files:
            # Out of the table first: the program may get the number of a closed file for its own.
            _, file = self._files.popitem()
            with contextlib.suppress(OSError):
                os.close(file)


def _renew_locks() -> None:
    for series in _ALL:
        series.renew_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


def to_step(step: Any) -> str:
    """Return a step as a line has it; empty for None. Raises ValueError and TypeError."""
    if step is None:
        return ""
    if type(step) is int:
        return str(step)
    if hasattr(step, "__index__"):
        return str(operator.index(step))
    number = float(step)
    if not number.is_integer():
        raise ValueError(f"step: expected a whole number, found {step!r}")
    return str(int(number))


def to_timestamp(timestamp: Any) -> str:
    """Return a time as a line has it: the given one (text and seconds are read too), else now."""
    if timestamp is None:
        return str(datetime.now(timezone.utc))
    if isinstance(timestamp, str):
        timestamp = datetime.fromisoformat(timestamp.strip().replace("Z", "+00:00"))
    elif not isinstance(timestamp, datetime):
        timestamp = datetime.fromtimestamp(float(timestamp), timezone.utc)
    return str(timestamp)


def to_text(value: Any) -> str:
    """Return a value of plain types as compact JSON in one line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
