"""A file of a run that is not in a folder of this machine.

Must not know where it is: the command line, which has no library for buckets, reads this too.
"""

from __future__ import annotations

import io
from datetime import datetime
from typing import Protocol


class StoredObject(Protocol):
    """`name`: the last part of its path. `size`: bytes. `tag`: another content has another one."""

    name: str
    size: int
    tag: str
    modified: datetime

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`. Raises MissingFile if it is another by now."""

    def open(self) -> io.BufferedReader:
        """The content as a file, of which a block at a time is in memory."""
