"""Which process executes a run: a lock on a file of the run's folder.

The system frees the lock when that process ends, however it ends. Owns those locks. Must not read
or write a run.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress

from opstrand.local.records import Records
from opstrand.types import Key

_CLAIM = ".claim"
#: A process that only checks whether a run is claimed holds the lock for a moment. These are the
#: number of tries and the seconds between two.
_TRIES, _PAUSE = 20, 0.005


class Claims:
    """The runs that this process executes."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._files: dict[Key, int] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._files

    def claim(self, key: Key) -> bool:
        """Claim the run for this process, until `release` or the end of the process.

        Returns False if the run is claimed already, by this process or another.
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
                # The file system has no locks, so two runs of one name may execute at once there.
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
        """Whether any process executes the run, this one or another."""
        if key in self._files:
            return True
        try:
            file = os.open(self._records.folder_of(key) / _CLAIM, os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            # The lock is held, or the file system has none; there no run is reported as lost.
            return True
        finally:
            os.close(file)
        return False
