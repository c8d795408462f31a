"""Gather, decide, apply: the one engine, for a cluster and for a local run.

It may be called with a key at any time: the same state gives the same effects, and none the second
time. Must not know its caller.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from opstrand.controller.apply import apply
from opstrand.controller.crash_record import DEATHS
from opstrand.controller.decision import decide_apart, decide_here
from opstrand.controller.gather import Gathered, World, gather, refresh
from opstrand.controller.reuse import settle
from opstrand.core.decide import decide, fail
from opstrand.core.lifecycle.asks import Children
from opstrand.core.lifecycle.snapshot import Decision, Snapshot
from opstrand.core.pipelines.hooks import has_open_hooks
from opstrand.errors import PlatformError, SpecError
from opstrand.kube.errors import Conflict
from opstrand.logs import about
from opstrand.text import shorten
from opstrand.types import Key
from opstrand.workers.inline import NeedsWorker

logger = logging.getLogger(__name__)

Clock = Callable[[], datetime]

#: A run that decides about many others rests this many times as long as the decision took, so that
#: a pipeline of thousands cannot keep the operator busy.
_REST = 10
#: Seconds: a decision that takes less computing time needs no rest, and none rests for longer.
_SHORT_DECISION, _LONGEST_REST = 0.002, 1.0


@dataclass(frozen=True)
class Outcome:
    """What a reconcile leaves to do.

    `wake`: other runs to reconcile now. `again`: seconds until this run is reconciled again; None:
    when something happens. `trouble`: the error that stopped this reconcile; `wake` is valid all
    the same. `parked`: nothing was done, since the decision may be expensive; reconcile this run
    with `is_parked`, in a lane where no other run waits. `rest`: seconds in which this run is not
    reconciled again, whatever happens.
    """

    wake: frozenset[Key] = frozenset()
    again: float | None = None
    trouble: Exception | None = None
    parked: bool = False
    rest: float = 0.0


DONE = Outcome()


async def reconcile(key: Key, *, world: World, clock: Clock, is_parked: bool = False) -> Outcome:
    """Advance the run of this key one step toward its end.

    Raises PlatformError for errors that should be retried later.
    """
    body = world.cache.operation(key)
    if body is None:
        return DONE
    uid = str(body["metadata"]["uid"])
    async with world.crashes.flight(uid):
        outcome = await _reconcile(key, world, clock, is_parked=is_parked)
    if not outcome.parked:
        world.crashes.forgive(uid)
    return outcome


async def _reconcile(key: Key, world: World, clock: Clock, *, is_parked: bool) -> Outcome:
    began = time.thread_time()
    gathered = await gather(key, world=world, now=clock())
    if gathered is None:
        return DONE
    snapshot = gathered.snapshot
    try:
        decision = await _decide(gathered, key, world, is_parked=is_parked)
    except NeedsWorker:
        return Outcome(parked=True)
    rest = _find_rest(snapshot, time.thread_time() - began)
    if snapshot.phase.is_final or (decision.status or {}).get("finishedAt"):
        world.cache.wait(key, frozenset())
    wake: set[Key] = set()
    try:
        applied = await apply(decision, key=key, snapshot=snapshot, world=world, wake=wake)
    except Conflict:
        wake |= await refresh(key, world=world)
        return Outcome(frozenset(wake - {key}), again=0.0, rest=rest)
    except Exception as error:
        return Outcome(frozenset(wake), trouble=error, rest=rest)
    if decision.freeze:
        world.cache.wait(key, frozenset())
    _record_end(decision, snapshot, key)
    if applied.is_settled:
        after = await reconcile(key, world=world, clock=clock, is_parked=is_parked)
        return replace(after, wake=after.wake | frozenset(wake - {key}))
    again = applied.again
    if not snapshot.phase.is_final and _has_open_hooks(key, world):
        again = 0.0
    return Outcome(frozenset(wake), again, rest=rest)


def _has_open_hooks(key: Key, world: World) -> bool:
    """Whether the run has just ended and its hooks are to be decided."""
    body = world.cache.operation(key)
    return body is not None and has_open_hooks(body.get("status"))


def _find_rest(snapshot: Snapshot, seconds: float) -> float:
    """Return how long a run rests whose decision took this much computing time."""
    if Children() not in snapshot.answers or seconds < _SHORT_DECISION:
        return 0.0
    return min(_REST * seconds, _LONGEST_REST)


def _record_end(decision: Decision, snapshot: Snapshot, key: Key) -> None:
    """Write the one log line about a run's end."""
    status = decision.status or {}
    if status.get("finishedAt") and not snapshot.phase.is_final:
        facts = {
            name: status.get(name)
            for name in ("phase", "reason", "duration")
            if status.get(name) is not None
        }
        logger.info(
            "%s",
            shorten(str(status.get("message") or "ended"), 300),
            extra={**about(*key), **facts},
        )


async def _decide(gathered: Gathered, key: Key, world: World, *, is_parked: bool) -> Decision:
    """Decide, inline or in a worker. A bug is logged once with its traceback, and the run ends with
    that reason instead of hanging.
    """
    if world.crashes.is_set_aside(str(gathered.snapshot.body["metadata"]["uid"])):
        return _set_aside(gathered)
    try:
        decision = (
            await decide_apart(gathered, key, world)
            if is_parked
            else decide_here(gathered, key, world)
        )
        return settle(decision, gathered.snapshot, key, world)
    except PlatformError:
        raise
    except Exception:
        logger.exception("deciding failed: this is a bug", extra=about(*key))
        return fail(
            gathered.snapshot,
            "InternalError",
            "a bug of opstrand; the operator's log has the details",
        )


def _set_aside(gathered: Gathered) -> Decision:
    """End a run during whose reconcile the operator was killed repeatedly, without reading its
    file.
    """
    message = (
        f"the operator was killed {DEATHS} times while it reconciled this run, which is therefore "
        "not tried again"
    )
    if gathered.snapshot.phase.is_final or not gathered.is_file_needed:
        return fail(gathered.snapshot, "SetAside", message)
    return decide(replace(gathered.snapshot, prepared=SpecError("SetAside", message)))
