"""What a decision about a pipeline sees of its children, and what it asks for that.

Owns the way from the Operations that exist, or that had ended and are gone, to the operations of
the file. Must not decide what follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from opstrand.core.lifecycle.asks import Ask, Children, Get, Known, Pipeline
from opstrand.core.lifecycle.snapshot import Snapshot
from opstrand.core.phase import Phase
from opstrand.core.pipelines import letters
from opstrand.core.pipelines.children import is_child
from opstrand.core.pipelines.letters import ABSENT, PUBLISHED, Child, read_child
from opstrand.core.pipelines.outline import Outline
from opstrand.core.pipelines.progress import find_services_of
from opstrand.core.pipelines.rounds import (
    find_again,
    is_left,
    read_child_of,
    read_round,
    reset,
    reset_ended,
)
from opstrand.errors import SpecError
from opstrand.types import OperationBody

OPERATION = "Operation"
#: Objects that are looked for by one decision, at most, because they are missing.
_MOST_SOUGHT = 50


def list_dag_asks(snapshot: Snapshot) -> tuple[Ask, ...]:
    """Return what must be known of the children of a pipeline that has not ended."""
    first = (Children(), Pipeline())
    if not snapshot.answers.keys() >= set(first):
        return first
    if isinstance(snapshot.answers[Pipeline()], SpecError):
        return first
    seen = SeenPipeline(snapshot)
    return (
        *first,
        *(Known(OPERATION, seen.outline.names[at]) for at in seen.unrecorded),
        *(Get(OPERATION, seen.outline.names[at]) for at in seen.missing),
    )


@dataclass(frozen=True)
class SeenPipeline:
    """A snapshot of a pipeline with its children by their index in the file."""

    snapshot: Snapshot

    @cached_property
    def outline(self) -> Outline:
        found: Outline = self.snapshot.answers[Pipeline()]
        return found

    @cached_property
    def children(self) -> letters.Children:
        """The children as the status has them.

        At the first look at a round, the services that it needs are reset too: the file of a run
        that is over is not known. A run that was still alive then is reset once it has ended.
        """
        found = letters.read_children(self.snapshot.status, len(self.outline.names))
        if self.snapshot.phase is Phase.RESUMING:
            found = reset(found, find_services_of(self.outline.graph, find_again(found.states)))
        return reset_ended(found, self.bodies, self.round)

    @cached_property
    def bodies(self) -> Mapping[int, OperationBody]:
        """The known objects that have a child's name and name this run as their controller."""
        index = self.outline.index
        found: tuple[OperationBody, ...] = self.snapshot.answers[Children()]
        by_name = ((index.get(body["metadata"]["name"]), body) for body in found)
        return {at: body for at, body in by_name if at is not None}

    @cached_property
    def round(self) -> int:
        return read_round(self.snapshot.status)

    @cached_property
    def left(self) -> frozenset[int]:
        """The children that ended in an earlier round, and have not started in this one."""
        return frozenset(at for at in self.unrecorded if is_left(self.bodies[at], self.round))

    @cached_property
    def unrecorded(self) -> list[int]:
        """The objects of children that no written letter records."""
        return [at for at in self.bodies if self.children.states[at] == ABSENT]

    @cached_property
    def unknown(self) -> frozenset[int]:
        """The objects of which it is not known that this run asked for them.

        A pipeline that ends compares none of them: it waits for all that name it as their owner.
        """
        if self.snapshot.is_to_stop or self.snapshot.is_being_deleted:
            return frozenset()
        return frozenset(at for at in self.unrecorded if not self._is_own(at))

    def _is_own(self, at: int) -> bool:
        known = self.snapshot.answers[Known(OPERATION, self.outline.names[at])]
        return bool(known.own_uid == self.bodies[at]["metadata"]["uid"])

    @cached_property
    def missing(self) -> list[int]:
        """The children that exist by the status, and that are not known."""
        alive = (
            at
            for at, letter in enumerate(self.children.states)
            if letter != ABSENT and letter not in PUBLISHED and at not in self.bodies
        )
        return [at for at, _ in zip(alive, range(_MOST_SOUGHT), strict=False)]

    @property
    def gone(self) -> frozenset[int]:
        """The children that a request did not find."""
        sightings = {at: self._sight(at) for at in self.missing}
        return frozenset(at for at, uid in sightings.items() if not uid)

    def _sight(self, at: int) -> str:
        return str(self.snapshot.answers[self._get(at)].uid)

    def _get(self, at: int) -> Get:
        return Get(OPERATION, self.outline.names[at])

    @cached_property
    def known(self) -> Mapping[int, OperationBody]:
        """The children whose state is known: also those that had ended and are gone."""
        uid = self.snapshot.body["metadata"]["uid"]
        lasts = {at: self.snapshot.answers[self._get(at)].last for at in self.missing}
        ended = {at: body for at, body in lasts.items() if body and is_child(body, uid)}
        apart = self.unknown | self.left
        return ended | {at: body for at, body in self.bodies.items() if at not in apart}

    @cached_property
    def seen(self) -> dict[int, Child]:
        # The end of a run that succeeded in an earlier round stays, and that of one that is gone.
        return {
            at: read_child(body)
            if self.children.states[at] in PUBLISHED or at not in self.bodies
            else read_child_of(body, self.round)
            for at, body in self.known.items()
        }
