"""Start a program as a container runtime would, and read what it prints until it has ended.

Owns sessions and pipes. Must not know Pods.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress

#: Seconds of silence after which the output of an ended program is complete, even if a process that
#: left its session still holds the pipe.
_SILENCE = 1.0
#: Seconds after which the output is complete in any case.
_LATEST = 5.0
#: Seconds between two checks whether a program has ended.
_LOOK = 0.02


async def end_session(process: asyncio.subprocess.Process) -> None:
    """Kill what the program started and left behind, as in a container.

    Otherwise those processes would hold the output open.
    """
    # `process.wait()` waits for the end of the output too, and no other call reports only the exit.
    while process.returncode is None:  # noqa: ASYNC110
        await asyncio.sleep(_LOOK)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


async def start_program(
    command: list[str], folder: str, env: Mapping[str, str]
) -> asyncio.subprocess.Process:
    """Start the process in a session of its own: a terminal's Ctrl-C is for this command only.

    The process inherits no POLYAXON_ variable, which would belong to another run.
    """
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("POLYAXON_")
    }
    return await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**inherited, **env},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        limit=1 << 20,
    )


async def iter_lines(
    process: asyncio.subprocess.Process, ending: asyncio.Task[None]
) -> AsyncIterator[bytes]:
    """Yield what the program prints, until it has ended and no more output comes.

    In a container no process outlives the program, so none could go on printing.
    """
    assert process.stdout is not None
    latest: float | None = None
    while latest is None or time.monotonic() < latest:
        reading = asyncio.ensure_future(_read_line(process.stdout))
        await asyncio.wait((reading, ending), return_when=asyncio.FIRST_COMPLETED)
        if ending.done() and latest is None:
            latest = time.monotonic() + _LATEST
        if not reading.done():
            await asyncio.wait((reading,), timeout=_SILENCE)
        if not reading.done():
            reading.cancel()
            # A last line without a newline.
            with suppress(TimeoutError):
                yield await asyncio.wait_for(process.stdout.read(1 << 20), _LOOK)
            return
        if not (line := reading.result()):
            return
        yield line


async def _read_line(stream: asyncio.StreamReader) -> bytes:
    """Read one line, or a part of a line that is longer than a megabyte."""
    try:
        return await stream.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        return error.partial
    except asyncio.LimitOverrunError:
        return await stream.read(1 << 20)
