"""The history of metrics: one file for each metric in the run's folder, in the published format.

Owns that a call costs microseconds and never raises: a folder that cannot be written is named once.
Must not open a connection: what collects the run's files sends them.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime, timezone
from typing import Any

_HEADER = b"step|timestamp|metric"
#: Files that are kept open.
_MOST_OPEN = 64


class Series:
    """The metrics of the run whose folder this is. A folder that does not exist is not written."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._files: dict[str, int] = {}
        self._is_off = not os.path.isdir(folder)

    def append(self, values: dict[str, Any], step: int | None, timestamp: datetime | None) -> None:
        """Append a point to each metric, by its name as a file has it."""
        if self._is_off:
            return
        at = timestamp or datetime.now(timezone.utc)
        try:
            for name, value in values.items():
                line = f"\n{'' if step is None else step}|{at}|{value}"
                os.write(self._files.get(name) or self._open(name), line.encode())
        except (OSError, ValueError) as error:
            self._is_off = True
            print(f"opstrand: the history of metrics is not kept: {error}", file=sys.stderr)

    def _open(self, name: str) -> int:
        if len(self._files) >= _MOST_OPEN:
            self._close()
        folder = os.path.join(self._folder, "events", "metric")
        os.makedirs(folder, exist_ok=True)
        # Each line is one write at the end: other processes of the run may append to the file too.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        file = os.open(os.path.join(folder, f"{name}.plx"), flags, 0o666)
        if not os.fstat(file).st_size:
            os.write(file, _HEADER)
        self._files[name] = file
        return file

    def _close(self) -> None:
        for file in self._files.values():
            os.close(file)
        self._files.clear()
