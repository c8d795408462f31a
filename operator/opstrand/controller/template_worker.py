"""Evaluate templates for one user's command, in one warm worker process with bounded memory and
time.

The operator and the API, which process files of many users, decide in `opstrand.workers` instead.

Owns the process: it is started when first needed, killed when a template takes too long, and
started again for the next one. `for_one_run` returns the `evaluate=` of `core.resolving` and
`core.planning.plan`. Time is the worker's own CPU time, so that a busy machine fails no run.
Nothing of the caller's process (environment, files, threads) is reachable through a value: only
JSON crosses. Must not know what is evaluated or why.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, BinaryIO

from opstrand.core.templates.evaluation import TOO_MUCH, evaluate_traced
from opstrand.core.templates.template import Evaluate, EvaluationFailed
from opstrand.core.templates.traced import from_answer, to_answer
from opstrand.errors import PlatformError

#: CPU seconds of one template, and of all templates of one run.
SECONDS = 0.5
TOGETHER = 5.0
#: Elapsed seconds of one request, however little CPU time it used.
_PATIENCE = 20.0
BYTES = 256 * 1024 * 1024
#: Bytes of a result: a larger one could not be stored anyway.
RESULT = 4 * 1024 * 1024
_START = 30.0
_HEADER = 8


class Allowance:
    """The CPU seconds that the templates of one run may still take."""

    def __init__(self, seconds: float = TOGETHER) -> None:
        self.total = self.left = seconds


class Sandbox:
    """`evaluate(source, values)` renders one template.

    Safe to call from several threads: a lock admits one at a time.
    """

    def __init__(self, *, seconds: float = SECONDS, memory: int = BYTES) -> None:
        self._seconds = seconds
        self._memory = memory
        self._lock = threading.Lock()
        self._worker: subprocess.Popen[bytes] | None = None
        self._start_seconds = 0.0

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the worker before the first template needs it."""
        with self._lock:
            self._find_worker()

    def close(self) -> None:
        with self._lock:
            self._end_worker()

    def for_one_run(self) -> Evaluate:
        """`evaluate` for templates that belong together: they share one allowance."""
        return partial(self.evaluate, allowance=Allowance())

    def evaluate(
        self, source: str, values: Mapping[str, Any], *, allowance: Allowance | None = None
    ) -> Any:
        """The template's JSON value.

        Raises EvaluationFailed with the reason, also if it takes too long or too much memory.
        """
        if allowance is not None and allowance.left <= 0:
            raise EvaluationFailed(
                f"the templates before it took {allowance.total:g} s, which is all that a run's "
                "templates may take"
            )
        request = json.dumps([source, values]).encode()
        with self._lock:
            answer = self._ask(request)
            is_lost = self._worker is None
        if allowance is not None:
            # Charge the start of the next worker to the template that makes it necessary.
            allowance.left -= answer.get("seconds", self._seconds) + (
                self._start_seconds if is_lost else 0.0
            )
        if "value" in answer:
            return from_answer(answer)
        raise EvaluationFailed(answer["refused"], answer.get("undefined"))

    def _ask(self, request: bytes) -> dict[str, Any]:
        """Send one request and read one answer.

        A dead worker is replaced once: it may have died for an unrelated reason.
        """
        for _ in range(2):
            worker = self._find_worker()
            deadline = time.monotonic() + _PATIENCE
            try:
                _write(worker.stdin, request, deadline)
                answer: dict[str, Any] = json.loads(_read(worker.stdout, deadline))
            except TimeoutError:
                self._end_worker()
                return self._refuse_slow()
            except (OSError, EOFError):
                if self._end_worker(grace=1.0) == -signal.SIGPROF:
                    return self._refuse_slow()
                continue
            if answer.get("out_of_memory"):
                # Restart it: memory that it still holds would be missing for the next template.
                self._end_worker()
            return answer
        return {"refused": TOO_MUCH}

    def _refuse_slow(self) -> dict[str, Any]:
        return {"refused": f"it takes longer than {self._seconds:g} s"}

    def _find_worker(self) -> subprocess.Popen[bytes]:
        """The worker, ready for a request. Raises PlatformError if none can be started."""
        if self._worker is not None and self._worker.poll() is None:
            return self._worker
        self._end_worker()
        began = time.monotonic()
        try:
            self._worker = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "opstrand.controller.template_worker",
                    str(self._memory),
                    str(self._seconds),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={
                    "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                    "LC_ALL": "C.UTF-8",
                },
            )
            assert self._worker.stdin is not None
            os.set_blocking(self._worker.stdin.fileno(), False)
            _read(self._worker.stdout, time.monotonic() + _START)
        except (OSError, EOFError, TimeoutError) as error:
            self._end_worker()
            raise PlatformError("the process that evaluates templates does not start") from error
        self._start_seconds = time.monotonic() - began
        return self._worker

    def _end_worker(self, *, grace: float = 0.0) -> int:
        """End the worker and return its exit code: its own if it ends within the grace."""
        worker, self._worker = self._worker, None
        if worker is None:
            return 0
        with suppress(subprocess.TimeoutExpired):
            worker.wait(grace)
        worker.kill()
        for pipe in (worker.stdin, worker.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        return worker.wait()


def _write(pipe: BinaryIO | Any, message: bytes, deadline: float) -> None:
    data = memoryview(len(message).to_bytes(_HEADER, "big") + message)
    while data:
        _, ready, _ = select.select([], [pipe], [], _left(deadline))
        if not ready:
            raise TimeoutError
        data = data[os.write(pipe.fileno(), data) :]


def _read(pipe: BinaryIO | Any, deadline: float) -> bytes:
    return _read_exactly(
        pipe, int.from_bytes(_read_exactly(pipe, _HEADER, deadline), "big"), deadline
    )


def _read_exactly(pipe: BinaryIO | Any, size: int, deadline: float) -> bytes:
    parts: list[bytes] = []
    while size > 0:
        ready, _, _ = select.select([pipe], [], [], _left(deadline))
        if not ready:
            raise TimeoutError
        part = os.read(pipe.fileno(), min(size, 1 << 16))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.0)


