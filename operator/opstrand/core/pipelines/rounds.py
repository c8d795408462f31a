"""The rounds of a pipeline or a matrix: each time that it is resumed, its runs that did not succeed
run again.

Owns which letters a new round resets, which runs are left over from an earlier one, and the order
by which such a run takes part in this one. The number of a round is the parent's attempt; a run's
`status.round` is the last one in which it ended, so an order that is repeated has no further
effect. Must not decide when a run starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace
from typing import Any

from opstrand.core.packed import unpack
from opstrand.core.phase import parse_phase
from opstrand.core.pipelines.letters import (
    ABSENT,
    CACHED,
    PUBLISHED,
    SUCCEEDED,
    WAITING,
    Child,
    Children,
    read_child,
)
from opstrand.types import Body, JsonPatch

#: Orders that would end a resumed run at once.
ENDINGS = ("stop", "skip")


def read_round(status: Mapping[str, Any]) -> int:
    """Return the number of a parent's round: 0 is the first."""
    return int(status.get("attempt") or 0)


def find_again(states: str) -> frozenset[int]:
    """Return the children that a new round resets: those that did not succeed."""
    return frozenset(at for at, one in enumerate(states) if one not in (SUCCEEDED, CACHED))


def reset(children: Children, further: Set[int] = frozenset()) -> Children:
    """Return the children of a new round: those that succeeded stay, except for the `further`."""
    again = find_again(children.states) | further
    states = "".join(ABSENT if at in again else one for at, one in enumerate(children.states))
    return replace(children, states=states, failures=())


def is_left(body: Body, number: int) -> bool:
    """Return whether a run ended in an earlier round, and has no part in this one yet.

    One that is being deleted cannot run again: it keeps its end.
    """
    is_to_stay = "deletionTimestamp" not in body["metadata"]
    return is_to_stay and _is_earlier(body, number) and _read(body, "spec", "control") < number


def reset_ended(children: Children, bodies: Mapping[int, Body], number: int) -> Children:
    """Return the children without the letters of runs that were alive when this round began, and
    that have ended since: their end is one of an earlier round, so that they are to be ordered.
    """
    ended = (
        at
        for at, body in bodies.items()
        if children.states[at] not in PUBLISHED and is_left(body, number)
    )
    return children.with_letters(dict.fromkeys(ended, ABSENT))


def read_child_of(body: Body, number: int) -> Child:
    """Read a child that was asked to take part in this round: until it does, it waits."""
    return Child(WAITING) if _is_earlier(body, number) else read_child(body)


def without_endings(control: Mapping[str, Any]) -> dict[str, Any]:
    """Return a `spec.control` without the orders that would end a resumed run at once."""
    return {key: value for key, value in control.items() if key not in ENDINGS}


def order_round(body: Body, number: int) -> JsonPatch:
    """Return the patch by which a run that is left takes part in this round."""
    control = (unpack(body).get("spec") or {}).get("control")
    kept = without_endings(control) if isinstance(control, Mapping) else {}
    value = {**kept, "round": number}
    version = body["metadata"]["resourceVersion"]
    return [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        {"op": "add", "path": "/spec/control", "value": value},
    ]


def in_round(spec: Mapping[str, Any], number: int) -> Mapping[str, Any]:
    """Return the spec of a run that is made in this round."""
    return {**spec, "control": {"round": number}} if number else spec


def _is_earlier(body: Body, number: int) -> bool:
    if not number or not parse_phase(body.get("status")).is_final:
        return False
    return _read(body, "status") < number


def _read(body: Body, *path: str) -> int:
    found: Any = body
    for key in (*path, "round"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if type(found) is int else 0
