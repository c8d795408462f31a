"""From a key to a snapshot: what `decide` needs to see, from the cache, with a request only where
the cache cannot know.

Reading a run's file is not part of it, since that may be expensive. `gather` says whether the file
is needed; `find_upstream` and `find_component` look up what the file refers to. Must not decide and
must not write.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

from opstrand.controller.cache import Cache, Subject
from opstrand.controller.crash_record import CrashRecord
from opstrand.controller.probe import ask_activity
from opstrand.controller.stopwatch import Stopwatch
from opstrand.core import names
from opstrand.core.diagnosis.pod_status import is_being_made
from opstrand.core.lifecycle.snapshot import Snapshot
from opstrand.core.phase import Phase
from opstrand.core.planning.connections import EMPTY, Catalog
from opstrand.core.planning.culling import Activity, read_culling
from opstrand.core.pods.adoption import is_about_documents
from opstrand.core.pods.attempt import Attempt
from opstrand.core.resolving.cycles import check_circle
from opstrand.core.resolving.refs import Ref
from opstrand.core.runtimes.replicas import is_live
from opstrand.core.templates.template import refuse
from opstrand.errors import SpecError
from opstrand.kube.errors import ApiError, NotFound
from opstrand.kube.protocol import Kube
from opstrand.kube.resources import DEPLOYMENTS, EVENTS, OPERATIONS, PODS, SERVICES
from opstrand.logs import about
from opstrand.settings import Settings
from opstrand.types import Deployment, Event, Key, Pod
from opstrand.workers.ledger import Ledger
from opstrand.workers.pool import Pool

logger = logging.getLogger(__name__)

#: For a run that has its Pod: its file is no longer read.
_NOT_PREPARED = SpecError("InternalError", "not prepared")


@dataclass
class World:
    """What every reconcile shares: the cluster client, the cache and the settings."""

    kube: Kube
    cache: Cache
    settings: Settings
    #: Runs expensive work in worker processes.
    pool: Pool
    #: Called with every attempt before it is created: a local run keeps its plan.
    on_attempt: Callable[[Key, Attempt], None] | None = None
    #: Asks a page of a service when the service was last used.
    ask_activity: Callable[[str], Awaitable[Activity]] = ask_activity
    #: Returns the current catalog of connections.
    read_catalog: Callable[[], Catalog | None] = lambda: EMPTY
    #: What the decisions about each run have cost so far.
    ledger: Ledger = field(default_factory=Ledger)
    #: Which runs were being reconciled when the process died.
    crashes: CrashRecord = field(default_factory=CrashRecord)
    #: Measures time by a clock that cannot be set; None: the wall clock is trusted.
    stopwatch: Stopwatch | None = None


@dataclass(frozen=True)
class Gathered:
    """What was gathered about a run.

    `is_file_needed`: the snapshot's `prepared` must still be replaced by what the run's file says.
    """

    snapshot: Snapshot
    is_file_needed: bool = False


async def gather(key: Key, *, world: World, now: datetime) -> Gathered | None:
    """The snapshot of this run; None if there is no such Operation."""
    body = world.cache.operation(key)
    if body is None:
        if world.stopwatch is not None:
            world.stopwatch.forget(key)
        return None
    snapshot = Snapshot(body, _NOT_PREPARED, now, world.settings, refuse)
    if world.stopwatch is not None:
        snapshot = replace(snapshot, measure=world.stopwatch.look(key, snapshot.times, now))
    if snapshot.is_service:
        return await _gather_service(key, snapshot, world)
    if snapshot.phase.is_final:
        last = world.cache.pod(key[0], (snapshot.status.get("pod") or {}).get("name", ""))
        return Gathered(replace(snapshot, pod=last, earlier_pods=_earlier(key, snapshot, world)))
    found = (await _find_pod(key, snapshot, world)) if snapshot.is_frozen else _Found()
    if found.pod is not None and found.is_own:
        # The Pod and the frozen status say what the Pod means: the file is not read again.
        snapshot = replace(
            snapshot, pod=found.pod, pod_events=await _ask_events(found.pod, snapshot, world)
        )
        return _see_documents(snapshot, found.pod["metadata"]["name"], world)
    seen = replace(
        snapshot, claimant=found.pod, pod_is_lost=found.is_lost, catalog=world.read_catalog()
    )
    return Gathered(seen, is_file_needed=True)


def _see_documents(snapshot: Snapshot, name: str, world: World) -> Gathered:
    """Detect that the ConfigMap with the init document is gone: only the node's events say so."""
    if not any(
        is_about_documents(str(event.get("message")), name) for event in snapshot.pod_events
    ):
        return Gathered(snapshot)
    return Gathered(
        replace(snapshot, documents_are_gone=True, catalog=world.read_catalog()),
        is_file_needed=True,
    )


