"""Suggest the params of each run of a matrix, from its seed and the results so far.

Owns which kinds are searched here, and what a search says about runs that do not exist yet. The
same arguments give the same suggestions, in any order of results. Must not create runs or know how
many may run at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from opstrand.core.pipelines.drawing import draw_params
from opstrand.core.pipelines.early_stopping import find_metric_policy
from opstrand.core.pipelines.hyperband import Results, Rung, make_brackets, promote, spend
from opstrand.core.pipelines.matrix import EXPANDED, expand, read_seed
from opstrand.core.pipelines.spaces import Params, read_spaces
from opstrand.errors import Problem, SpecError

#: The kinds that this version runs.
SEARCHED = (*EXPANDED, "hyperband")
#: The most runs of a search that looks at results.
MAX_SEARCHED = 1_000
_MAX_ITERATIONS = 10**9
_DEFAULT_ETA = 3.0
_SEED = 2**64 - 1


@dataclass(frozen=True)
class Suggestions:
    """The runs of a matrix.

    `total`: how many there are at most, counted by index from 0. `params`: those that may be made,
    by index. `dropped`: indexes that no run will have. `origins`: the run that a promoted one
    continues. `missing`: how many fewer there are than the matrix asks for, because its spaces
    have no more values.
    """

    total: int
    params: Mapping[int, Params]
    dropped: frozenset[int] = frozenset()
    origins: Mapping[int, int] | None = None
    missing: int = 0


def suggest(
    matrix: Mapping[str, Any],
    seed: int,
    results: Results | None = None,
    recorded: Mapping[int, int] | None = None,
) -> Suggestions:
    """Return the runs that can be made with these results.

    `matrix` is rendered; `seed` counts if it has none of its own. `recorded` are the promotions
    that were decided before: they stay. Raises SpecError for a matrix that cannot be run.
    """
    problems = check_search(matrix)
    if problems:
        raise SpecError.of(problems)
    if matrix["kind"] in EXPANDED:
        runs = _expand(_as_key(matrix), seed)
        asked = matrix.get("numRuns") if matrix["kind"] == "random" else None
        return Suggestions(
            len(runs), dict(enumerate(runs)), missing=max(0, (asked or 0) - len(runs))
        )
    return _suggest_hyperband(matrix, seed, results or {}, recorded or {})


def _as_key(matrix: Mapping[str, Any]) -> str:
    return json.dumps(matrix, separators=(",", ":"), default=str)


@lru_cache(maxsize=4)
def _expand(matrix: str, seed: int) -> Sequence[Params]:
    """Expand a matrix once for all decisions about it that follow each other."""
    return tuple(expand(json.loads(matrix), seed=seed))


def _suggest_hyperband(
    matrix: Mapping[str, Any], seed: int, results: Results, recorded: Mapping[int, int]
) -> Suggestions:
    brackets = _brackets(matrix)
    drawn = _draw_brackets(_as_key(matrix), seed)
    first = {
        place: params
        for rungs, runs in zip(brackets, drawn, strict=True)
        for place, params in zip(rungs[0].places, runs, strict=False)
    }
    absent = frozenset(
        place for rungs in brackets for place in rungs[0].places if place not in first
    )
    promotions = promote(
        brackets,
        results,
        absent=absent,
        recorded=recorded,
        minimize=read_metric(matrix).minimize,
    )
    rungs = [rung for bracket in brackets for rung in bracket]
    params = dict(_spend_all(rungs, first, promotions.origins, matrix["resource"]))
    total = rungs[-1].first + rungs[-1].size
    return Suggestions(total, params, promotions.dropped, promotions.origins, len(absent))


def _brackets(matrix: Mapping[str, Any]) -> list[list[Rung]]:
    return make_brackets(matrix["maxIterations"], float(matrix.get("eta") or _DEFAULT_ETA))


@lru_cache(maxsize=4)
def _draw_brackets(matrix: str, seed: int) -> Sequence[Sequence[Params]]:
    """Draw the params of each bracket's first rung, none twice within a bracket."""
    read = json.loads(matrix)
    spaces, own = read_spaces(read), read_seed(read, seed)
    return tuple(
        tuple(draw_params(spaces, rungs[0].size, (own + rungs[0].bracket) & _SEED))
        for rungs in _brackets(read)
    )


