"""Files that are sent to this API: which arrive at this moment, which are stored, and whose turn it
is to be stored.

A turn is taken before a thread is: one that waits for a bucket occupies a thread of those that all
requests share. Must not read or write a file.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

from opstrand.artifacts.folder import RunFiles
from opstrand.artifacts.receiving import MOST_LARGE, SMALL, Announced

#: Archives that are unpacked at the same time: each stores many files.
_ARCHIVES = 4
#: Files that are remembered.
_MOST = 1000


class Transfers:
    """One for all ports of an API. `running`: the places that a request writes to now."""

    def __init__(self) -> None:
        self.running: set[Path] = set()
        self._large, self._unpacking = asyncio.Semaphore(MOST_LARGE), asyncio.Semaphore(_ARCHIVES)
        self._stored: OrderedDict[tuple[Path, str], Announced] = OrderedDict()

    def turn_of(self, size: int) -> AbstractAsyncContextManager[None]:
        """The turn of a file of so many bytes to be stored."""
        return self._large if size > SMALL else nullcontext()

    def turn_of_archive(self) -> AbstractAsyncContextManager[None]:
        return self._unpacking

    def remember(self, files: RunFiles, announced: Announced) -> None:
        """Remember that a file is stored: a client that got no answer asks again."""
        key = (files.incoming, announced.path)
        self._stored[key] = announced
        self._stored.move_to_end(key)
        if len(self._stored) > _MOST:
            self._stored.popitem(last=False)

    def is_remembered(self, files: RunFiles, announced: Announced) -> bool:
        return self._stored.get((files.incoming, announced.path)) == announced

    def forget(self, files: RunFiles) -> None:
        """Forget the files of a run, one of which may have another content now."""
        for key in [one for one in self._stored if one[0] == files.incoming]:
            del self._stored[key]
