"""Carry out a decision: write the status if it differs, then perform the actions, in that order.

Everything here is safe to repeat: an attempt's objects have names of their own, and an existing
object is adopted only if it is exactly what would be created. Must not decide:
`core.lifecycle.admission` says what a refused Pod means for the run.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from opstrand.controller.gather import World
from opstrand.controller.ownership import check_own, check_same
from opstrand.core import names
from opstrand.core.lifecycle.admission import classify_refusal, refuse
from opstrand.core.lifecycle.events import render_event
from opstrand.core.lifecycle.snapshot import (
    Action,
    ClaimPod,
    CreatePod,
    CreateService,
    Decision,
    DeletePod,
    DeleteService,
    RestoreDocuments,
    Snapshot,
    StopPod,
)
from opstrand.core.lifecycle.status import patch_ops
from opstrand.core.phase import Phase
from opstrand.core.pods.adoption import find_difference
from opstrand.core.pods.attempt import Attempt
from opstrand.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, Invalid, NotFound
from opstrand.kube.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    EVENTS,
    OPERATIONS,
    PODS,
    SERVICES,
    Resource,
)
from opstrand.logs import about
from opstrand.types import Key, Pod

logger = logging.getLogger(__name__)


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
            if not decision.freeze:
                raise
            # The API server will never store what the run would start with, so a retry would never
            # end.
            words = f"the cluster does not store what the run would start with: {error.words}"
            wake |= await _write_status(
                refuse(snapshot, Phase.FAILED, "InvalidSpec", words),
                key=key,
                snapshot=snapshot,
                world=world,
            )
            return Applied()
    for action in decision.actions:
        refusal = await _act(action, key=key, snapshot=snapshot, world=world, wake=wake)
        if refusal is not None:
            current = world.cache.operation(key)
            if current is None:
                return Applied()
            after = replace(snapshot, body=current)
            consequence = _consequence(refusal, after)
            wake |= await _write_status(consequence, key=key, snapshot=after, world=world)
            return Applied(consequence.requeue_after)
    return Applied(
        decision.requeue_after,
        is_settled=any(isinstance(action, ClaimPod) for action in decision.actions),
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
    await _tell(snapshot, decision.status or {}, world)
    return concerned if _has_other_spec(stored, snapshot.body) else concerned - {key}


def _has_other_spec(stored: Mapping[str, Any], read: Mapping[str, Any]) -> bool:
    """Whether the spec changed between our read and our write.

    Its watch event is older than the response to our write and will be dropped, so the run must be
    reconciled again.
    """
    return bool(stored["metadata"].get("generation") != read["metadata"].get("generation"))


async def _tell(snapshot: Snapshot, after: Mapping[str, Any], world: World) -> None:
    """Record an Event if the run got into trouble.

    Best effort: the status is what counts, and it is already written.
    """
    event = render_event(snapshot.body, snapshot.status, after, now=snapshot.stamp)
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


async def _act(
    action: Action, *, key: Key, snapshot: Snapshot, world: World, wake: set[Key]
) -> ApiError | None:
    """Perform one action.

    Returns a refusal that is about the run; raises one that is about our request.
    """
    if isinstance(action, CreatePod | CreateService) and world.on_attempt is not None:
        world.on_attempt(key, action.attempt)
    match action:
        case CreatePod(attempt) | CreateService(attempt):
            return await _create(attempt, key=key, world=world, wake=wake)
        case ClaimPod(attempt, exact):
            return await _claim(attempt, exact=exact, key=key, world=world, wake=wake)
        case RestoreDocuments(attempt):
            await _restore_documents(attempt, key=key, world=world)
        case DeleteService(name):
            await _delete_service(name, key=key, snapshot=snapshot, world=world)
            wake.add(key)
        case StopPod(pod):
            ops = [{"op": "add", "path": "/spec/activeDeadlineSeconds", "value": 1}]
            try:
                # The Pod may already have ended: the response then says so, and the watch will send
                # nothing newer.
                wake |= world.cache.put(
                    PODS, await world.kube.json_patch(PODS, key[0], pod["metadata"]["name"], ops)
                )
            except NotFound:
                wake |= world.cache.drop(PODS, pod)
        case DeletePod(pod):
            await world.kube.delete(
                PODS, key[0], pod["metadata"]["name"], uid=pod["metadata"]["uid"]
            )
            wake |= await _see_after_deletion(pod, world)
    return None


async def _see_after_deletion(pod: Pod, world: World) -> set[Key]:
    """Read the Pod after its deletion.

    A Pod without a node disappears at once, and a watch that is just starting does not report that.
    """
    try:
        return world.cache.put(
            PODS, await world.kube.get(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])
        )
    except NotFound:
        return world.cache.drop(PODS, pod)


async def _create(attempt: Attempt, *, key: Key, world: World, wake: set[Key]) -> ApiError | None:
    """Create what an attempt consists of.

    An existing object that belongs to this run was created by the previous operator process.
    """
    try:
        await _create_documents(attempt, key=key, world=world)
        for resource, manifest in _consists_of(attempt):
            try:
                found, is_new = await world.kube.create(resource, key[0], manifest), True
            except AlreadyExists:
                found, is_new = await world.kube.get(resource, key[0], attempt.pod_name), False
                await check_own(found, manifest, world=world, exact=True)
            if resource is not SERVICES:
                world.cache.own(resource, found)
                heard = world.cache.put(resource, found)
                wake |= set() if is_new else heard
    except (Invalid, Forbidden, NotFound, AlreadyExists) as error:
        return error
    return None


async def _create_documents(attempt: Attempt, *, key: Key, world: World) -> None:
    manifest = attempt.rendered.config_map
    if manifest is None:
        return
    try:
        await world.kube.create(CONFIG_MAPS, key[0], manifest)
    except AlreadyExists:
        found = await world.kube.get(CONFIG_MAPS, key[0], manifest["metadata"]["name"])
        check_same(find_difference(found, manifest, manifest), found)


async def _restore_documents(attempt: Attempt, *, key: Key, world: World) -> None:
    try:
        await _create_documents(attempt, key=key, world=world)
    except (Invalid, Forbidden, NotFound, AlreadyExists) as error:
        # The Pod keeps waiting, and its status says for what.
        logger.warning(
            "the ConfigMap with the init document could not be made again: %s",
            error,
            extra=about(*key),
        )
    else:
        logger.info(
            "a ConfigMap with an init document was deleted and is made again", extra=about(*key)
        )


async def _claim(
    attempt: Attempt, *, exact: bool, key: Key, world: World, wake: set[Key]
) -> ApiError | None:
    """Adopt the Pod that has the attempt's name, or return why it is refused."""
    try:
        found = await world.kube.get(PODS, key[0], attempt.pod_name)
    except NotFound:
        known = world.cache.pod(key[0], attempt.pod_name)
        wake |= set() if known is None else world.cache.drop(PODS, known)
        return None
    try:
        await check_own(found, attempt.rendered.pod, world=world, exact=exact)
    except AlreadyExists as error:
        return error
    world.cache.own(PODS, found)
    wake |= world.cache.put(PODS, found)
    return None


