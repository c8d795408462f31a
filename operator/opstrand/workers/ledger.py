"""The CPU time that the decisions about each run have cost, which is limited as a sum.

Owns the sums, for a bounded number of runs. A changed spec (a new generation) starts from zero.
Must not know what a decision is.
"""

from __future__ import annotations

from collections import OrderedDict

#: The number of runs that are remembered. A forgotten run starts from zero.
_MOST = 8192


class Ledger:
    """CPU seconds by (uid, version)."""

    def __init__(self) -> None:
        self._spent: OrderedDict[tuple[str, int], float] = OrderedDict()

    def spent(self, uid: str, generation: int) -> float:
        return self._spent.get((uid, generation), 0.0)

    def charge(self, uid: str, generation: int, seconds: float) -> None:
        self._spent[uid, generation] = self.spent(uid, generation) + seconds
        self._spent.move_to_end((uid, generation))
        while len(self._spent) > _MOST:
            self._spent.popitem(last=False)
