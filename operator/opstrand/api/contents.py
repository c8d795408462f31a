"""The two texts of a run: the file as it was sent, and what it compiles to.

Owns where the file is compiled (inline if that is cheap, else in a worker, in the project's turn)
and the cache of the results, so that repeated reads of a run cost nothing more. Must not compile:
`core.compiling` does.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from opstrand.api.content_job import MODULE, compile_text
from opstrand.core.recorded import read_status
from opstrand.errors import PlatformError, SpecError
from opstrand.types import Body
from opstrand.workers.inline import NeedsWorker, bounded
from opstrand.workers.pool import Busy, Exceeded, Pool

#: Maximum characters of a file that is compiled in the event loop.
_SMALL = 8 * 1024
#: CPU seconds in a worker, and seconds after which a reader is answered without the compiled text.
_WORK = 0.5
_PATIENCE = 4.0
#: Characters that are cached for all runs together.
_MEMORY = 8 * 1024 * 1024
#: The cost of a cached entry besides its text.
_ENTRY = 200
#: The parts of a status that are compiled with the file.
_PARTS = ("component", "inputs", "frozenOutputs")


@dataclass(frozen=True)
class Content:
    """`compiled` equals `sent` if the file does not compile, or not within its limits."""

    compiled: str
    sent: str


class Contents:
    """`read` returns both texts of a run. Without a pool, compiling has no limits."""

    def __init__(self, pool: Pool | None = None, *, memory: int = _MEMORY) -> None:
        self._pool, self._memory = pool, memory
        self._known: OrderedDict[bytes, str | None] = OrderedDict()
        self._size = 0
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def pool(self) -> Pool | None:
        """The workers for what a file can make expensive."""
        return self._pool

    async def read(self, body: Body) -> Content:
        sent = json.dumps(body.get("spec") or {}, ensure_ascii=False)
        status: Body = read_status(body)
        parts = {key: status[key] for key in _PARTS if key in status}
        beside = json.dumps(parts, ensure_ascii=False)
        key = hashlib.sha256(f"{sent}\0{beside}".encode(errors="surrogatepass")).digest()
        if key in self._known:
            self._known.move_to_end(key)
            return Content(self._known[key] or sent, sent)
        source = {"spec": body.get("spec") or {}, "status": parts}
        project = body["metadata"]["namespace"]
        try:
            compiled = await self._compile(key, project, source, len(sent) + len(beside))
        except (Busy, TimeoutError, PlatformError):
            return Content(sent, sent)
        self._remember(key, compiled)
        return Content(compiled or sent, sent)

    async def _compile(
        self, key: bytes, project: str, source: Mapping[str, Any], size: int
    ) -> str | None:
        """The compiled text; None if the file does not compile.

        Raises Busy, TimeoutError and PlatformError if that is not known.
        """
        if self._pool is None:
            return await asyncio.to_thread(compile_text, source)
        if size <= _SMALL:
            try:
                with bounded():
                    return compile_text(source)
            except NeedsWorker:
                pass
        # Only one reader of a project uses a worker at a time: submitted files need the workers
        # more.
        turn = self._turns.setdefault(project, asyncio.Lock())
        async with asyncio.timeout(_PATIENCE), turn:
            if key in self._known:
                return self._known[key]
            try:
                done = await self._pool.run(
                    f"{MODULE}:compile_text", source, group=project, seconds=_WORK
                )
            except (Exceeded, SpecError):
                return None
        text: str | None = done.value
        return text

    def _remember(self, key: bytes, text: str | None) -> None:
        size = len(text or "") + _ENTRY
        if key in self._known or size > self._memory:
            return
        self._known[key] = text
        self._size += size
        while self._size > self._memory:
            _, oldest = self._known.popitem(last=False)
            self._size -= len(oldest or "") + _ENTRY
