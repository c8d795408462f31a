"""A worker: a forked process that runs one job after another within limits of time and memory.

Owns the limits as the process applies them, and the form of the answer. A job is the name of a
function of ours, `module:function`, with its arguments; its templates are rendered in this process.
After a job that hit a limit, or that left much memory in use, the process exits: forking another
costs almost nothing.
"""

from __future__ import annotations

import importlib
import math
import pickle
import resource
import signal
import socket
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from types import FrameType
from typing import Any

from opstrand.core.templates import evaluation
from opstrand.errors import SpecError
from opstrand.text import shorten
from opstrand.workers.frames import (
    LAST,
    MORE,
    MOST,
    SECONDS,
    TOO_LONG,
    TOO_MUCH_MEMORY,
    frame,
    receive,
    write_value,
)

#: CPU seconds beyond the limit after which the kernel ends a worker that ignores the first signal.
_GRACE = 1
#: The share of the allowed memory that may stay in use between two jobs.
_KEPT = 0.25


class TooLong(BaseException):
    """The time is up. A BaseException, so that no error handler on the way stops it."""


class _Guard:
    """The template that is being rendered, for the message, and whether the time is up."""

    template = ""
    is_over = False


def evaluate(source: str, values: Mapping[str, Any]) -> Any:
    """Evaluate one template in this process, under its limits."""
    _Guard.template = source
    value = evaluation.evaluate_traced(source, values)
    _Guard.template = ""
    return value


def serve(connection: socket.socket, megabytes: int) -> None:
    """Read jobs and send answers until the peer closes the connection or a job makes this process
    exit.
    """
    base = _memory()
    _limit(base + megabytes * 1024 * 1024)
    signal.signal(signal.SIGPROF, _end_job)
    connection.sendall(frame(b"ready"))
    while (request := receive(connection)) is not None:
        answer, is_last = _work(request, connection, megabytes)
        is_last = is_last or _memory() - base > megabytes * 1024 * 1024 * _KEPT
        connection.sendall(frame((LAST if is_last else MORE) + answer))
        if is_last:
            return


def _end_job(number: int, stack: FrameType | None) -> None:
    _Guard.is_over = True
    raise TooLong


def _limit(memory: int) -> None:
    for kind, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 16),
        (resource.RLIMIT_FSIZE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _memory() -> int:
    """Bytes of address space; 0 where the system does not report it (not Linux): there, only the
    time is limited.
    """
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[0]) * resource.getpagesize()
    except (OSError, ValueError):
        return 0


def _work(request: bytes, connection: socket.socket, megabytes: int) -> tuple[bytes, bool]:
    """The answer to one job, and whether the process should exit now."""
    began = time.process_time()
    seconds = float.fromhex(request[:SECONDS].decode())
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(
        resource.RLIMIT_CPU, (math.ceil(time.process_time() + seconds) + _GRACE, hard)
    )
    _Guard.template = ""
    answer, is_last = b"", True
    try:
        try:
            signal.setitimer(signal.ITIMER_PROF, seconds)
            answer, is_last = _run(request[SECONDS:], connection, began)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    except TooLong:
        signal.setitimer(signal.ITIMER_PROF, 0)
    except MemoryError:
        return _encode(
            "expensive", _word_refusal(TOO_MUCH_MEMORY.format(memory=megabytes)), began
        ), True
    if _Guard.is_over:
        # Report it in any case: the result of an interrupted job proves nothing.
        return _encode("expensive", _word_refusal(TOO_LONG.format(seconds=seconds)), began), True
    return answer, is_last


def _run(request: bytes, connection: socket.socket, began: float) -> tuple[bytes, bool]:
    try:
        job, arguments, chunks = pickle.loads(request)
        module, _, name = job.partition(":")
        more = [
            item for _ in range(chunks or 0) for item in pickle.loads(receive(connection) or b"")
        ]
        value = getattr(importlib.import_module(module), name)(
            *arguments, *(() if chunks is None else (more,))
        )
        answer = _encode("value", value, began)
    except SpecError as error:
        return _encode("refused", error.problems, began), False
    except RecursionError:
        return _encode("expensive", _word_refusal("it is nested too deeply"), began), True
    except MemoryError:
        raise  # handled by the caller, where the timer is off
    except Exception:
        return _encode("bug", traceback.format_exc()[-8000:], began), True
    if len(answer) > MOST:
        return _encode(
            "expensive", f"what it gives takes {len(answer)} bytes; at most {MOST} are taken", began
        ), True
    return answer, False


def _word_refusal(message: str) -> str:
    """The limit, and the template that was being evaluated when it was hit."""
    return f"{message} (at {shorten(repr(_Guard.template), 120)})" if _Guard.template else message


def _encode(kind: str, value: Any, began: float) -> bytes:
    return write_value((kind, value, time.process_time() - began))
