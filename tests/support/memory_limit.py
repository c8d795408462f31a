"""Enforces the memory limit of a Deployment on a process of the tests and on all that it starts.

It uses a memory cgroup where it can make one (Linux, root, version 1). Elsewhere it polls the
memory of the processes and kills all of them once they exceed the limit, as the kernel does with a
container.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup/memory")


class MemoryLimit:
    """A context manager.

    `peak`: the most bytes in use at once; `kills`: how often the limit was enforced.
    """

    def __init__(self, pid: int, limit: int) -> None:
        self._pid, self._limit = pid, limit
        self._group = _GROUPS / f"opstrand-test-{pid}"
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.peak = self.kills = 0

    def __enter__(self) -> MemoryLimit:
        try:
            self._group.mkdir()
            (self._group / "memory.limit_in_bytes").write_text(str(self._limit))
            (self._group / "cgroup.procs").write_text(str(self._pid))
        except OSError:
            self._thread = threading.Thread(target=self._watch)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the cgroup; call this after the process has ended."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            return
        self.read()
        with contextlib.suppress(OSError):
            self._group.rmdir()

    def read(self) -> None:
        """Update `peak` and `kills`."""
        if self._thread is None:
            self.peak = int((self._group / "memory.max_usage_in_bytes").read_text())
            control = dict(
                line.split()
                for line in (self._group / "memory.oom_control").read_text().splitlines()
            )
            self.kills = int(control.get("oom_kill", 0))

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            pids = _family(self._pid)
            used = sum(map(_proportional, pids))
            self.peak = max(self.peak, used)
            if used > self._limit:
                self.kills += 1
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *(one for child in children for one in _family(int(child)))]


def _proportional(pid: int) -> int:
    """Return bytes of memory, shared pages by their share; 0 for a process that is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