async def _gather_service(key: Key, snapshot: Snapshot, world: World) -> Gathered:
    """A frozen service: its Pods, and its Deployment only if there are no live Pods.

    The run's file is needed to render again what is missing.
    """
    name = snapshot.status["service"]["name"]
    found = world.cache.replicas(key[0], names.run_uuid(snapshot.body["metadata"]["uid"]))
    pods = [pod for pod in found if names.is_replica_of(pod, name)]
    if not _is_deployment_known(key, snapshot, world):
        # These Pods may belong to another owner's Deployment of this name: check the Deployment
        # first.
        pods = []
    live = [pod for pod in pods if is_live(pod)]
    deployment: Deployment | None = world.cache.deployment(key[0], name)
    is_gone = world.cache.was_seen(key[0], name)
    if live or snapshot.phase.is_final or snapshot.phase is Phase.STOPPING:
        seen = replace(
            snapshot,
            replicas=pods,
            deployment=deployment,
            deployment_is_gone=is_gone,
            pod_events=await _ask_replica_events(live, snapshot, world),
            activity=await _ask_activity(key, snapshot, world) if live else None,
        )
        return await _see_service(key, seen, name, world)
    if not is_gone:
        deployment, is_gone = await _find_deployment(key, snapshot, world)
    seen = replace(
        snapshot,
        replicas=pods,
        deployment=deployment,
        deployment_is_gone=is_gone,
        catalog=world.read_catalog(),
    )
    return Gathered(seen, is_file_needed=True)


async def _see_service(key: Key, snapshot: Snapshot, name: str, world: World) -> Gathered:
    """A service that needs its file only if its Service or its documents are gone."""
    if not await _is_service_gone(key, snapshot, world):
        return _see_documents(snapshot, name, world)
    logger.info("a Service was deleted and is made again", extra=about(*key))
    return Gathered(
        replace(snapshot, service_is_gone=True, catalog=world.read_catalog()),
        is_file_needed=True,
    )


def _is_deployment_known(key: Key, snapshot: Snapshot, world: World) -> bool:
    """Whether the Deployment is known to belong to the run.

    Either this process established it, or an earlier one did and then recorded the first Pods. A
    run that has ended or is stopping needs no Deployment.
    """
    if snapshot.phase.is_final or snapshot.phase is Phase.STOPPING:
        return True
    service = snapshot.status["service"]
    name = str(service["name"])
    return bool(service.get("pods")) or world.cache.own_uid(DEPLOYMENTS, (key[0], name)) is not None


async def _find_deployment(
    key: Key, snapshot: Snapshot, world: World
) -> tuple[Deployment | None, bool]:
    """A service's Deployment, and whether it is certainly gone.

    Reads it from the API server unless it was created a moment ago.
    """
    name = snapshot.status["service"]["name"]
    known = world.cache.deployment(key[0], name)
    if (
        known is not None
        and snapshot.since(known["metadata"].get("creationTimestamp"))
        < snapshot.settings.pending_grace
    ):
        return known, False
    try:
        found = await world.kube.get(DEPLOYMENTS, key[0], name)
    except NotFound:
        if known is None and not (snapshot.status.get("pod") or {}).get("uid"):
            return None, False
        world.cache.mark_gone((key[0], name))
        return None, True
    if world.cache.own_uid(DEPLOYMENTS, (key[0], name)) != found["metadata"]["uid"]:
        # Report it as not created yet: the attempt to create it finds that it exists, and whether
        # it is the same.
        return None, False
    world.cache.put(DEPLOYMENTS, found)
    return cast(Deployment, found), False


async def _is_service_gone(key: Key, snapshot: Snapshot, world: World) -> bool:
    """Whether the Service was deleted.

    Checked only after the run has served for a while, and not while the run itself is being
    deleted.
    """
    started = snapshot.status.get("startedAt")
    if snapshot.phase is not Phase.RUNNING or snapshot.is_being_deleted or not started:
        return False
    if snapshot.since(started) < snapshot.settings.relist_interval:
        return False
    try:
        await world.kube.get(SERVICES, key[0], snapshot.status["service"]["name"])
    except NotFound:
        return True
    return False


async def _ask_activity(key: Key, snapshot: Snapshot, world: World) -> Activity | None:
    """When a service was last used; asked only once it could have been idle for its culling
    timeout.
    """
    culling, started = (
        read_culling(snapshot.status.get("termination")),
        snapshot.status.get("startedAt"),
    )
    if (
        culling is None
        or not started
        or snapshot.phase is not Phase.RUNNING
        or snapshot.left(started, culling.timeout) > 0
    ):
        return None
    url = f"http://{snapshot.status['service']['host']}:{culling.port}/{culling.path.lstrip('/')}"
    activity = await world.ask_activity(url)
    if activity.trouble:
        logger.warning(
            "whether a service is idle is not known: %s", activity.trouble, extra=about(*key)
        )
    return activity


