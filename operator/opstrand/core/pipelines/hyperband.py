"""The brackets and rungs of hyperband, and which runs a rung promotes.

Every run has a fixed place, whatever the results: its index says its bracket, its rung and its
share of the resource. A place in a later rung is taken by a run that did well in the rung before,
or by none. Owns this arithmetic. Must not draw params or read results of objects.

Source: Li et al., Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization, 2018.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

#: The result of a run by its index; None for a run that ended without one.
Results = Mapping[int, float | None]
#: Brackets, at most: more make far more runs than any search may have.
MAX_BRACKETS = 100
#: What a product of floats may be below a whole number that it stands for.
_CLOSE = 1e-9


@dataclass(frozen=True)
class Rung:
    """The places of one rung, of which `first` is the first index.

    `resource` is the share of each of its runs, at most `maxIterations`.
    """

    bracket: int
    number: int
    first: int
    size: int
    resource: float

    @property
    def places(self) -> range:
        return range(self.first, self.first + self.size)


def make_brackets(max_iterations: int, eta: float) -> list[list[Rung]]:
    """Return the rungs of each bracket; the one that starts with the most runs comes first."""
    highest = 0
    while highest < MAX_BRACKETS and eta ** (highest + 1) <= max_iterations + _CLOSE:
        highest += 1
    brackets, first = [], 0
    for bracket in range(highest, -1, -1):
        runs = math.ceil((highest + 1) / (bracket + 1) * eta**bracket - _CLOSE)
        rungs = []
        for number in range(bracket + 1):
            size = math.floor(runs / eta**number + _CLOSE)
            resource = max_iterations / eta ** (bracket - number)
            rungs.append(Rung(bracket, number, first, size, resource))
            first += size
        brackets.append(rungs)
    return brackets


def spend(resource: float, kind: str | None) -> int | float:
    """Return a share of the resource in its type; whole numbers are rounded down, from 1."""
    if kind == "int":
        return max(1, math.floor(resource + _CLOSE))
    return resource


@dataclass(frozen=True)
class Promotions:
    """The runs of later rungs.

    `origins` has the index of the run that each of them continues; `dropped` are the places that
    no run will take.
    """

    origins: Mapping[int, int]
    dropped: frozenset[int]


def promote(
    brackets: Sequence[Sequence[Rung]],
    results: Results,
    *,
    absent: frozenset[int] = frozenset(),
    recorded: Mapping[int, int],
    minimize: bool,
) -> Promotions:
    """Return the promotions that these results allow; the recorded ones stay as they are.

    A rung is promoted once all its runs have ended, so the order of results does not matter.
    `absent`: places of first rungs for which the spaces had no more params.
    """
    origins = dict(recorded)
    dropped = set(absent)
    for rungs in brackets:
        for before, after in itertools.pairwise(rungs):
            places = [place for place in before.places if place not in dropped]
            if any(place not in results for place in places):
                break
            taken = [place for place in after.places if place in origins]
            if not taken:
                best = list(_rank(places, results, minimize=minimize))[: after.size]
                origins |= zip(after.places, best, strict=False)
            dropped |= {place for place in after.places if place not in origins}
    return Promotions(origins, frozenset(dropped))


def _rank(places: Sequence[int], results: Results, *, minimize: bool) -> Iterator[int]:
    """Yield the places that have a result, best first; the lower index wins a tie."""
    known = [(value, place) for place in places if (value := results[place]) is not None]
    yield from (
        place
        for _, place in sorted((value if minimize else -value, place) for value, place in known)
    )
