"""How long ago something happened, by a clock that cannot be set: a jump of the machine's time
neither lengthens a wait nor ends a run.

Owns what this process has seen of every run's timestamps. A timestamp that appeared while the run
was watched began after the previous look, and the monotonic clock counts from there. A timestamp
that was already there at the first look (after a restart of the operator) can only be measured by
the wall clock. It is trusted once a second look, a moment later, finds that both clocks have
advanced equally. Must not decide anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from opstrand.core.lifecycle.snapshot import Passed
from opstrand.core.recorded import parse_moment
from opstrand.types import Key

#: Seconds by which the two clocks may differ between two looks.
_TOLERANCE = 2.0
#: Maximum seconds until the second look; fewer for a recent timestamp.
_LONGEST_DOUBT = 10.0
#: Timestamps kept per run.
_KEPT = 32


@dataclass
class _Seen:
    """`base`: seconds that had passed at the monotonic time `at`.

    `doubted_since`: monotonic time at which the wall clock last disagreed; None once it is trusted.
    """

    base: float
    at: float
    doubted_since: float | None = None


@dataclass
class _Run:
    looked_at: float | None = None
    times: dict[str, _Seen] = field(default_factory=dict)


class Stopwatch:
    """Seconds since the timestamps of each run. `monotonic` returns seconds of a clock that cannot
    be set.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._runs: dict[Key, _Run] = {}

    def look(self, key: Key, texts: Iterable[str], now: datetime) -> Callable[[str, bool], Passed]:
        """Record a look at a run whose status contains the timestamps `texts`.

        Returns a function that measures any timestamp of the run. Pass True for a timestamp that
        may have existed long before it is first measured.
        """
        run = self._runs.setdefault(key, _Run())
        before, run.looked_at = run.looked_at, self._monotonic()
        for text in texts:
            self._measure(run, text, now, before)
        return lambda text, is_reported: self._measure(
            run, text, now, None if is_reported else before
        )

    def forget(self, key: Key) -> None:
        self._runs.pop(key, None)

    def _measure(self, run: _Run, text: str, now: datetime, before: float | None) -> Passed:
        moment = parse_moment(text)
        if moment is None:
            return Passed(0.0)
        by_wall, mono = (now - moment).total_seconds(), self._monotonic()
        seen = run.times.get(text)
        if seen is None:
            seen = run.times[text] = _begin(by_wall, mono, before)
            while len(run.times) > _KEPT:
                del run.times[next(iter(run.times))]
        _check(seen, by_wall, mono)
        passed = seen.base + mono - seen.at
        if seen.doubted_since is None:
            return Passed(passed)
        doubted_for = min(_LONGEST_DOUBT, seen.base / 4) - (mono - seen.doubted_since)
        if doubted_for <= 0:
            seen.doubted_since = None
        return Passed(passed, max(0.0, doubted_for))


def _begin(by_wall: float, mono: float, before: float | None) -> _Seen:
    if by_wall <= 0:
        # The other clock is ahead: count from now.
        return _Seen(0.0, mono)
    if before is None:
        return _Seen(by_wall, mono, doubted_since=mono)
    return _Seen(min(by_wall, mono - before), mono)


def _check(seen: _Seen, by_wall: float, mono: float) -> None:
    """While a timestamp is in doubt, require that both clocks agree between two looks.

    If they do not, restart from the shorter time, which has certainly passed.
    """
    passed = seen.base + mono - seen.at
    if seen.doubted_since is None or abs(by_wall - passed) <= _TOLERANCE:
        return
    seen.base, seen.at, seen.doubted_since = max(0.0, min(by_wall, passed)), mono, mono
