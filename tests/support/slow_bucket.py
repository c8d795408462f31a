"""A bucket in memory that stores a file when the test says so."""

from __future__ import annotations

import threading
from pathlib import Path

from obstore.store import MemoryStore

from opstrand.artifacts.bucket import Bucket

#: Seconds until a test that never says so fails.
_PATIENCE = 60


class SlowBucket(Bucket):
    """Each write waits until `released`. `writes`: the keys for which one began."""

    def __init__(self) -> None:
        super().__init__("memory://", MemoryStore())
        self.released = threading.Event()
        self.writes: list[str] = []

    def write(self, key: str, place: Path) -> None:
        self.writes.append(key)
        assert self.released.wait(_PATIENCE)
        super().write(key, place)
