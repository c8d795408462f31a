"""The values that a space of a matrix contains, by index.

Owns listing and combining them. Must not draw at random (`drawing`) or know which runs are made of
them (`matrix`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from opstrand.errors import SpecError
from opstrand.spec.scalars import is_template
from opstrand.spec.spaces import Space

Params = dict[str, Any]
#: The most runs of a matrix whose runs are all known beforehand.
MAX_RUNS = 10_000
_BEYOND = "its values are beyond what a number can be"


def read_spaces(matrix: Mapping[str, Any]) -> dict[str, Space]:
    """Return the space of each param."""
    params = require_rendered(matrix.get("params") or {}, "matrix.params")
    return {name: Space.model_validate(written) for name, written in params.items()}


def require_rendered(value: Any, path: str) -> Any:
    """Return a part of the matrix; SpecError if it is still a template."""
    if is_template(value):
        raise SpecError(
            "InvalidSpec", "the template here must be rendered before the matrix is", path
        )
    return value


def combine(listed: Mapping[str, Sequence[Any]]) -> Iterator[Params]:
    """Yield every combination, one at a time; the last param changes fastest."""
    if not all(map(len, listed.values())):
        return
    at = dict.fromkeys(listed, 0)
    while True:
        yield {name: values[at[name]] for name, values in listed.items()}
        for name in reversed(at):
            at[name] += 1
            if at[name] < len(listed[name]):
                break
            at[name] = 0
        else:
            return


class Points(Sequence[Any]):
    """The values of a space by index, each made when it is read.

    A file may describe more values than fit in memory.
    """

    def __init__(self, count: int, at: Callable[[int], Any]) -> None:
        self._count = count
        self._at = at

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._at(one) for one in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        return self._at(index)


def list_points(space: Space, path: str = "") -> Sequence[Any]:
    """Return every value of a space that has an end."""
    require_rendered(space.value, f"{path}.value")
    contents = space.contents()
    if space.kind == "choice":
        return contents
    if space.is_drawn:
        raise SpecError("InvalidSpec", f"a {space.kind} has no end", path)
    try:
        return _check_finite(_LISTS[space.kind](*contents[:4]))
    except SpecError as error:
        raise error.within(path) from None
    except (ArithmeticError, ValueError):
        raise SpecError("InvalidSpec", _BEYOND, path) from None


def _check_finite(points: Points) -> Points:
    """Check the first values, the middle and the last: every space here is monotonic."""
    for index in {0, 1, len(points) // 2, len(points) - 1} & set(range(len(points))):
        value = points[index]
        if isinstance(value, complex) or (isinstance(value, float) and not math.isfinite(value)):
            raise SpecError("InvalidSpec", _BEYOND)
    return points


def _range(start: float, stop: float, step: float, *_: Any) -> Points:
    count = max(0, math.ceil((stop - start) / step))
    if count > MAX_RUNS:
        raise SpecError("TooLarge", f"a range of {count:,} values; at most {MAX_RUNS:,} are listed")
    return Points(count, lambda index: start + index * step)


def _linspace(start: float, stop: float, num: int, *_: Any) -> Points:
    step = (stop - start) / (num - 1) if num > 1 else 0
    return Points(num, lambda index: stop if 0 < index == num - 1 else start + index * step)


def _logspace(start: float, stop: float, num: int, base: float = 10) -> Points:
    exponents = _linspace(start, stop, num)
    return Points(num, lambda index: float(base) ** exponents[index])


def _geomspace(start: float, stop: float, num: int, *_: Any) -> Points:
    if not start or not stop or (start > 0) != (stop > 0):
        raise SpecError("InvalidSpec", "a geometric sequence cannot start at, end at or cross 0")
    sign = math.copysign(1, start)
    middle = _logspace(math.log10(abs(start)), math.log10(abs(stop)), num)
    ends = {num - 1: stop, 0: start}
    return Points(num, lambda index: ends[index] if index in ends else sign * middle[index])


def _dates(start: date, stop: date, step: float, *_: Any) -> Points:
    days = _range(0, (stop - start).days, step)
    return Points(len(days), lambda index: (start + timedelta(days=days[index])).isoformat())


def _moments(start: datetime, stop: datetime, step: timedelta, *_: Any) -> Points:
    first = start if start.tzinfo else start.replace(tzinfo=UTC)
    last = stop if stop.tzinfo else stop.replace(tzinfo=UTC)
    seconds = _range(0, (last - first).total_seconds(), step.total_seconds())
    return Points(
        len(seconds), lambda index: (first + timedelta(seconds=seconds[index])).isoformat()
    )


_LISTS: Mapping[str, Callable[..., Points]] = {
    "range": _range,
    "linspace": _linspace,
    "logspace": _logspace,
    "geomspace": _geomspace,
    "daterange": _dates,
    "datetimerange": _moments,
}
