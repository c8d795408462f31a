"""The process that forks the workers: it has imported everything, so a fork takes milliseconds.

Reads orders from its standard input, a Unix socket: `fork NUMBER` with one end of a connection, and
`kill NUMBER`. Answers `ended NUMBER CODE`. It exits at the end of its input, and kills every
worker. Must not run a job itself: what a job changes in a worker disappears with that worker.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import select
import signal
import socket
import sys
from contextlib import suppress

from opstrand.workers.frames import ORDER

#: Workers yield the CPU to all other processes, and the kernel kills them first when memory runs
#: out. The imports run at a higher priority, since the first job waits for them.
NICENESS = 10
_NICENESS_OF_LOADING = 5
_OOM_SCORE = "1000"
#: Linux, prctl(2): the signal that a process gets when its parent ends.
_SET_PARENT_DEATH_SIGNAL = 1
#: A function of a preloaded module that runs a first job on data of our own.
WARM_UP = "warm_up"


def main(arguments: list[str]) -> int:
    megabytes, modules = int(arguments[0]), arguments[1:]
    with suppress(OSError):
        os.nice(_NICENESS_OF_LOADING)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write(_OOM_SCORE)
    for module in ("opstrand.workers.worker", *modules):
        _load(module)
    gc.collect()
    gc.freeze()
    with suppress(OSError):
        os.nice(NICENESS - _NICENESS_OF_LOADING)
    with socket.socket(fileno=os.dup(0)) as control:
        _Nursery(control, megabytes).serve()
    return 0


def _load(name: str) -> None:
    """Import the module, and load what its first job needs, so that no worker has to load it."""
    module = importlib.import_module(name)
    if hasattr(module, WARM_UP):
        getattr(module, WARM_UP)()


class _Nursery:
    def __init__(self, control: socket.socket, megabytes: int) -> None:
        self._control = control
        self._megabytes = megabytes
        self._workers: dict[int, int] = {}
        self._pid = os.getpid()
        # Looked up before any fork: a worker must not load a library.
        self._prctl = getattr(ctypes.CDLL(None), "prctl", None)
        self._woken, self._wake = os.pipe()

    def serve(self) -> None:
        os.set_blocking(self._wake, False)
        signal.set_wakeup_fd(self._wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        while True:
            ready, _, _ = select.select([self._control.fileno(), self._woken], [], [])
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._reap()
            if self._control.fileno() in ready and not self._obey():
                break
        for pid in self._workers.values():
            os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                number = next((one for one, pid in self._workers.items() if pid == ended[0]), None)
                if number is not None:
                    del self._workers[number]
                    with suppress(OSError):
                        self._control.send(
                            f"ended {number} {os.waitstatus_to_exitcode(ended[1])}\n".encode()
                        )

    def _obey(self) -> bool:
        """Execute one order; False at the end of the input."""
        try:
            order, given, _, _ = socket.recv_fds(self._control, ORDER, 1)
        except ConnectionError:
            return False
        if not order:
            return False
        verb, number = order.decode().split()
        if verb == "fork" and given:
            self._fork(int(number), given[0])
        elif int(number) in self._workers:
            # The worker is not reaped yet, so its process id cannot belong to another process.
            os.kill(self._workers[int(number)], signal.SIGKILL)
        return True

    def _fork(self, number: int, connection: int) -> None:
        pid = os.fork()
        if pid:
            os.close(connection)
            self._workers[number] = pid
            return
        code = 1
        try:
            self._end_with_parent()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in (self._woken, self._wake):
                os.close(descriptor)
            self._control.close()
            with open(os.devnull) as nothing:
                os.dup2(nothing.fileno(), 0)
            from opstrand.workers.worker import serve

            with socket.socket(fileno=connection) as opened:
                serve(opened, self._megabytes)
            code = 0
        finally:
            os._exit(code)

    def _end_with_parent(self) -> None:
        """Let the kernel kill this worker when its parent dies; a busy worker reads no input."""
        if self._prctl is not None:
            self._prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != self._pid:
            raise SystemExit


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
