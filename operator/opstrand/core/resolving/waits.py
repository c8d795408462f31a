"""Why a run cannot start yet: what it waits for, collected over all of its params and joins.

Owns the reasons and the messages. Must not decide how long a run waits.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from opstrand.core.limits import MESSAGE
from opstrand.core.resolving.bindings import Slot
from opstrand.core.resolving.refs import Ref, Upstream
from opstrand.core.resolving.stored import NotSearched, StoredRuns, Unanswered
from opstrand.core.resolving.upstream_values import Pending
from opstrand.text import shorten


@dataclass(frozen=True)
class Waiting:
    """Why a run cannot start yet: a reason, a message, and the refs.

    The reason is StoreUnavailable, UpstreamNotFound or UpstreamPending. It is empty if there is
    nothing to say yet: `asks` are to be asked of the store, or it was just asked.
    """

    reason: str
    message: str
    on: frozenset[Ref] = frozenset()
    asks: frozenset[StoredRuns] = frozenset()


@dataclass
class Waits:
    """What does not exist yet, collected over all refs so that a person sees all of it at once."""

    missing: dict[Ref, str] = field(default_factory=dict)
    pending: dict[Ref, list[str]] = field(default_factory=dict)
    names: dict[Ref, str] = field(default_factory=dict)
    unanswered: dict[Ref, str] = field(default_factory=dict)
    is_just_asked: bool = False

    def add_missing(self, ref: Ref, slot: Slot) -> None:
        self.missing.setdefault(ref, slot.path)

    def add_unanswered(self, ref: Ref, why: Unanswered, slot: Slot) -> None:
        message = f"{slot.path}: it is not known whether there is a run '{ref}': {why.trouble}"
        self.unanswered.setdefault(ref, message)
        self.is_just_asked |= not why.trouble

    def add_pending(self, ref: Ref, upstream: Upstream, pending: Pending, slot: Slot) -> None:
        self.names[ref] = f"'{ref}' ({upstream.phase})"
        self.pending.setdefault(ref, []).append(f"{pending.what} for {slot.path}")

    def finish(self) -> Waiting | None:
        on = frozenset((*self.missing, *self.pending, *self.unanswered))
        lost = [f"{path}: there is no run '{ref}' here" for ref, path in self.missing.items()]
        waits = [
            f"waits for {self.names[ref]}: {', '.join(what)}" for ref, what in self.pending.items()
        ]
        if not on:
            return None
        if self.is_just_asked:
            return Waiting("", "", on)
        reason = "UpstreamNotFound" if lost else "UpstreamPending"
        return Waiting(
            "StoreUnavailable" if self.unanswered else reason,
            shorten("; ".join([*self.unanswered.values(), *lost, *waits]), MESSAGE),
            on,
        )


@dataclass
class SearchWaits:
    """The searches that the store has not answered."""

    asks: set[StoredRuns] = field(default_factory=set)
    troubles: dict[str, str] = field(default_factory=dict)
    is_just_asked: bool = False

    def add(self, missing: NotSearched) -> None:
        if missing.why is None:
            self.asks.add(missing.ask)
        elif missing.why.trouble:
            self.troubles[missing.path] = missing.why.trouble
        else:
            self.is_just_asked = True

    def finish(self) -> Waiting | None:
        if self.asks or self.is_just_asked:
            return Waiting("", "", asks=frozenset(self.asks))
        if not self.troubles:
            return None
        messages = [
            f"{path}: it is not known which runs without an Operation it finds: {trouble}"
            for path, trouble in self.troubles.items()
        ]
        return Waiting("StoreUnavailable", shorten("; ".join(messages), MESSAGE))
