"""How a watch fares: its failures in a row, how long to wait after each, and since when it fails.

Must not do I/O, and must not decide what follows from a failing watch.
"""

from __future__ import annotations

import time
from collections.abc import Callable

#: Seconds between two tries after a failure: the first pause, and the longest.
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 5.0
#: A watch that lived for this many seconds was healthy: its end does not continue an earlier series
#: of failures.
HEALTHY = 5.0


class WatchHealth:
    """The recent health of one watch."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._opened: float | None = None
        self._failures = 0
        self._failing_since = 0.0
        #: The message of the last failure.
        self.message = ""

    def record_open(self) -> None:
        """Record that the API server accepted the watch."""
        self._opened = self._clock()

    def record_event(self) -> None:
        """Record that the watch sent something: what follows is not failing since before that.

        The next pause is as long as without it: a busy cluster sends an event at once.
        """
        self._failing_since = self._clock()

    def record_failure(self, message: str, retry_after: float | None = None) -> float:
        """Record that a watch, or the list before it, failed.

        Returns how many seconds to wait: more each time until a watch was healthy, and never less
        than the API server asked for.
        """
        if not self._failures or self.was_healthy():
            self._failures, self._failing_since = 0, self._clock()
        self._failures, self.message, self._opened = self._failures + 1, message, None
        pause = min(FIRST_PAUSE * 2 ** min(self._failures - 1, 10), LONGEST_PAUSE)
        return float(max(pause, retry_after or 0))

    def was_healthy(self) -> bool:
        """Whether the watch that was opened last has lived long enough."""
        return self._opened is not None and self._clock() - self._opened > HEALTHY

    def failing_for(self) -> float:
        """Seconds since the first failure of the current series, or since the last event that came
        during it; 0 while a watch is open.
        """
        if not self._failures or self._opened is not None:
            return 0.0
        return self._clock() - self._failing_since
