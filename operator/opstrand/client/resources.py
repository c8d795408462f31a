"""What the machine of a run uses, sampled in the background: processors, memory, load and GPUs.

Owns the names that the published client gives these series (`cpu`, `memory`, `load`,
`gpu_0_utilization`), each of the whole machine. A value that cannot be read here is left
out. Must never raise, nor keep the program from ending.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

from .guard import guarded
from .series import Series

#: Seconds between two samples; a shorter program has none.
_INTERVAL = 10.0
_GPU_FIELDS = "memory.free,memory.used,utilization.gpu"
_GPU_SECONDS = 5.0
_MIB = 1024 * 1024

_started: set[str] = set()


@guarded
def sample_resources(folder: str, interval: float = _INTERVAL) -> None:
    """Sample into the run's folder until the process ends, once for each folder."""
    if folder in _started or not os.path.isdir(folder):
        return
    _started.add(folder)
    sampler = Sampler(Series(folder, "resources"))
    threading.Thread(
        target=sampler.run, args=(interval,), name="opstrand-resources", daemon=True
    ).start()


class Sampler:
    """Writes a point to each series, with each sample."""

    def __init__(self, series: Series) -> None:
        self._series = series
        self._times = _read_processor_times()
        self._has_gpu = True

    def run(self, interval: float) -> None:
        pause = threading.Event()
        while not pause.wait(interval):
            self.sample()

    @guarded
    def sample(self) -> None:
        self._series.append(dict(self._iter_values()))

    def _iter_values(self) -> Iterator[tuple[str, float]]:
        if hasattr(os, "getloadavg"):
            yield "load", os.getloadavg()[0]
        before, self._times = self._times, _read_processor_times()
        if before and self._times and self._times[1] > before[1]:
            busy, total = self._times[0] - before[0], self._times[1] - before[1]
            yield "cpu", round(100 * busy / total, 1)
        memory = _read_memory()
        if memory is not None:
            yield "memory", memory
        if self._has_gpu:
            gpus = list(_read_gpus())
            self._has_gpu = bool(gpus)
            yield from gpus


def _read_processor_times() -> tuple[float, float] | None:
    """Return for how long the processors were busy, and altogether, since the machine started."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            times = [float(one) for one in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return None
    idle = times[3] + times[4] if len(times) > 4 else 0.0
    return sum(times) - idle, sum(times)


def _read_memory() -> float | None:
    """Return how much of the memory is used, in percent."""
    found = {}
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                name, _, rest = line.partition(":")
                found[name] = float(rest.split()[0])
        return round(100 * (1 - found["MemAvailable"] / found["MemTotal"]), 1)
    except (OSError, ValueError, LookupError, ZeroDivisionError):
        return None


def _read_gpus() -> Iterator[tuple[str, float]]:
    """Yield what NVIDIA's own program says of each GPU; nothing where it is not installed."""
    import shutil
    import subprocess

    program = shutil.which("nvidia-smi")
    if program is None:
        return
    command = [program, f"--query-gpu={_GPU_FIELDS}", "--format=csv,noheader,nounits"]
    try:
        answer: Any = subprocess.run(
            command, capture_output=True, text=True, timeout=_GPU_SECONDS, check=True
        ).stdout
        for index, line in enumerate(answer.splitlines()):
            free, used, utilization = (float(one) for one in line.split(","))
            yield f"gpu_{index}_memory_free", free * _MIB
            yield f"gpu_{index}_memory_used", used * _MIB
            yield f"gpu_{index}_utilization", utilization
    except (OSError, ValueError, subprocess.SubprocessError):
        return
