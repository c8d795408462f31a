"""The nursery's process as the pool sees it: started, asked for workers, and ended.

Must not know what the workers compute.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from opstrand.errors import PlatformError
from opstrand.workers.frames import (
    HEADER,
    MOST,
    ORDER,
    frame,
)

#: Seconds in which a new worker must be ready. The first one waits for all imports, perhaps on a
#: busy machine.
_START = 60.0


class WorkerProcess:
    """The operator's end of the connection to one worker."""

    def __init__(
        self,
        number: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        code: asyncio.Future[int],
        kill: Callable[[int], None],
    ) -> None:
        self._number, self._reader, self._writer, self._code, self._kill = (
            number,
            reader,
            writer,
            code,
            kill,
        )

    async def ask(self, frames: Iterable[bytes]) -> bytes:
        """Send the frames and return the answer. Raises OSError or EOFError if the worker died."""
        for data in frames:
            self._writer.write(frame(data))
            await self._writer.drain()
        return await self.receive()

    async def receive(self) -> bytes:
        size = int.from_bytes(await self._reader.readexactly(HEADER), "big")
        if size > 2 * MOST:
            raise EOFError
        return await self._reader.readexactly(size)

    async def find_code(self) -> int:
        """The exit code of a worker that has ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                return await asyncio.shield(self._code)
        return -signal.SIGKILL

    def close(self) -> None:
        self._writer.close()
        if not self._code.done():
            self._kill(self._number)


class NurseryProcess:
    """The process that forks the workers, from the operator's side; restarted when it dies."""

    def __init__(self, modules: Sequence[str], megabytes: int) -> None:
        self._arguments = [str(megabytes), *modules]
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._codes: dict[int, asyncio.Future[int]] = {}
        self._numbers = itertools.count(1)
        self._rest = b""

    async def fork(self) -> WorkerProcess:
        """A worker that is ready for a job. Raises PlatformError where none can be started."""
        number = next(self._numbers)
        ours, theirs = socket.socketpair()
        try:
            control = self._find()
            with theirs:
                self._order(control, f"fork {number}", theirs)
            code = self._codes[number] = asyncio.get_running_loop().create_future()
            ours.setblocking(False)
            reader, writer = await asyncio.open_connection(sock=ours)
            worker = WorkerProcess(number, reader, writer, code, self._kill)
        except OSError as error:
            ours.close()
            self.close()
            raise PlatformError(
                f"no process for expensive decisions can be started: {error}", retry_after=2.0
            ) from error
        try:
            async with asyncio.timeout(_START):
                await worker.receive()
        except (TimeoutError, OSError, EOFError) as error:
            worker.close()
            self.close()
            raise PlatformError(
                "the process for expensive decisions does not start", retry_after=2.0
            ) from error
        except BaseException:
            worker.close()
            raise
        return worker

    def _find(self) -> socket.socket:
        if self._process is not None and self._process.poll() is None and self._control is not None:
            return self._control
        self.close()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "opstrand.workers.nursery", *self._arguments],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={
                    "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                    "LC_ALL": "C.UTF-8",
                },
            )
        ours.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(ours, self._read_exits)
        self._control = ours
        return ours

    def _read_exits(self) -> None:
        """Read which workers have ended, and with which exit code."""
        assert self._control is not None
        try:
            data = self._control.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            _, number, code = line.split()
            future = self._codes.pop(int(number), None)
            if future is not None and not future.done():
                future.set_result(int(code))

    @staticmethod
    def _order(control: socket.socket, order: str, given: socket.socket | None = None) -> None:
        data = order.ljust(ORDER).encode()
        if given is None:
            control.send(data)
        else:
            socket.send_fds(control, [data], [given.fileno()])

    def _kill(self, number: int) -> None:
        if self._control is not None:
            with suppress(OSError):
                self._order(self._control, f"kill {number}")

    def close(self) -> None:
        """Kill the workers and end the process that forks them, without a grace period.

        The loop may stand still. A reader that stayed would belong to the next socket that gets
        this number, and the loop would never read that one.
        """
        control, self._control = self._control, None
        if control is not None:
            assert self._loop is not None
            self._loop.remove_reader(control)
            for number in self._codes:
                with suppress(OSError):
                    self._order(control, f"kill {number}")
            control.close()
        process, self._process = self._process, None
        if process is not None:
            try:
                process.wait(0.5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for future in self._codes.values():
            if not future.done():
                future.set_result(-signal.SIGKILL)
        self._codes.clear()
        self._rest = b""
