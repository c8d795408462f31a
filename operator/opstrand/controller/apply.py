"""From a decision to the cluster: one status patch if it differs, then the actions, in that order.

Everything may be done twice: names are the attempt's own, and what is there already is adopted
where it is exactly what would be made. Must not decide: where the API server refuses a Pod, what
that means is a value for `refusals.refuse`.
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
from opstrand.types import Key

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Applied:
    """`again`: seconds until this run should look again; 0 is at once. `is_settled`: whose Pod it
    is, is known now, and nothing was done about it yet.
    """

    again: float | None = None
    is_settled: bool = False


async def apply(
    decision: Decision, *, key: Key, snapshot: Snapshot, world: World, wake: set[Key]
) -> Applied:
    """Carry out a decision. Raises ApiError for what should be tried again.

    `wake` receives the runs that should be looked at; a parameter, so that they are known even
    where this raises.
    """
    if decision.status is not None:
        try:
            wake |= await _write_status(decision, key=key, snapshot=snapshot, world=world)
        except NotFound:
            # Deleted meanwhile: whatever it ran goes with it.
            return Applied()
        except Invalid as error:
            if not decision.freeze:
                raise
            # What the run would start with is not stored, now or later: it could only be tried for
            # ever.
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
    # What comes back is newer than anything the watch has said: an output acknowledged before the
    # container's end is in it.
    concerned = world.cache.put(OPERATIONS, stored)
    await _tell(snapshot, decision.status or {}, world)
    return concerned if _has_other_spec(stored, snapshot.body) else concerned - {key}


def _has_other_spec(stored: Mapping[str, Any], read: Mapping[str, Any]) -> bool:
    """The spec changed between our read and our write. Its watch event is older than the answer to
    our write and will be dropped, so the run must be looked at again.
    """
    return bool(stored["metadata"].get("generation") != read["metadata"].get("generation"))


async def _tell(snapshot: Snapshot, after: Mapping[str, Any], world: World) -> None:
    """An Event where the run got into trouble.

    Best effort: what counts is the status, and that is written.
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
    """What must still hold for a status to be written: two operators overlap while one replaces the
    other, and the last request of one that died may arrive late. The first write and the freeze are
    for exactly the object that was read (409); later ones for a run that is where it was (422),
    whatever the API has stored of it meanwhile. The conditions are a list that both write.
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
    """Do it. A refusal that is about the run, rather than about our request, is returned."""
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
                # It may have ended meanwhile: the answer says so, and the watch nothing newer.
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


async def _see_after_deletion(pod: Mapping[str, Any], world: World) -> set[Key]:
    """Look for ourselves: a Pod without a node is gone at once, and a watch that is just starting
    does not tell of it.
    """
    try:
        return world.cache.put(
            PODS, await world.kube.get(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])
        )
    except NotFound:
        return world.cache.drop(PODS, pod)


async def _create(attempt: Attempt, *, key: Key, world: World, wake: set[Key]) -> ApiError | None:
    """What an attempt consists of.

    What is there already and this run's own was made by the operator before this one.
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
        # The Pod goes on waiting, and says for what.
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
    """Adopt the Pod of the attempt's name, or refuse it."""
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
    """The Service first: nobody is sent to Pods that are about to go.

    What has the name and is not this run's stays.
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

    Rights that we lack are the cluster's trouble, and raised again.
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
