"""Whether a failed attempt is followed by another, and when.

Two budgets: `termination.maxRetries` for what the user's program did, and the platform's own for evictions, preemptions and lost nodes, so
that a busy cluster does not eat the user's retries. Must not look at Pods; it judges what `diagnose` saw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opstrand.core.diagnose import Fault

#: Seconds; where doubling ends, as with a Kubernetes Job.
MAX_BACKOFF = 360.0


@dataclass(frozen=True)
class Spent:
    """How many retries each budget has given so far."""

    failures: int = 0
    disruptions: int = 0

    @classmethod
    def parse(cls, status: Mapping[str, Any]) -> Spent:
        retries = status.get("retries") or {}
        return cls(int(retries.get("failures", 0)), int(retries.get("disruptions", 0)))

    def as_dict(self) -> dict[str, int]:
        return {"failures": self.failures, "disruptions": self.disruptions}


def next_spent(spent: Spent, fault: Fault, *, max_retries: int, max_disruptions: int) -> Spent | None:
    """What is spent once this failure is retried; None where its budget is empty."""
    if fault is Fault.PLATFORM:
        return Spent(spent.failures, spent.disruptions + 1) if spent.disruptions < max_disruptions else None
    return Spent(spent.failures + 1, spent.disruptions) if spent.failures < max_retries else None


def backoff(spent: Spent, fault: Fault, *, first: float) -> float:
    """Seconds to wait before the next attempt: `first`, doubled each time. A disruption was not the program's fault: it starts soon."""
    count = spent.disruptions if fault is Fault.PLATFORM else spent.failures
    start = 1.0 if fault is Fault.PLATFORM else first
    return float(min(start * 2 ** max(count - 1, 0), MAX_BACKOFF))