def _spend_all(
    rungs: Sequence[Rung],
    first: Mapping[int, Params],
    origins: Mapping[int, int],
    resource: Mapping[str, Any],
) -> Iterator[tuple[int, Params]]:
    """Yield the params of every run with its share of the resource."""
    bare = dict(first)
    for rung in rungs:
        share = spend(rung.resource, resource.get("type"))
        for place in rung.places:
            if rung.number and origins.get(place) in bare:
                bare[place] = bare[origins[place]]
            if place in bare:
                yield place, {**bare[place], str(resource["name"]): share}


@dataclass(frozen=True)
class Metric:
    """The output that says how good a run is.

    `is_needed`: the search decides by it, so that a run without it counts as failed.
    """

    name: str
    minimize: bool
    path: str = ""
    is_needed: bool = False


def read_metric(matrix: Mapping[str, Any]) -> Metric:
    """Return the metric of a search.

    A matrix without one has that of its first early stopping by a metric; "" if it has none.
    """
    own = matrix.get("metric")
    if isinstance(own, Mapping):
        name, minimize = str(own.get("name") or ""), own.get("optimization") == "minimize"
        return Metric(name, minimize, "matrix.metric.name", is_needed=True)
    policy = find_metric_policy(matrix.get("earlyStopping"))
    if policy is None:
        return Metric("", False, "")
    return Metric(policy.metric, policy.minimize, f"matrix.{policy.path}.metric")


def check_search(matrix: Mapping[str, Any]) -> list[Problem]:
    """Find why a matrix cannot be run, and what to do about it."""
    kind = str(matrix.get("kind"))
    if kind not in SEARCHED:
        message = (
            f"a matrix of kind {kind} is checked, but not run by this version: use one of the "
            f"kinds {', '.join(SEARCHED)}"
        )
        return [Problem("NotSupported", message, "matrix.kind")]
    problems = []
    if matrix.get("tuner"):
        message = "the search runs in the operator, so there is no tuner to run: remove `tuner`"
        problems.append(Problem("NotSupported", message, "matrix.tuner"))
    return problems + (_check_hyperband(matrix) if kind == "hyperband" else [])


def _check_hyperband(matrix: Mapping[str, Any]) -> list[Problem]:
    problems = [
        Problem("InvalidSpec", f"a hyperband search needs `{key}`: {what}", "matrix")
        for key, what in _NEEDED.items()
        if not matrix.get(key)
    ]
    if matrix.get("resume"):
        message = "a promoted run starts from its beginning, with more of the resource: remove this"
        problems.append(Problem("NotSupported", message, "matrix.resume"))
    params, resource = matrix.get("params"), matrix.get("resource")
    name = resource.get("name") if isinstance(resource, Mapping) else None
    if name and isinstance(params, Mapping) and name in params:
        message = f"'{name}' is the resource, whose values hyperband chooses: remove it here"
        problems.append(Problem("InvalidSpec", message, f"matrix.params.{name}"))
    return problems + _check_rungs(matrix)


def _check_rungs(matrix: Mapping[str, Any]) -> list[Problem]:
    most, eta = matrix.get("maxIterations"), matrix.get("eta")
    if isinstance(eta, str):
        return []  # a template, whose number is unknown here
    if eta is not None and float(eta) <= 1:
        message = f"expected a number above 1, found {eta}: a rung keeps one of so many runs"
        return [Problem("InvalidSpec", message, "matrix.eta")]
    if not most:
        return []
    if most > _MAX_ITERATIONS:
        message = f"expected at most {_MAX_ITERATIONS:,}, found more"
        return [Problem("TooLarge", message, "matrix.maxIterations")]
    last = _brackets(matrix)[-1][-1]
    total = last.first + last.size
    if total <= MAX_SEARCHED:
        return []
    message = (
        f"{total:,} runs; a search makes at most {MAX_SEARCHED:,}: lower maxIterations or raise eta"
    )
    return [Problem("TooLarge", message, "matrix.maxIterations")]


_NEEDED = {
    "params": "the space of each param",
    "maxIterations": "the most of the resource for one run",
    "resource": "the input that it spends",
    "metric": "the output that it makes better",
}
