"""Gather, decide, apply: the one engine, for a cluster and for a laptop.

Called with a key, as often as anyone likes; the same state gives the same effects, and none the second time. Must not know who calls.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from opstrand.core.lifecycle.decide import decide
from opstrand.core.lifecycle.refusals import refuse
from opstrand.core.lifecycle.snapshot import Decision, Snapshot
from opstrand.core.limits import shorten
from opstrand.core.names import Key
from opstrand.core.phase import Phase
from opstrand.errors import PlatformError
from opstrand.journal import about
from opstrand.kube.api import Conflict
from opstrand.kube.apply import apply
from opstrand.kube.gather import World, gather, refresh

logger = logging.getLogger(__name__)

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Outcome:
    """`wake`: other runs that should be reconciled now. `again`: seconds until this one should be; None: when something happens.

    `trouble`: the error that stopped this reconcile; `wake` holds all the same.
    """

    wake: frozenset[Key] = frozenset()
    again: float | None = None
    trouble: Exception | None = None


DONE = Outcome()


async def reconcile(key: Key, *, world: World, clock: Clock) -> Outcome:
    """Bring the run of this key one step nearer to its end. Raises PlatformError for what should be tried again later."""
    snapshot = await gather(key, world=world, now=clock())
    if snapshot is None:
        return DONE
    decision = await _decide(snapshot, key)
    if snapshot.phase.is_final or (decision.status or {}).get("finishedAt"):
        world.cache.wait(key, frozenset())
    wake: set[Key] = set()
    try:
        applied = await apply(decision, key=key, snapshot=snapshot, world=world, wake=wake)
    except Conflict:
        wake |= await refresh(key, world=world)
        return Outcome(frozenset(wake - {key}), again=0.0)
    except Exception as error:
        return Outcome(frozenset(wake), trouble=error)
    if decision.freeze:
        world.cache.wait(key, frozenset())
    _record_end(decision, snapshot, key)
    return Outcome(frozenset(wake), applied.again)


def _record_end(decision: Decision, snapshot: Snapshot, key: Key) -> None:
    """A run's one line in the log, whatever became of it."""
    status = decision.status or {}
    if status.get("finishedAt") and not snapshot.phase.is_final:
        told = {name: status.get(name) for name in ("phase", "reason", "duration") if status.get(name) is not None}
        logger.info("%s", shorten(str(status.get("message") or "ended"), 300), extra={**about(*key), **told})


class _NeedsWorker(Exception):
    """A template is more than look-ups."""


def _put_off(source: str, values: Mapping[str, Any]) -> Any:
    raise _NeedsWorker


async def _decide(snapshot: Snapshot, key: Key) -> Decision:
    """Templates that are more than look-ups wait for their worker, for seconds at worst: in a thread, so that other runs go on.

    Hardly any run has one, and a thread costs each run more than its decision: so first without. A bug of ours is logged once with its
    traceback, and the run says so instead of hanging.
    """
    try:
        try:
            return decide(replace(snapshot, evaluate=_put_off))
        except _NeedsWorker:
            return await asyncio.to_thread(decide, snapshot)
    except PlatformError:
        raise
    except Exception:
        logger.exception("deciding failed: this is a bug", extra=about(*key))
        return refuse(snapshot, Phase.FAILED, "InternalError", "a bug of opstrand; the operator's log has the details")
