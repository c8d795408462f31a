"""Moves the wall clock of a running process with libfaketime; its monotonic clock stays."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

FAKETIME = shutil.which("faketime")


class MovedClock:
    """Has the `environment` for the process; `move` sets its wall clock ahead of the machine's."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.move(0)
        self.environment = {
            "LD_PRELOAD": _find_library(),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            # The library reads the file each time the clock is read.
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def move(self, seconds: int) -> None:
        """Replace the file in one step: a process that reads a half-written file has no time at
        all.
        """
        written = self._file.with_suffix(".new")
        written.write_text(f"{seconds:+d}")
        written.rename(self._file)


def _find_library() -> str:
    """Return the path of the library, as its own command prints it."""
    assert FAKETIME is not None
    command = [FAKETIME, "-f", "+0", "printenv", "LD_PRELOAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
