"""The kinds of runs that this version starts.

Owns the list. A new kind is a new line here. Must not decide anything about a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opstrand.core.runtimes.base import Runtime
from opstrand.core.runtimes.dag import DagRuntime
from opstrand.core.runtimes.job import JobRuntime
from opstrand.core.runtimes.matrix import MatrixRuntime
from opstrand.core.runtimes.schedule import ScheduleRuntime
from opstrand.core.runtimes.service import ServiceRuntime

#: The kind of a run that is over and was never frozen, and of one whose own mark was removed.
_DEFAULT: Runtime = JobRuntime()
#: A matrix has children too: its own mark counts first.
_ALL: tuple[Runtime, ...] = (
    _DEFAULT,
    ServiceRuntime(),
    ScheduleRuntime(),
    MatrixRuntime(),
    DagRuntime(),
)
RUNTIMES: Mapping[str, Runtime] = {one.kind: one for one in _ALL}


def runtime_of(status: Mapping[str, Any]) -> Runtime:
    """Return the kind of a frozen run, by the mark in its status."""
    marked = (one for one in RUNTIMES.values() if one is not _DEFAULT and one.mark in status)
    return next(marked, _DEFAULT)
