"""Which process executes a run: a lock on a file of the run's folder, which the system frees when
that process ends, however it ends.

Owns those locks. Must not read or write a run.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress

from opstrand.local.records import Records
from opstrand.types import Key

_CLAIM = ".claim"
#: Another process that only looks whether a run is claimed holds its lock for a moment: so often,
#: and so long, we try again.
_TRIES, _PAUSE = 20, 0.005


class Claims:
    """The runs that this process executes."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._files: dict[Key, int] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._files

    def claim(self, key: Key) -> bool:
        """Have the run for this process, until `release` or its end.

        False where another process has it.
        """
        if key in self._files:
            return False
        file = os.open(self._records.folder_of(key) / _CLAIM, os.O_RDWR | os.O_CREAT, 0o600)
        for _ in range(_TRIES):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_PAUSE)
                continue
            except OSError:
                # A file system without locks: two runs of one name at once are not kept apart
                # there.
                pass
            self._files[key] = file
            return True
        os.close(file)
        return False

    def release(self, key: Key) -> None:
        with suppress(KeyError):
            os.close(self._files.pop(key))

    def close(self) -> None:
        """Release every run."""
        for key in list(self._files):
            self.release(key)

    def is_claimed(self, key: Key) -> bool:
        """Whether some process executes the run, this one or another."""
        if key in self._files:
            return True
        try:
            file = os.open(self._records.folder_of(key) / _CLAIM, os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            # Held, or a file system without locks, where a run is not said to be lost.
            return True
        finally:
            os.close(file)
        return False
