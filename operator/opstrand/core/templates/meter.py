"""Count how much one run's templates read and give while they are rendered.

Owns the budget of one decision: every rendering of it draws on the same `Meter`, which travels with
the evaluator (`Metered`), so that a run is refused as soon as it requests more than could be
stored, and not afterwards. Must not render anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from opstrand.core.limits import RENDERED, TEMPLATES_READ, describe_size, measure
from opstrand.errors import SpecError

#: `evaluate(source, values)` renders one template over JSON values and returns a JSON value; it
#: raises EvaluationFailed.
Evaluate = Callable[[str, Mapping[str, Any]], Any]

#: The size that counts for a number or null: about its size as JSON.
_SMALL = 8


class Exhausted(SpecError):
    """A run's templates give or read more than one run may.

    This ends the rendering at once: what follows would fail too.
    """


class Meter:
    """What the templates of one run may still give and read, in bytes."""

    def __init__(self, *, rendered: int = RENDERED, read: int = TEMPLATES_READ) -> None:
        self._rendered = self._rendered_left = rendered
        self._read = self._read_left = read
        #: Sizes of lists and mappings by identity; each value is kept alive, so that no other value
        #: gets its identity.
        self._sizes: dict[int, tuple[Any, int]] = {}

    def charge(self, value: Any, path: str = "") -> None:
        """Count a value that a template gave. Raises Exhausted."""
        self._rendered_left -= self.size_of(value)
        if self._rendered_left < 0:
            limit = describe_size(self._rendered)
            message = (
                f"what the run's templates and references give takes more than {limit}, which is "
                "all that fits"
            )
            raise Exhausted("TooLarge", message, path)

    def charge_read(self, values: Mapping[str, Any]) -> None:
        """Count the values that one template is evaluated over. Raises Exhausted."""
        self._read_left -= sum(map(self.size_of, _list_parts(values)))
        if self._read_left < 0:
            limit = describe_size(self._read)
            message = (
                f"the run's templates read more than {limit} together; let fewer of them read the "
                "large values"
            )
            raise Exhausted("TooLarge", message)

    def size_of(self, value: Any) -> int:
        """Return the approximate size of a value as JSON, in bytes, measured once per value."""
        if isinstance(value, str):
            return len(value) if value.isascii() else len(value.encode("utf-8", "backslashreplace"))
        if value is None or isinstance(value, bool | int | float):
            return _SMALL
        known = self._sizes.get(id(value))
        if known is None:
            known = self._sizes[id(value)] = (value, measure(value))
        return known[1]


def _list_parts(values: Mapping[str, Any]) -> Iterable[Any]:
    """Yield the values; for `params`, which is built for each template, its parts."""
    for name, value in values.items():
        if name == "params" and isinstance(value, Mapping):
            yield from value.values()
        else:
            yield value


class Metered:
    """An evaluator with the meter of the run that it evaluates for."""

    def __init__(self, evaluate: Evaluate, meter: Meter) -> None:
        self._evaluate = evaluate
        self.meter = meter

    def __call__(self, source: str, values: Mapping[str, Any]) -> Any:
        self.meter.charge_read(values)
        return self._evaluate(source, values)


def metered(evaluate: Evaluate) -> Metered:
    """Return the evaluator with a meter.

    An evaluator that has one keeps it, so that all renderings of one decision share it.
    """
    return evaluate if isinstance(evaluate, Metered) else Metered(evaluate, Meter())