def serve(memory: int, seconds: float) -> None:
    """The worker's main loop: one request, one answer, until its input ends.

    It limits itself before it reads the first request.
    """
    source, sink = os.dup(0), os.dup(1)
    with open(source, "rb", buffering=0) as requests, open(sink, "wb", buffering=0) as answers:
        _limit(memory)
        _send(answers, b"ready")
        while True:
            header = _read_blocking(requests, _HEADER)
            if len(header) < _HEADER:
                return
            request = _read_blocking(requests, int.from_bytes(header, "big"))
            # The timer's signal ends the process whatever it is doing, even inside a regex that
            # never returns.
            signal.setitimer(signal.ITIMER_PROF, seconds)
            answer = _answer(request)
            signal.setitimer(signal.ITIMER_PROF, 0)
            _send(answers, answer)


def _limit(memory: int) -> None:
    """Limit the process: a template's memory comes on top of what the interpreter already uses.

    Where the system does not count memory (not Linux), time is the only limit.
    """
    for kind, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 16),
        (resource.RLIMIT_FSIZE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))
    with suppress(OSError, ValueError):
        with open("/proc/self/statm") as statm:
            used = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))


def _answer(request: bytes) -> bytes:
    began = time.process_time()
    try:
        source, values = json.loads(request)
        result = to_answer(evaluate_traced(source, values))
        answer = json.dumps({**result, "seconds": time.process_time() - began}).encode()
        if len(answer) > RESULT:
            raise EvaluationFailed(
                f"its result takes {len(answer)} bytes; at most {RESULT} are kept"
            )
    except EvaluationFailed as error:
        seconds = time.process_time() - began
        refusal = {
            "refused": error.message[:2000],
            "undefined": error.undefined,
            "seconds": seconds,
        }
        answer = json.dumps({**refusal, "out_of_memory": error.out_of_memory}).encode()
    except (MemoryError, RecursionError):
        answer = json.dumps({"refused": TOO_MUCH, "out_of_memory": True}).encode()
    return answer


def _read_blocking(pipe: BinaryIO | Any, size: int) -> bytes:
    parts: list[bytes] = []
    while size > 0 and (part := pipe.read(min(size, 1 << 20))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _send(pipe: BinaryIO | Any, message: bytes) -> None:
    data = memoryview(len(message).to_bytes(_HEADER, "big") + message)
    while data:
        data = data[pipe.write(data) :]


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]))
