"""Finds the processes below a process, by proc(5)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

#: Indexes of fields in /proc/PID/stat after the command's name.
_STATE, _USER_TIME, _SYSTEM_TIME = 0, 11, 12


def children(pid: int) -> list[int]:
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, thread.read_text().split())
        except OSError:
            continue
    return found


def descendants(pid: int) -> Iterator[int]:
    for child in children(pid):
        yield child
        yield from descendants(child)


def is_alive(pid: int) -> bool:
    """Return whether the process runs. A zombie does not."""
    stat = _read_stat(pid)
    return bool(stat) and stat[_STATE] not in ("Z", "X")


def read_cpu_seconds(pid: int) -> float:
    stat = _read_stat(pid)
    ticks = int(stat[_USER_TIME]) + int(stat[_SYSTEM_TIME]) if stat else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def _read_stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
