"""Decide how a matrix goes on: which runs start, what their results are, and how it ends.

Owns one decision about all its runs. `search` says which params they get. Must not create anything
or look at an object.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from opstrand.core.phase import Phase
from opstrand.core.pipelines.early_stopping import Stop, find_stop
from opstrand.core.pipelines.letters import (
    ABSENT,
    CACHED,
    FAILED,
    PUBLISHED,
    SKIPPED,
    STOPPED,
    SUCCEEDED,
    UPSTREAM_FAILED,
    Children,
)
from opstrand.core.pipelines.progress import End, find_end
from opstrand.core.pipelines.results import find_best, read_result
from opstrand.core.pipelines.search import Metric

_WELL = (SUCCEEDED, CACHED)


@dataclass(frozen=True)
class Run:
    """A run of the matrix that exists: its letter, its name and what it reported."""

    letter: str
    name: str
    uuid: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """What is known of all runs together.

    `results` has the metric of each run that ended well and reported it.
    """

    children: Children
    results: Mapping[int, float]
    best: Mapping[str, Any] | None = None

    def ended(self) -> dict[int, float | None]:
        """Return the result of every run that has ended; None if it counts as failed."""
        return {
            index: self.results.get(index) if letter in _WELL else None
            for index, letter in enumerate(self.children.states)
            if letter in PUBLISHED
        }

    @property
    def failed(self) -> int:
        return self.children.count(FAILED, UPSTREAM_FAILED)


def observe(
    before: Progress, seen: Mapping[int, Run], metric: Metric, *, gone: Set[int] = frozenset()
) -> Progress:
    """Return the progress after a look at the runs that exist.

    `gone`: runs of which no object exists any more. What has ended stays as it is.
    """
    changes = {
        index: run.letter
        for index, run in seen.items()
        if before.children.states[index] not in PUBLISHED
    }
    changes |= {
        index: STOPPED
        for index in gone
        if index not in seen and before.children.states[index] not in PUBLISHED
    }
    results = dict(before.results)
    for index, letter in changes.items():
        value = read_result(seen[index].outputs, metric.name) if letter in _WELL else None
        if value is not None:
            results[index] = value
    children = before.children.with_letters(changes)
    return Progress(children, results, _describe_best(before.best, results, seen, metric))


def _describe_best(
    before: Mapping[str, Any] | None,
    results: Mapping[int, float],
    seen: Mapping[int, Run],
    metric: Metric,
) -> Mapping[str, Any] | None:
    """Return the best run; the known one if the object of a better one is gone."""
    best = find_best(results, minimize=metric.minimize) if metric.name else None
    if best is None or best not in seen:
        return before
    return {"name": seen[best].name, "uuid": seen[best].uuid, "value": results[best]}


def find_early_stop(written: Any, progress: Progress, seen: Mapping[int, Run]) -> Stop | None:
    """Return why the remaining runs are to be stopped; None to go on."""
    outputs = [(run.name, run.outputs) for _, run in sorted(seen.items()) if run.outputs]
    return find_stop(
        written, total=len(progress.children.states), failed=progress.failed, outputs=outputs
    )


def drop(children: Children, dropped: Set[int]) -> Children:
    """Return the children with those that no run will be, as skipped."""
    return children.with_letters(
        {index: SKIPPED for index in dropped if children.states[index] == ABSENT}
    )


def abandon(children: Children) -> Children:
    """Return the children of a matrix that stops: what was not created never will be."""
    absent = (index for index, letter in enumerate(children.states) if letter == ABSENT)
    return children.with_letters(dict.fromkeys(absent, STOPPED))


def list_startable(
    children: Children, params: Mapping[int, Any], *, concurrency: int | None, most: int
) -> list[int]:
    """Return the runs to create now, in the order of their indexes."""
    free = len(children.states) if concurrency is None else concurrency - children.alive
    ready = (index for index in sorted(params) if children.states[index] == ABSENT)
    return [index for index, _ in zip(ready, range(max(0, min(free, most))), strict=False)]


def find_missing_metrics(progress: Progress, metric: Metric) -> Iterator[dict[str, str]]:
    """Yield a failure for each run that ended well without the metric that the search needs."""
    if not metric.is_needed:
        return
    for index, letter in enumerate(progress.children.states):
        if letter in _WELL and index not in progress.results:
            message = f"it reported no number as '{metric.name}': it counts as failed in the search"
            yield {"op": str(index), "reason": "MetricMissing", "message": message}


def find_matrix_end(progress: Progress, metric: Metric, *, stop: End | None = None) -> End:
    """Return how a matrix ends whose runs have all ended.

    `stop`: why it was stopped before.
    """
    if stop is not None:
        return stop
    children = progress.children
    if not children.states:
        return End(Phase.SUCCEEDED, "Succeeded", "its spaces have no values, so it made no run")
    end = find_end(children)
    if end.phase is not Phase.SUCCEEDED:
        return end
    if metric.is_needed and not progress.results:
        message = f"{metric.path}: none of {children.count(*_WELL)} runs reported '{metric.name}'"
        return End(Phase.FAILED, "MetricMissing", message)
    return End(Phase.SUCCEEDED, "Succeeded", _describe(progress, metric))


def _describe(progress: Progress, metric: Metric) -> str:
    best = progress.best
    if best is None:
        return ""
    return f"best: {best['name']} with {metric.name} {best['value']:g}"