def _consists_of(attempt: Attempt) -> tuple[tuple[Resource, Mapping[str, Any]], ...]:
    if attempt.service is None:
        return ((PODS, attempt.rendered.pod),)
    return (SERVICES, attempt.service.service), (DEPLOYMENTS, attempt.service.deployment)


async def _delete_service(name: str, *, key: Key, snapshot: Snapshot, world: World) -> None:
    """Delete the Service first, so that no traffic is sent to Pods that are about to end.

    An object of that name that this run does not own is kept.
    """
    for resource in (SERVICES, DEPLOYMENTS):
        try:
            found = await world.kube.get(resource, key[0], name)
        except NotFound:
            continue
        if names.is_owned_by(found, snapshot.body["metadata"]["uid"]):
            await world.kube.delete(resource, key[0], name, uid=found["metadata"]["uid"])
    world.cache.mark_gone((key[0], name))


def _consequence(error: ApiError, snapshot: Snapshot) -> Decision:
    """What a refused Pod means for the run.

    Raises the error again if the operator lacks the rights: that is not about the run.
    """
    if isinstance(error, AlreadyExists):
        return refuse(snapshot, Phase.FAILED, "NameConflict", error.words)
    if isinstance(error, Invalid):
        return refuse(snapshot, Phase.FAILED, "PodRefused", error.words)
    if isinstance(error, NotFound):
        return refuse(snapshot, Phase.STOPPED, "NamespaceTerminating", error.words)
    decision = classify_refusal(snapshot, error.words)
    if decision is None:
        raise error
    return decision
