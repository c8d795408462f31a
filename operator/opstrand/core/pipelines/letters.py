"""The children of a pipeline as its status keeps them: one letter for each, and counts.

Owns the letters and the shape of `status.children`. Must not know how a pipeline's children depend
on each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from opstrand.core.phase import CACHE_HIT, Phase, parse_phase
from opstrand.core.recorded import parse_moment, read_status
from opstrand.text import shorten
from opstrand.types import Body

ABSENT, WAITING, STARTED, CACHED = ".", "w", "r", "c"
SUCCEEDED, FAILED, STOPPED, SKIPPED, UPSTREAM_FAILED = "s", "f", "x", "k", "u"
#: Letters of children that have ended, and the published status of each.
PUBLISHED = {
    SUCCEEDED: "succeeded",
    CACHED: "succeeded",
    FAILED: "failed",
    STOPPED: "stopped",
    SKIPPED: "skipped",
    UPSTREAM_FAILED: "upstream_failed",
}
_OF_PHASE = {
    Phase.CREATED: WAITING,
    Phase.WAITING: WAITING,
    Phase.QUEUED: WAITING,
    Phase.RESUMING: WAITING,
    Phase.SUCCEEDED: SUCCEEDED,
    Phase.FAILED: FAILED,
    Phase.STOPPED: STOPPED,
    Phase.SKIPPED: SKIPPED,
    Phase.UPSTREAM_FAILED: UPSTREAM_FAILED,
}
_ALL = frozenset((ABSENT, WAITING, STARTED, *PUBLISHED))
#: Failures that are kept with their messages.
_MOST_FAILURES = 10
_MESSAGE = 256


@dataclass(frozen=True)
class Children:
    """The children in the order of the file, or of their indexes.

    `failures`: the first failed children, each with op, reason and message.
    """

    states: str
    failures: tuple[Mapping[str, str], ...] = ()
    #: How many may be alive at once; None: as many as the operator's settings allow.
    concurrency: int | None = None

    @property
    def is_done(self) -> bool:
        """Whether every child has ended."""
        return all(letter in PUBLISHED for letter in self.states)

    @property
    def alive(self) -> int:
        """How many children exist and have not ended."""
        return self.states.count(WAITING) + self.states.count(STARTED)

    def count(self, *letters: str) -> int:
        return sum(self.states.count(letter) for letter in letters)

    def with_letters(self, changes: Mapping[int, str]) -> Children:
        """Return the children with other letters at some indexes."""
        if not changes:
            return self
        states = list(self.states)
        for index, letter in changes.items():
            states[index] = letter
        return replace(self, states="".join(states))

    def with_failures(self, failures: Sequence[Mapping[str, str]]) -> Children:
        """Return the children with these failures after the known ones."""
        known = {one.get("op") for one in self.failures}
        new = [one for one in failures if one.get("op") not in known]
        return replace(self, failures=(*self.failures, *new)[:_MOST_FAILURES])

    def as_dict(self) -> dict[str, Any]:
        """Return what the status stores."""
        return {
            "total": len(self.states),
            **({} if self.concurrency is None else {"concurrency": self.concurrency}),
            "summary": f"{self.count(*PUBLISHED)}/{len(self.states)}",
            "states": self.states,
            "succeeded": self.count(SUCCEEDED, CACHED),
            "failed": self.count(FAILED),
            "running": self.states.count(STARTED),
            "failures": [dict(one) for one in self.failures],
        }


def read_children(status: Mapping[str, Any], total: int) -> Children:
    """Read the children of a status.

    Where its letters are missing, or are not as many as the children, no child counts as created:
    their objects say what became of them.
    """
    stored = status.get("children")
    stored = stored if isinstance(stored, Mapping) else {}
    states = stored.get("states")
    limit = stored.get("concurrency")
    concurrency = limit if isinstance(limit, int) and limit > 0 else None
    if not isinstance(states, str) or len(states) != total or not _ALL.issuperset(states):
        return Children(ABSENT * total, concurrency=concurrency)
    failures = stored.get("failures")
    return Children(
        states,
        tuple(
            {key: str(one.get(key) or "") for key in ("op", "reason", "message")}
            for one in (failures if isinstance(failures, list) else ())[:_MOST_FAILURES]
            if isinstance(one, Mapping)
        ),
        concurrency,
    )


@dataclass(frozen=True)
class Child:
    """A child that exists, as far as its parent decides on it."""

    letter: str
    #: When it ended; empty until then.
    finished_at: str = ""
    is_running: bool = False


def read_child(body: Body) -> Child:
    """Read a child from its body: only what counts, since there may be thousands."""
    found = body.get("status")
    status: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    phase, finished = parse_phase(status), status.get("finishedAt")
    is_reused = phase is Phase.SUCCEEDED and status.get("reason") == CACHE_HIT
    letter = CACHED if is_reused else _OF_PHASE.get(phase, STARTED)
    ended_at = "" if parse_moment(finished) is None else str(finished)
    return Child(letter, ended_at, phase is Phase.RUNNING)


def read_failure(op: str, body: Body) -> dict[str, str]:
    """Return what the parent keeps of a child that failed."""
    status = read_status(body)
    message = shorten(str(status.get("message") or ""), _MESSAGE)
    return {"op": op, "reason": str(status.get("reason") or "Failed"), "message": message}
