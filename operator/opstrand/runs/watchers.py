"""Who polls a run, so that a poll can be held until there is something to report.

Owns the memory of who was answered when. The published client sleeps 5 s between two polls: if its
poll is held, the answer arrives as soon as it is known. A user who asks once must still get an
answer at once.
"""

from __future__ import annotations

import time
from collections import OrderedDict

#: Seconds. The client polls again 5 s after an answer, and polls first right after it created the
#: run.
_ASKS_AGAIN_WITHIN = 8.0
_MOST = 10_000


class Watchers:
    """Remembers, per run and caller, when the last answer was given."""

    def __init__(self) -> None:
        self._answered: OrderedDict[tuple[str, str], float] = OrderedDict()

    def is_watching(self, uuid: str, caller: str) -> bool:
        """Whether the caller was answered about this run a moment ago, so that it now waits for
        news.
        """
        answered = self._answered.get((uuid, caller))
        return answered is not None and time.monotonic() - answered < _ASKS_AGAIN_WITHIN

    def answered(self, uuid: str, caller: str) -> None:
        self._answered[uuid, caller] = time.monotonic()
        self._answered.move_to_end((uuid, caller))
        if len(self._answered) > _MOST:
            self._answered.popitem(last=False)
