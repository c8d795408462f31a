"""How long ago something was, by a clock that cannot be set: no wait is lengthened and no run ended
because a machine's time jumped.

Owns what this process has seen of every run's times. A time that appeared while the run was watched
began after the look before it, and is counted from there by the monotonic clock. What was there at
the first look (the operator was started again) can be told by the wall clock alone: it is believed
once a second look, a moment later, finds that the wall clock has gone as the monotonic one. Must
not decide anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from opstrand.core.lifecycle.snapshot import Passed
from opstrand.core.recorded import parse_moment
from opstrand.types import Key

#: Seconds: by how much the two clocks may differ between two looks.
_TOLERANCE = 2.0
#: Seconds until the second look, at most; less for what was not long ago.
_LONGEST_DOUBT = 10.0
#: Times that are kept of one run.
_KEPT = 32


@dataclass
class _Seen:
    """`base`: seconds that had passed at the monotonic time `at`.

    `doubted_since`: when the wall clock was last read differently.
    """

    base: float
    at: float
    doubted_since: float | None = None


@dataclass
class _Run:
    looked_at: float | None = None
    times: dict[str, _Seen] = field(default_factory=dict)


class Stopwatch:
    """Seconds since the times of each run. `monotonic` is seconds of a clock that cannot be set."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._runs: dict[Key, _Run] = {}

    def look(self, key: Key, texts: Iterable[str], now: datetime) -> Callable[[str, bool], Passed]:
        """A look at a run in which these times are written. Returns what measures any time of it;
        with True one that may have been there for long when it is first asked for.
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
        # Of a clock that is ahead: it is counted from now on.
        return _Seen(0.0, mono)
    if before is None:
        return _Seen(by_wall, mono, doubted_since=mono)
    return _Seen(min(by_wall, mono - before), mono)


def _check(seen: _Seen, by_wall: float, mono: float) -> None:
    """While it is doubted: the clocks must agree between two looks.

    Where they do not, the shorter time is the one that surely passed.
    """
    passed = seen.base + mono - seen.at
    if seen.doubted_since is None or abs(by_wall - passed) <= _TOLERANCE:
        return
    seen.base, seen.at, seen.doubted_since = max(0.0, min(by_wall, passed)), mono, mono