def _earlier(key: Key, snapshot: Snapshot, world: World) -> tuple[Pod, ...]:
    """The Pods of the attempts before the last one that still exist."""
    metadata = snapshot.body["metadata"]
    uuid = names.run_uuid(metadata["uid"])
    wanted = (
        names.pod_name(metadata["name"], uuid, number)
        for number in range(int(snapshot.status.get("attempt") or 0))
    )
    return tuple(pod for name in wanted if (pod := world.cache.pod(key[0], name)) is not None)


async def _ask_replica_events(
    live: Sequence[Pod], snapshot: Snapshot, world: World
) -> Sequence[Event]:
    """The warning events of the first live replica that its node does not start."""
    hanging = next((pod for pod in live if is_being_made(pod)), None)
    if hanging is None or snapshot.phase.is_final:
        return ()
    return await _ask_events(hanging, snapshot, world)


async def _ask_events(pod: Pod, snapshot: Snapshot, world: World) -> Sequence[Event]:
    """The warning events of a Pod that its node does not start, after a grace period.

    Best effort: without them the run waits as before.
    """
    if snapshot.since(
        pod["metadata"].get("creationTimestamp")
    ) < snapshot.settings.mount_grace or not is_being_made(pod):
        return ()
    metadata = pod["metadata"]
    try:
        found, _ = await world.kube.list(
            EVENTS,
            metadata["namespace"],
            fields=f"involvedObject.uid={metadata['uid']},type=Warning",
        )
    except ApiError as error:
        logger.warning(
            "the events of a Pod that hangs could not be read: %s",
            error,
            extra=about(metadata["namespace"], snapshot.body["metadata"]["name"]),
        )
        return ()
    return cast(list[Event], found)


@dataclass(frozen=True)
class _Found:
    """A Pod of the attempt's name.

    `is_own`: it is known to be the run's. `is_lost`: the run's own Pod is certainly gone.
    """

    pod: Pod | None = None
    is_own: bool = False
    is_lost: bool = False


async def _find_pod(key: Key, snapshot: Snapshot, world: World) -> _Found:
    """The attempt's Pod, identified by its uid.

    The uid is the recorded one, or that of the Pod that this process created. A Pod counts as gone
    only after one GET.
    """
    recorded = snapshot.status["pod"]
    name = recorded["name"]
    uid = recorded.get("uid") or world.cache.own_uid(PODS, (key[0], name))
    pod = world.cache.pod(key[0], name)
    if pod is not None and (not uid or pod["metadata"]["uid"] == uid):
        return _Found(pod, is_own=bool(uid))
    if not uid and not world.cache.was_seen(key[0], name):
        return _Found()
    try:
        found = await world.kube.get(PODS, key[0], name)
    except NotFound:
        return _Found(is_lost=True)
    world.cache.put(PODS, found)
    is_own = not uid or found["metadata"]["uid"] == uid
    return _Found(cast(Pod, found), is_own=bool(uid)) if is_own else _Found(is_lost=True)


def find_component(key: Key, name: str, world: World) -> Mapping[str, Any] | None:
    """The Component of this name. If there is none, its creation wakes the run."""
    found = world.cache.component(key[0], name)
    if found is None:
        world.cache.wait(key, frozenset({Subject("component", key[0], name)}))
    return found


def find_upstream(
    key: Key, refs: Iterable[Ref], world: World
) -> dict[Ref, Mapping[str, Any] | None]:
    """The bodies of every run that the params refer to.

    Registers the wait before it reads, with no await between, so that no end of a run is missed.
    """
    subjects = {ref: _subject(ref, key[0]) for ref in refs}
    world.cache.wait(key, frozenset(subjects.values()))
    return {ref: _find_body(subject, world) for ref, subject in subjects.items()}


def check_waiting(body: Mapping[str, Any], world: World) -> None:
    """Raise SpecError if this run waits for itself by way of other runs."""
    check_circle(body, lambda ref: _find_body(_subject(ref, body["metadata"]["namespace"]), world))


def _subject(ref: Ref, namespace: str) -> Subject:
    # Outside a pipeline, `ops.NAME` is the Operation of that name: the author of a manifest in git
    # cannot know a uid beforehand.
    return Subject("run" if ref.kind == "runs" else "operation", namespace, ref.target)


def _find_body(subject: Subject, world: World) -> Mapping[str, Any] | None:
    if subject.kind == "run":
        return world.cache.find_by_uuid(subject.namespace, subject.name)
    return world.cache.find_named(subject.namespace, subject.name)


async def refresh(key: Key, *, world: World) -> set[Key]:
    """Read the Operation itself, after a write failed because the cache was too old.

    Returns the runs to reconcile, since the watch may have nothing new to report.
    """
    try:
        return world.cache.put(OPERATIONS, await world.kube.get(OPERATIONS, *key))
    except NotFound:
        known = world.cache.operation(key)
        return set() if known is None else world.cache.drop(OPERATIONS, known)
