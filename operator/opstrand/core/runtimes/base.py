"""The interface behind which every kind of run stands.

Owns `Runtime` and `Frozen`. `registry` lists the kinds; nothing outside `runtimes` asks which kind
a run has. Must not know any of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from opstrand.core.compiling.prepare import Prepared
from opstrand.core.lifecycle.actions import Action, Refusal
from opstrand.core.lifecycle.admission import Verdict
from opstrand.core.lifecycle.asks import Ask
from opstrand.core.lifecycle.snapshot import Decision, Snapshot
from opstrand.core.phase import Phase
from opstrand.core.planning.plan import Plan
from opstrand.core.resolving.resolve import Resolved


@dataclass(frozen=True)
class Frozen:
    """What a kind of run decides at its freeze: the status is written first, then it acts.

    `facts`: what the status records for this kind alone. `artifacts`: the lineage of what the plan
    makes. `requeue_after`: seconds until the run is looked at again, if no event will come.
    `has_result`: the run gives what a later run may take, instead of running itself.
    """

    plan: Plan
    facts: Mapping[str, Any]
    actions: tuple[Action, ...] = ()
    artifacts: Sequence[Mapping[str, Any]] = ()
    requeue_after: float | None = None
    phase: Phase = Phase.STARTING
    reason: str = "PodCreated"
    message: str = ""
    has_result: bool = True


class Runtime(Protocol):
    """A kind of run. Every method is pure and total: the same snapshot gives the same answer.

    `kind` is the word in `run.kind` and `status.kind`. `mark` is the key of the status that only
    the freeze of this kind writes; by it a frozen run is known.
    """

    @property
    def kind(self) -> str: ...

    @property
    def mark(self) -> str: ...

    def freeze(self, snapshot: Snapshot, prepared: Prepared, resolved: Resolved) -> Frozen:
        """Render everything that the run needs. Raises SpecError."""
        ...

    def asks(self, snapshot: Snapshot) -> tuple[Ask, ...]:
        """Return what must be known of a frozen run's objects before `advance` or `clear`.

        It is called again with the answers until it asks nothing new.
        """
        ...

    def needs_file(self, snapshot: Snapshot) -> bool:
        """Return whether the polyaxonfile of a frozen run must be read again to advance it."""
        ...

    def advance(self, snapshot: Snapshot) -> Decision:
        """Decide the next step of a frozen run."""
        ...

    def resume(self, snapshot: Snapshot) -> Decision:
        """Let a frozen run that is over run again; `resuming.resume` makes it live."""
        ...

    def clear(self, snapshot: Snapshot) -> Decision:
        """Decide what is left to do for a run that is over."""
        ...

    def refused(self, snapshot: Snapshot, refusal: Refusal) -> Decision | None:
        """Decide after the API server refused an object of the run; None: it is not about the run.

        Then the same is tried again later.
        """
        ...

    def end_early(self, snapshot: Snapshot, verdict: Verdict) -> Decision:
        """Set the run to the verdict's phase; what exists of it is ended first."""
        ...
