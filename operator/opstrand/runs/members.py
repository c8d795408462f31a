"""Which runs a pipeline made, by the objects alone.

Owns what the commands mean by a root, by a pipeline and by its operations. Must not compile a file:
listing runs must be quick.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from opstrand.core import names
from opstrand.core.phase import parse_phase
from opstrand.core.pipelines.letters import PUBLISHED
from opstrand.core.recorded import read_status
from opstrand.types import Body

Run = TypeVar("Run", bound=Body)
#: The operations that lead from a pipeline to one of its runs.
Path = tuple[str, ...]

#: The kinds of runs that make runs.
KINDS = ("dag", "matrix", "schedule")
#: Selects the runs that no pipeline made, for kubectl too.
ROOTS = f"!{names.PIPELINE}"


def only_roots(labels: str) -> str:
    """Return a selector for those that no pipeline made of the runs with these labels."""
    return f"{labels},{ROOTS}" if labels else ROOTS


def is_root(body: Body) -> bool:
    """Return whether no pipeline made a run, as the selector `ROOTS` says."""
    return names.PIPELINE not in (body["metadata"].get("labels") or {})


def is_schedule(body: Body) -> bool:
    """Return whether a run makes a run at each of some times, so that there is no whole of them."""
    status = read_status(body)
    if status.get("kind"):
        return status.get("kind") == "schedule"
    spec = body.get("spec") or {}
    return bool(spec.get("schedule") or (spec.get("component") or {}).get("schedule"))


def is_pipeline(body: Body) -> bool:
    """Return whether a run makes runs; for one that the operator has not seen, by its file."""
    status = read_status(body)
    if status.get("kind") in KINDS or status.get("children"):
        return True
    if parse_phase(status).is_final:
        return False
    spec = body.get("spec") or {}
    component = spec.get("component") or {}
    is_matrix = bool(spec.get("matrix") or component.get("matrix"))
    return is_matrix or is_schedule(body) or (component.get("run") or {}).get("kind") == "dag"


def count_children(body: Body) -> str:
    """Return how many runs of a pipeline have ended, of how many; empty for any other run."""
    ticks = read_status(body).get("schedule")
    if ticks is not None:
        runs = int(ticks.get("runs") or 0)
        return f"{runs - len(ticks.get('active') or ())}/{runs}"
    stored = read_status(body).get("children")
    states = str((stored or {}).get("states") or "")
    return f"{sum(letter in PUBLISHED for letter in states)}/{len(states)}" if stored else ""


def by_pipeline(runs: Sequence[Run]) -> dict[str, dict[str, Run]]:
    """Return the runs of each pipeline by their names; the pipeline by its uid."""
    found: dict[str, dict[str, Run]] = {}
    for run in runs:
        if uid := names.controller_uid(run):
            found.setdefault(uid, {})[run["metadata"]["name"]] = run
    return found


def iter_made(pipeline: Body, runs: Sequence[Run]) -> Iterator[tuple[Path, Run]]:
    """Yield those of the runs that a pipeline made, on every level below it, each with the
    operations that lead to it.
    """
    made = by_pipeline(runs)
    left: list[tuple[Path, str]] = [((), str(pipeline["metadata"]["uid"]))]
    while left:
        above, uid = left.pop()
        for run in made.pop(uid, {}).values():
            path = (*above, names.read_op(run))
            yield path, run
            left.append((path, str(run["metadata"]["uid"])))


def find_made(pipeline: Body, runs: Sequence[Run]) -> list[Run]:
    """Return those of the runs that a pipeline made, on every level below it."""
    return [run for _, run in iter_made(pipeline, runs)]
