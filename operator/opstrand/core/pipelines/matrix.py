"""Expand a matrix into the params of each of its runs, in order.

Owns what a space of values contains and how values are drawn. A drawing is a function of its seed,
on every machine: the generator is opstrand's own, so that no release of a library changes what a
seed means. Must not know what the params are for. This version validates matrices, but does not run
them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from opstrand.errors import Problem, SpecError
from opstrand.spec.io import IO
from opstrand.spec.section import is_template
from opstrand.spec.spaces import FORMS, Space

Params = dict[str, Any]
#: The kinds whose runs are all known beforehand. The others need a tuner that looks at results.
EXPANDED = ("mapping", "grid", "random")
MAX_RUNS = 10_000
_TOO_MANY = f"at most {MAX_RUNS:,} are made: set numRuns or make the spaces smaller"
#: The number at which counting stops.
_ENDLESS = 10**15
#: The most values of all spaces together that are listed for validation, and the most params of all
#: runs together.
_CHECKED, _PARAMS = 20_000, 500_000
_BEYOND = "its values are beyond what a number can be"
#: Consecutive draws without a new value after which the space counts as used up.
_STALLED = 2_000


def expand(matrix: Mapping[str, Any], *, seed: int = 0) -> list[Params]:
    """Return the params of every run. `seed` is used if the matrix has none of its own.

    Raises SpecError: NotSupported for kinds that need a tuner, InvalidSpec for spaces without an
    end, TooLarge above 10,000 runs.
    """
    kind = str(matrix.get("kind"))
    if kind not in EXPANDED:
        raise SpecError(
            "NotSupported",
            f"a matrix of kind {kind} needs a tuner, which does not exist here",
            "matrix.kind",
        )
    if kind == "mapping":
        return [dict(row) for row in _bounded(_known(matrix.get("values"), "matrix.values"))]
    spaces = _spaces(matrix)
    limit = matrix.get("numRuns")
    if kind == "grid":
        listed = {
            name: list_points(space, f"matrix.params.{name}") for name, space in spaces.items()
        }
        return _bounded(itertools.islice(_combine(listed), limit))
    return _draw(spaces, min(int(limit or 0), MAX_RUNS), matrix.get("seed", seed))


def check_spaces(matrix: Mapping[str, Any], inputs: Sequence[IO]) -> list[Problem]:
    """Validate the spaces of a matrix before anything runs.

    Finds distributions in a grid, and spaces that do not fit their inputs.
    """
    kind = matrix.get("kind")
    if "params" not in matrix or is_template(matrix["params"]):
        return []
    types = {io.name: io.type for io in inputs}
    problems = []
    for name, space in _spaces(matrix).items():
        message = _misfit(str(kind), space, types.get(name), is_declared=name in types)
        if message:
            problems.append(Problem("InvalidSpec", message, f"matrix.params.{name}"))
    return problems


def check_size(matrix: Mapping[str, Any]) -> list[Problem]:
    """Validate how many runs a grid makes.

    Finds a space that cannot be listed, and more combinations than the limit.
    """
    if matrix.get("kind") != "grid" or is_template(matrix.get("params")):
        return []
    problems: list[Problem] = []
    total = 1
    for name, space in _spaces(matrix).items():
        if not is_template(space.value) and not space.is_drawn:
            try:
                total = min(total * len(list_points(space, f"matrix.params.{name}")), _ENDLESS)
            except SpecError as error:
                problems += error.problems
    runs = min(total, matrix.get("numRuns") or total)
    told = f"{runs:,}" if runs < _ENDLESS else f"at least {runs:,}"
    return problems + (
        [Problem("TooLarge", f"{told} runs; {_TOO_MANY}", "matrix")] if runs > MAX_RUNS else []
    )


def iter_values(matrix: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield (place, param, value) of every value in the file or in a list that it describes."""
    rows = matrix.get("values") if matrix.get("kind") == "mapping" else None
    if isinstance(rows, list):
        yield from _iter_rows(rows)
    if rows is not None or is_template(matrix.get("params")) or not matrix.get("params"):
        return
    left = _CHECKED
    for name, space in _spaces(matrix).items():
        place = f"matrix.params.{name}.value"
        if is_template(space.value) or (space.is_drawn and space.kind != "pchoice"):
            continue
        if space.kind in ("choice", "pchoice"):
            for index, value in enumerate(_list_choices(space)):
                yield f"{place}[{index}]", name, value
        else:
            for value in itertools.islice(_list_soundly(space), left):
                left -= 1
                yield place, name, value


