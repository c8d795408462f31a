"""Draw params from the spaces of a matrix.

A drawing is a function of its seed, on every machine: the generator is opstrand's own, so that no
release of a library changes what a seed means. Must not know what the params are for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from opstrand.core.pipelines.spaces import Params, combine, list_points
from opstrand.spec.spaces import Space

#: Consecutive draws without a new value after which the space counts as used up.
_STALLED = 2_000


def draw_params(spaces: Mapping[str, Space], count: int, seed: int) -> list[Params]:
    """Draw `count` different combinations, or all there are."""
    listed = {
        name: list_points(space, f"matrix.params.{name}")
        for name, space in spaces.items()
        if not space.is_drawn
    }
    source = Generator(seed)
    total = math.prod(map(len, listed.values())) if len(listed) == len(spaces) else math.inf
    found: dict[str, Params] = {}
    stalled = 0
    while len(found) < min(count, total) and stalled < _STALLED:
        drawn = {
            name: source.pick(listed[name]) if name in listed else source.draw(space)
            for name, space in spaces.items()
        }
        key = repr(drawn)
        stalled = stalled + 1 if key in found else 0
        found.setdefault(key, drawn)
    return (
        list(found.values())
        if len(found) == min(count, total) or total == math.inf
        else _complete(listed, found, count)
    )


def _complete(
    listed: Mapping[str, Sequence[Any]], found: dict[str, Params], count: int
) -> list[Params]:
    """Fill up with the rest of a finite space in its own order, after too many repeated draws."""
    for params in combine(listed):
        if len(found) >= count:
            break
        found.setdefault(repr(params), params)
    return list(found.values())


class Generator:
    """Random numbers from a seed: SplitMix64, whose whole state is one 64-bit number."""

    def __init__(self, seed: int) -> None:
        self.state = seed & 0xFFFFFFFFFFFFFFFF

    def next(self) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        mixed = self.state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        return mixed ^ (mixed >> 31)

    def unit(self) -> float:
        """Draw uniformly from [0, 1)."""
        return (self.next() >> 11) / (1 << 53)

    def normal(self) -> float:
        """Draw from the standard normal distribution (Box and Muller)."""
        return math.sqrt(-2 * math.log(1 - self.unit())) * math.cos(2 * math.pi * self.unit())

    def pick(self, values: Sequence[Any]) -> Any:
        return values[int(self.unit() * len(values))]

    def draw(self, space: Space) -> Any:
        """Draw one value of a space that cannot be listed."""
        contents = space.contents()
        if space.kind == "pchoice":
            return self._pick_weighted(contents)
        first, second, *rest = contents
        kind = space.kind.removeprefix("q") if space.kind.startswith("q") else space.kind
        value = (
            first + (second - first) * self.unit()
            if "uniform" in kind
            else first + second * self.normal()
        )
        if kind.startswith("log"):
            value = math.exp(min(value, 700.0))
        if space.kind.startswith("q"):
            value = round(value / rest[0]) * rest[0]
        return value

    def _pick_weighted(self, pairs: Sequence[Any]) -> Any:
        left = self.unit() * math.fsum(weight for _, weight in pairs)
        for value, weight in pairs:
            left -= weight
            if left < 0:
                return value
        return pairs[-1][0]
