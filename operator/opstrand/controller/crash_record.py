"""Which runs were being reconciled when the process died: a small file that outlives the process,
but not the Pod.

Owns the file format and the counting. A run is entered before it is reconciled and removed
afterwards, by writing a few bytes of mapped memory. Nothing is flushed, since the kernel keeps what
a killed process wrote. At the next start, every run that is still entered gets a count. Runs with a
count are reconciled one at a time, so that only the run that kills the process is counted again.
Must not know what happens to such a run.
"""

from __future__ import annotations

import asyncio
import logging
import mmap
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)

#: Deaths of the process after which a run is set aside.
DEATHS = 2
_MAGIC = b"opstrand crash record 1".ljust(64, b"\0")
_ENTRY = 64
#: Maximum runs in progress, and maximum runs with a count; further ones are not recorded.
_FLIGHTS = 64
_COUNTS = 192
_SIZE = len(_MAGIC) + (_FLIGHTS + _COUNTS) * _ENTRY
_FIRST_COUNT = len(_MAGIC) + _FLIGHTS * _ENTRY


class CrashRecord:
    """Counts by uid. Without a path, nothing outlives the process."""

    def __init__(self, path: str = "") -> None:
        self._data: mmap.mmap = _open(path)
        self._free = list(range(_FLIGHTS))
        self._counts: dict[str, int] = {}
        self._alone = asyncio.Lock()
        self._count_interrupted()

    def count(self, uid: str) -> int:
        """How often the process died during a reconcile of this run since the last one that
        succeeded.
        """
        return self._counts.get(uid, 0)

    def is_set_aside(self, uid: str) -> bool:
        return self._counts.get(uid, 0) >= DEATHS

    @asynccontextmanager
    async def flight(self, uid: str) -> AsyncIterator[None]:
        """Enter the run while it is reconciled.

        A run that was in progress when the process died waits for the other such runs.
        """
        if uid in self._counts:
            async with self._alone:
                with self._entered(uid):
                    yield
        else:
            with self._entered(uid):
                yield

    def forgive(self, uid: str) -> None:
        """Reset the count: the run was reconciled and the process survived."""
        if uid in self._counts and not self.is_set_aside(uid):
            del self._counts[uid]
            self._write_counts()

    @contextmanager
    def _entered(self, uid: str) -> Iterator[None]:
        if not self._free:
            yield
            return
        slot = self._free.pop()
        at = len(_MAGIC) + slot * _ENTRY
        self._data[at : at + _ENTRY] = uid.encode()[:_ENTRY].ljust(_ENTRY, b"\0")
        try:
            yield
        finally:
            self._data[at] = 0
            self._free.append(slot)

    def _count_interrupted(self) -> None:
        """Count the runs that the previous process left entered."""
        for at in range(_FIRST_COUNT, _SIZE, _ENTRY):
            uid, _, count = self._read(at).partition(" ")
            if uid:
                self._counts[uid] = int(count or 0)
        for at in range(len(_MAGIC), _FIRST_COUNT, _ENTRY):
            uid = self._read(at)
            if uid:
                self._counts[uid] = self._counts.get(uid, 0) + 1
                logger.warning(
                    "the operator died while it reconciled the run of uid %s (%d times)",
                    uid,
                    self._counts[uid],
                )
        self._write_counts()
        self._data[len(_MAGIC) : _FIRST_COUNT] = bytes(_FIRST_COUNT - len(_MAGIC))

    def _read(self, at: int) -> str:
        entry = self._data[at : at + _ENTRY]
        return entry.rstrip(b"\0").decode("ascii", "ignore") if entry[0] else ""

    def _write_counts(self) -> None:
        kept = sorted(self._counts.items(), key=lambda one: -one[1])[:_COUNTS]
        entries = (f"{uid} {count}".encode()[:_ENTRY].ljust(_ENTRY, b"\0") for uid, count in kept)
        self._data[_FIRST_COUNT:_SIZE] = b"".join(entries).ljust(_COUNTS * _ENTRY, b"\0")

    def close(self) -> None:
        self._data.close()


def _open(path: str) -> mmap.mmap:
    """The mapped file, recreated if it is not a crash record.

    A file that cannot be opened is logged, and anonymous memory is used instead.
    """
    if not path:
        return mmap.mmap(-1, _SIZE)
    try:
        file = Path(path)
        if (
            not file.exists()
            or file.stat().st_size != _SIZE
            or not file.read_bytes().startswith(_MAGIC)
        ):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(_MAGIC.ljust(_SIZE, b"\0"))
        with file.open("r+b") as opened:
            return mmap.mmap(opened.fileno(), _SIZE)
    except (OSError, ValueError) as error:
        logger.warning("deaths of the operator are not recorded: %s", error)
        return mmap.mmap(-1, _SIZE)
