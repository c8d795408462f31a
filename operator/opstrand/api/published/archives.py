"""Threads that send folders as archives, at the speed at which each client reads.

Owns that a slow download occupies none of the threads that all requests share, and how many are
sent at the same time. Must not know what is in an archive.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from aiohttp import web

from opstrand.api.limits import Busy

#: Archives that are sent at the same time. Each occupies a thread until its client has read it.
_MOST = 16
#: Bytes of an archive that are sent at a time.
_BLOCK = 256 * 1024


class Archives:
    """The archives that one application sends."""

    def __init__(self, most: int = _MOST) -> None:
        self._most, self._sent = most, 0
        # It starts its threads when they are needed.
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="archive")
        self._ended = threading.Event()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Raises `Busy` if as many as possible are being sent."""
        if self._sent >= self._most:
            raise Busy(f"{self._sent} archives are being sent already.")
        self._sent += 1
        try:
            yield
        finally:
            self._sent -= 1

    async def send(self, response: web.StreamResponse, write: Callable[[Sink], None]) -> None:
        """Send what `write` writes in a thread, after the head of the response."""
        sink = Sink(response, self._ended)

        def write_all() -> None:
            write(sink)
            sink.flush()

        await asyncio.get_running_loop().run_in_executor(self._threads, write_all)

    async def close(self, _: web.Application) -> None:
        """End the threads. None is waited for: it ends at the next block that it sends."""
        self._ended.set()
        self._threads.shutdown(wait=False, cancel_futures=True)


class Sink:
    """Sends what a thread writes, at the speed at which the client reads."""

    def __init__(self, response: web.StreamResponse, ended: threading.Event) -> None:
        self._response, self._loop = response, asyncio.get_running_loop()
        self._ended = ended
        self._waiting = bytearray()

    def write(self, data: bytes) -> int:
        self._waiting += data
        if len(self._waiting) >= _BLOCK:
            self.flush()
        return len(data)

    def flush(self) -> None:
        if self._ended.is_set():
            # A loop that is over would never answer, and the process would wait for this thread.
            raise ConnectionResetError("the API ends")
        data, self._waiting = bytes(self._waiting), bytearray()
        asyncio.run_coroutine_threadsafe(self._response.write(data), self._loop).result()


ARCHIVES: web.AppKey[Archives] = web.AppKey("archives")
