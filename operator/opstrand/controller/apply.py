"""Carry out a decision: write the status if it differs, then perform the actions, in that order.

Everything here is safe to repeat: a run's objects have names of their own, and an existing object
is adopted only if it is exactly what would be created. Must not decide, and must not know a kind of
run: `core.decide` says what a refused object means.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from opstrand.controller.cache import WATCHED
from opstrand.controller.gather import World
from opstrand.controller.ownership import check_own
from opstrand.core import names
from opstrand.core.decide import decide_refusal, fail
from opstrand.core.lifecycle.actions import Action, Claim, Create, Delete, Patch, Refusal
from opstrand.core.lifecycle.events import render_event
from opstrand.core.lifecycle.snapshot import Decision, Snapshot
from opstrand.core.lifecycle.status import patch_ops
from opstrand.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, Invalid, NotFound
from opstrand.kube.resources import BY_KIND, EVENTS, OPERATIONS, Resource
from opstrand.logs import about
from opstrand.types import Key

logger = logging.getLogger(__name__)

#: Objects of one run that are created at a time.
_AT_ONCE = 8


@dataclass(frozen=True)
class Applied:
    """`again`: seconds until this run is reconciled again; 0 is at once.

    `is_settled`: the owner of the Pod has just been established, and nothing was done about it yet.
    """

    again: float | None = None
    is_settled: bool = False


async def apply(
    decision: Decision, *, key: Key, snapshot: Snapshot, world: World, wake: set[Key]
) -> Applied:
    """Carry out a decision. Raises ApiError for errors that should be retried.

    `wake` receives the runs to reconcile next. It is a parameter so that the caller has them even
    if this raises.
    """
    if decision.status is not None:
        try:
            wake |= await _write_status(decision, key=key, snapshot=snapshot, world=world)
        except NotFound:
            # The Operation was deleted: whatever it ran is garbage-collected with it.
            return Applied()
        except Invalid as error:
            if not decision.freeze or snapshot.phase.is_final:
                # How a run ended stays, whatever else cannot be stored.
                raise
            # The API server will never store what the run would start with, so a retry would never
            # end.
            message = (
                f"the cluster does not store what the run would start with: {error.server_message}"
            )
            wake |= await _write_status(
                fail(snapshot, "InvalidSpec", message),
                key=key,
                snapshot=snapshot,
                world=world,
            )
            return Applied()
    if decision.plan is not None and world.on_plan is not None:
        world.on_plan(key, decision.plan)
    for actions in _group(decision.actions):
        refusal = await _act_at_once(actions, key=key, snapshot=snapshot, world=world, wake=wake)
        if refusal is not None:
            current = world.cache.operation(key)
            if current is None:
                return Applied()
            after = snapshot.changed(body=current)
            consequence = decide_refusal(
                after, Refusal(_CAUSES[type(refusal)], refusal.server_message)
            )
            if consequence is None:
                # The operator lacks the rights: that is not about the run.
                raise refusal
            wake |= await _write_status(consequence, key=key, snapshot=after, world=world)
            return Applied(consequence.requeue_after)
    return Applied(
        decision.requeue_after,
        is_settled=any(isinstance(action, Claim) for action in decision.actions),
    )


async def _write_status(
    decision: Decision, *, key: Key, snapshot: Snapshot, world: World
) -> set[Key]:
    ops = patch_ops(snapshot.body.get("status"), decision.status or {})
    if not ops:
        return set()
    guard = _guard(snapshot.body, is_freeze=decision.freeze)
    try:
        stored = await world.kube.json_patch(OPERATIONS, *key, [*guard, *ops], subresource="status")
    except Invalid as error:
        found = await world.kube.get(OPERATIONS, *key)
        if _guard(snapshot.body, is_freeze=False) == _guard(found, is_freeze=False):
            raise
        raise Conflict(f"{'/'.join(key)} was written by another in between", status=409) from error
    # The response is newer than any watch event: it includes an output that was acknowledged before
    # the container ended.
    concerned = world.cache.put(OPERATIONS, stored)
    await _record_event(snapshot, decision.status or {}, world)
    return concerned if _has_other_spec(stored, snapshot.body) else concerned - {key}


def _has_other_spec(stored: Mapping[str, Any], read: Mapping[str, Any]) -> bool:
    """Whether the spec changed between our read and our write.

    Its watch event is older than the response to our write and will be dropped, so the run must be
    reconciled again.
    """
    return bool(stored["metadata"].get("generation") != read["metadata"].get("generation"))


async def _record_event(snapshot: Snapshot, after: Mapping[str, Any], world: World) -> None:
    """Record an Event if the run got into trouble, and what else the settings ask for.

    Best effort: the status is what counts, and it is already written.
    """
    event = render_event(
        snapshot.body,
        snapshot.status,
        after,
        now=snapshot.stamp,
        with_normal=bool(snapshot.settings.normal_events),
    )
    if event is None:
        return
    try:
        await world.kube.create(EVENTS, event["metadata"]["namespace"], event)
    except ApiError as error:
        logger.info(
            "an event was not recorded: %s",
            error,
            extra=about(event["metadata"]["namespace"], event["involvedObject"]["name"]),
        )


def _guard(read: Mapping[str, Any], *, is_freeze: bool) -> list[dict[str, Any]]:
    """The JSON Patch operations that make a status write conditional.

    Two operators overlap while one replaces the other, and the last request of a dead one may
    arrive late. The first write and the freeze require exactly the object that was read (else 409).
    Later writes require only the same phase, attempt and conditions (else 422), whatever reports
    the API has stored since. The conditions are guarded because they are a list that the operator
    and the API both write.
    """
    status = read.get("status")
    status = status if isinstance(status, Mapping) else {}
    if is_freeze or "phase" not in status:
        return [
            {
                "op": "replace",
                "path": "/metadata/resourceVersion",
                "value": read["metadata"]["resourceVersion"],
            }
        ]
    names = ("phase", "attempt", "conditions")
    return [
        {"op": "test", "path": f"/status/{name}", "value": status[name]}
        for name in names
        if name in status
    ]


#: What a refused request says about the object; other errors are about the request.
_CAUSES: Mapping[type[ApiError], Literal["taken", "invalid", "forbidden", "absent"]] = {
    AlreadyExists: "taken",
    Invalid: "invalid",
    Forbidden: "forbidden",
    NotFound: "absent",
}


def _group(actions: Sequence[Action]) -> Iterator[list[Action]]:
    """Yield the actions in their order; objects of one kind that are created one after the other
    are a group, because they do not need each other.
    """
    groups = groupby(
        enumerate(actions),
        lambda one: one[1].manifest["kind"] if isinstance(one[1], Create) else one[0],
    )
    for _, group in groups:
        yield [action for _, action in group]


async def _act_at_once(
    actions: Sequence[Action], *, key: Key, snapshot: Snapshot, world: World, wake: set[Key]
) -> ApiError | None:
    """Perform actions that do not need each other; returns the first refusal.

    After a refusal no further one is begun: the decision that follows says how to go on. All of
    them have ended when this returns or raises.
    """
    if len(actions) == 1:
        return await _act(actions[0], key=key, snapshot=snapshot, world=world, wake=wake)
    slots = asyncio.Semaphore(_AT_ONCE)
    refusals: list[ApiError] = []

    async def act(action: Action) -> None:
        async with slots:
            if refusals:
                return
            refusal = await _act(action, key=key, snapshot=snapshot, world=world, wake=wake)
            if refusal is not None:
                refusals.append(refusal)

    tasks = [asyncio.ensure_future(act(action)) for action in actions]
    try:
        await asyncio.wait(tasks)
    finally:
        for task in tasks:
            task.cancel()
    for task in tasks:
        task.result()
    return refusals[0] if refusals else None


async def _act(
    action: Action, *, key: Key, snapshot: Snapshot, world: World, wake: set[Key]
) -> ApiError | None:
    """Perform one action.

    Returns a refusal that is about the run; raises one that is about our request.
    """
    match action:
        case Create():
            return await _create(action, key=key, world=world, wake=wake)
        case Claim():
            return await _claim(action, key=key, world=world, wake=wake)
        case Patch():
            await _patch(action, key=key, world=world, wake=wake)
        case Delete():
            await _delete(action, key=key, snapshot=snapshot, world=world, wake=wake)
    return None


async def _create(action: Create, *, key: Key, world: World, wake: set[Key]) -> ApiError | None:
    """Create one object of the run.

    An existing object that belongs to this run was created by the previous operator process.
    """
    try:
        await _create_or_adopt(action.manifest, key=key, world=world, wake=wake)
    except (Invalid, Forbidden, NotFound, AlreadyExists) as error:
        if not action.is_optional:
            return error
        # What needs it keeps waiting, and says for what.
        logger.warning(
            "a %s could not be created again: %s",
            action.manifest["kind"],
            error,
            extra=about(*key),
        )
    return None


async def _create_or_adopt(
    manifest: Mapping[str, Any], *, key: Key, world: World, wake: set[Key]
) -> None:
    resource = BY_KIND[manifest["kind"]]
    try:
        found, is_new = await world.kube.create(resource, key[0], manifest), True
    except AlreadyExists:
        found, is_new = await world.kube.get(resource, key[0], manifest["metadata"]["name"]), False
        await check_own(found, manifest, world=world, exact=True)
    if not world.cache.keeps(resource):
        return
    world.cache.own(resource, found)
    concerned = world.cache.put(resource, found)
    wake |= concerned - {key} if is_new else concerned


async def _claim(action: Claim, *, key: Key, world: World, wake: set[Key]) -> ApiError | None:
    """Adopt the object that has the name, or return why it is refused."""
    manifest = action.manifest
    resource, name = BY_KIND[manifest["kind"]], manifest["metadata"]["name"]
    try:
        found = await world.kube.get(resource, key[0], name)
    except NotFound:
        wake |= _forget(resource, (key[0], name), world)
        return None
    try:
        await check_own(found, manifest, world=world, exact=action.exact)
    except AlreadyExists as error:
        return error
    world.cache.own(resource, found)
    wake |= world.cache.put(resource, found)
    return None


async def _patch(action: Patch, *, key: Key, world: World, wake: set[Key]) -> None:
    resource = BY_KIND[action.kind]
    try:
        # The object may have changed already: the response then says so, and the watch will send
        # nothing newer.
        found = await world.kube.json_patch(resource, key[0], action.name, action.ops)
    except NotFound:
        wake |= _forget(resource, (key[0], action.name), world)
    else:
        wake |= world.cache.put(resource, found)


async def _delete(
    action: Delete, *, key: Key, snapshot: Snapshot, world: World, wake: set[Key]
) -> None:
    resource, uid = BY_KIND[action.kind], action.uid
    if not uid:
        try:
            found = await world.kube.get(resource, key[0], action.name)
        except NotFound:
            found = None
        is_own = found is not None and names.is_owned_by(found, snapshot.body["metadata"]["uid"])
        uid = str(found["metadata"]["uid"]) if found is not None and is_own else ""
    if uid:
        await world.kube.delete(resource, key[0], action.name, uid=uid)
    if resource in WATCHED:
        wake |= await _see_after_deletion(resource, (key[0], action.name), world)
        return
    world.cache.mark_gone(resource, (key[0], action.name))
    wake.add(key)


async def _see_after_deletion(resource: Resource, key: Key, world: World) -> set[Key]:
    """Read the object after its deletion.

    A Pod without a node disappears at once, and a watch that is just starting does not report that.
    """
    try:
        return world.cache.put(resource, await world.kube.get(resource, *key))
    except NotFound:
        return _forget(resource, key, world)


def _forget(resource: Resource, key: Key, world: World) -> set[Key]:
    """Drop an object that is gone from the cache; returns the runs that it concerns."""
    known = world.cache.find(resource, key)
    return set() if known is None else world.cache.drop(resource, known)
