"""What an operation waits for with `events`: that another run reaches a status.

Owns the kinds of events that can be waited for, and when one has happened. A later status makes up
for an earlier one, which may never have been written. Must not know the graph.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from opstrand.core.phase import Phase
from opstrand.core.pipelines.letters import ABSENT, PUBLISHED, STARTED, Child
from opstrand.errors import Problem
from opstrand.spec.scalars import is_template
from opstrand.text import list_names

Happened = Literal["yes", "not yet", "never"]

_UUID = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_PREFIX = "run_status_"
#: Statuses that are reached one after the other: with the run's creation, its freeze, its start.
_STEPS = {
    **dict.fromkeys(("created", "compiled", "queued"), 1),
    **dict.fromkeys(("scheduled", "starting", "initializing"), 2),
    **dict.fromkeys(("running", "processing"), 3),
}
#: How far a run came that ended so.
_REACHED = {"succeeded": 3, "failed": 3, "stopped": 3, "skipped": 1, "upstream_failed": 1}
KINDS = tuple(_PREFIX + status for status in (*_STEPS, *_REACHED, "done"))


def check_events(written: Any, path: str) -> Iterator[Problem]:
    """Find the events that an operation cannot wait for."""
    if is_template(written):
        yield Problem("NotSupported", "a template cannot give events: write the list", path)
        return
    for index, event in enumerate(written if isinstance(written, list | tuple) else ()):
        ref, where = str(event.get("ref") or ""), f"{path}[{index}]"
        if not ref.startswith(("ops.", "runs.")) or is_template(ref):
            message = f"this version knows events of runs: ops.NAME and runs.UUID, found {ref!r}"
            yield Problem("NotSupported", message, f"{where}.ref")
        elif ref.startswith("runs.") and not _UUID.fullmatch(ref[5:]):
            message = f"expected runs.UUID, found {ref!r}: a uuid has 32 hexadecimal digits"
            yield Problem("RefInvalid", message, f"{where}.ref")
        unknown = [kind for kind in event.get("kinds") or () if kind not in KINDS]
        if unknown:
            message = f"this version does not know '{unknown[0]}'; there are {list_names(KINDS)}"
            yield Problem("NotSupported", message, f"{where}.kinds")


def read_events(written: Any) -> dict[str, frozenset[str]]:
    """Return, by the name of the operation, the statuses of which one must be reached.

    Two events of the same operation are one with the kinds of both. The run of an operation waits
    itself for those of other runs (`runs.UUID`).
    """
    found: dict[str, frozenset[str]] = {}
    for event in written if isinstance(written, list) else ():
        ref = str(event.get("ref"))
        if ref.startswith("ops."):
            name = ref.removeprefix("ops.")
            found[name] = found.get(name, frozenset()) | read_statuses(event)
    return found


def read_statuses(event: Mapping[str, Any]) -> frozenset[str]:
    """Return the statuses of which a run must reach one."""
    return frozenset(str(kind).removeprefix(_PREFIX) for kind in event.get("kinds") or ())


def find_happened(statuses: frozenset[str], letter: str, child: Child | None) -> Happened:
    """Return whether a run with this letter has reached one of the statuses, or ever will."""
    end = PUBLISHED.get(letter)
    reached = _find_step(letter, child) if end is None else _REACHED[end]
    if any(_STEPS.get(status, 4) <= reached for status in statuses):
        return "yes"
    if end is None:
        return "not yet"
    return "yes" if {end, "done"} & statuses else "never"


def has_reached(statuses: frozenset[str], phase: Phase, *, is_started: bool) -> Happened:
    """Return whether a run in this phase has reached one of the statuses, or ever will.

    One that ended before it started was never running.
    """
    if is_started or phase is Phase.SUCCEEDED:
        reached = 3
    else:
        reached = 2 if phase in (Phase.STARTING, Phase.RUNNING, Phase.RETRYING) else 1
    if any(_STEPS.get(status, 4) <= reached for status in statuses):
        return "yes"
    if not phase.is_final:
        return "not yet"
    return "yes" if {phase.published, "done"} & statuses else "never"


def _find_step(letter: str, child: Child | None) -> int:
    if child is not None and child.is_running:
        return 3
    return 0 if letter == ABSENT else 2 if letter == STARTED else 1
