"""What is asked of the store about runs whose objects are gone, and that it has not answered.

Owns the questions as values: the shell asks them (`controller.stored`). Must not know where runs
are stored, nor when a question is asked again.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StoredRun:
    """The run of this uuid in the namespace of the run that asks. Answer: its body, or None."""

    uuid: str


@dataclass(frozen=True)
class StoredRuns:
    """The first `most` runs without an object of that namespace that a query selects, in an order.

    Answer: their bodies.
    """

    query: str
    sort: str
    most: int


@dataclass(frozen=True)
class Unanswered:
    """In place of an answer: it is still to come. `trouble`: why; empty if it was just asked."""

    trouble: str = ""


class NotSearched(Exception):
    """The store has not answered a search. `why` is None if it is still to be asked."""

    def __init__(self, ask: StoredRuns, path: str, why: Unanswered | None) -> None:
        super().__init__(path)
        self.ask, self.path, self.why = ask, path, why
