"""What the decisions about each run have cost: their computing time has a limit together, however
often the run is decided about.

Owns the sums, for as many runs as are remembered. A changed file begins with a new allowance. Must
not know what a decision is.
"""

from __future__ import annotations

from collections import OrderedDict

#: Runs that are remembered. One that is forgotten begins again.
_MOST = 8192


class Ledger:
    """CPU seconds by (uid, generation)."""

    def __init__(self) -> None:
        self._spent: OrderedDict[tuple[str, int], float] = OrderedDict()

    def spent(self, uid: str, generation: int) -> float:
        return self._spent.get((uid, generation), 0.0)

    def charge(self, uid: str, generation: int, seconds: float) -> None:
        self._spent[uid, generation] = self.spent(uid, generation) + seconds
        self._spent.move_to_end((uid, generation))
        while len(self._spent) > _MOST:
            self._spent.popitem(last=False)