def _iter_rows(rows: list[Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield (place, param, value) of every value in the rows of a mapping."""
    for index, row in enumerate(rows):
        if isinstance(row, Mapping):
            yield from (
                (f"matrix.values[{index}].{name}", name, value) for name, value in row.items()
            )


def _list_choices(space: Space) -> list[Any]:
    """Return the values of a choice or pchoice, without probabilities."""
    if space.kind == "choice":
        return space.contents()
    return [value for value, _ in space.contents()]


def _list_soundly(space: Space) -> Sequence[Any]:
    try:
        return list_points(space)
    except SpecError:
        return []  # check_size reports it


def given_names(matrix: Mapping[str, Any] | None) -> frozenset[str]:
    """Return the params that every run of the matrix gets."""
    names = [frozenset(row) for row in _rows(matrix)]
    return frozenset.intersection(*names) if names else frozenset()


def matrix_names(matrix: Mapping[str, Any] | None) -> list[str]:
    """Return the params that some run of the matrix gets."""
    return list(dict.fromkeys(name for row in _rows(matrix) for name in row))


def _rows(matrix: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Return mappings with the names of the runs' params, without making the runs."""
    rows = (
        []
        if matrix is None
        else matrix.get("values")
        if matrix.get("kind") == "mapping"
        else [matrix.get("params")]
    )
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def _misfit(kind: str, space: Space, type_name: str | None, *, is_declared: bool) -> str:
    if kind == "grid" and space.is_drawn:
        return (
            f"a {space.kind} has no end, so a grid cannot use every value of it; use a matrix of "
            "kind random"
        )
    if kind == "bayes" and space.is_drawn and space.kind != "uniform":
        return f"a bayesian search accepts uniform distributions only, found {space.kind}"
    form = FORMS.get(space.kind)
    # An undeclared param has no type that a value could mismatch.
    if form is not None and is_declared and type_name not in form.input_types:
        found = f"of type {type_name}" if type_name else "without a type"
        return (
            f"a {space.kind} gives values for an input of type {' or '.join(form.input_types)}; "
            f"this one is {found}"
        )
    return ""


def _spaces(matrix: Mapping[str, Any]) -> dict[str, Space]:
    params = _known(matrix.get("params") or {}, "matrix.params")
    return {name: Space.model_validate(written) for name, written in params.items()}


def _known(value: Any, path: str) -> Any:
    if is_template(value):
        raise SpecError(
            "InvalidSpec", "the template here must be rendered before the matrix is", path
        )
    return value


def _bounded(runs: Iterator[Any] | list[Any]) -> list[Any]:
    found: list[Any] = []
    for run in runs:
        found.append(run)
        if len(found) > MAX_RUNS:
            raise SpecError("TooLarge", f"more than {MAX_RUNS:,} runs; {_TOO_MANY}", "matrix")
        if len(found) * len(run) > _PARAMS:
            raise SpecError(
                "TooLarge", f"more than {_PARAMS:,} params of all runs together", "matrix"
            )
    return found


def _combine(listed: Mapping[str, Sequence[Any]]) -> Iterator[Params]:
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


# -- listed spaces ---------------------------------------------------------------------------------


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
    _known(space.value, f"{path}.value")
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


# -- drawing ---------------------------------------------------------------------------------------


def _draw(spaces: Mapping[str, Space], count: int, seed: Any) -> list[Params]:
    """Draw `count` different combinations, or all there are."""
    listed = {
        name: list_points(space, f"matrix.params.{name}")
        for name, space in spaces.items()
        if not space.is_drawn
    }
    if count * len(spaces) > _PARAMS:
        raise SpecError("TooLarge", f"more than {_PARAMS:,} params of all runs together", "matrix")
    source = Generator(int(seed) if isinstance(seed, int) else 0)
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
    for params in _combine(listed):
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
