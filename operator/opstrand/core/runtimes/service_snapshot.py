"""What a service's decision sees of its Deployment, Service and Pods, and what it asks for that.

Owns the identity of a service's objects: Pods count only once their Deployment is known to be the
run's. Must not decide what their state means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from opstrand.core import names
from opstrand.core.diagnosis.pod_status import is_being_made
from opstrand.core.lifecycle.asks import Ask, Get, Known, Labelled, Probe, Sighting
from opstrand.core.lifecycle.snapshot import Snapshot
from opstrand.core.phase import Phase
from opstrand.core.planning.culling import Activity, read_culling
from opstrand.core.runtimes.job_snapshot import POD, ask_events, miss_documents, read_events
from opstrand.core.runtimes.replicas import is_live
from opstrand.types import Deployment, Event, Pod

DEPLOYMENT = "Deployment"
SERVICE = "Service"


@dataclass(frozen=True)
class ServiceSnapshot(Snapshot):
    """A snapshot of a service, with its objects."""

    #: All its Pods; none before its Deployment is known to be the run's.
    replicas: Sequence[Pod] = ()
    #: Its Deployment as far as it is known, and whether it existed and is gone.
    deployment: Deployment | None = None
    deployment_is_gone: bool = False
    #: The Service object of running replicas no longer exists.
    service_is_gone: bool = False
    #: Warning Events of the first live replica that its node does not start.
    pod_events: Sequence[Event] = ()
    #: The ConfigMap with the init document is gone, and a Pod waits for it.
    documents_are_gone: bool = False
    #: The last use of a service that may be idle, read once it matters.
    activity: Activity | None = None


def name_of(snapshot: Snapshot) -> str:
    """Return the name of a frozen service's Deployment and Service."""
    return str(snapshot.status["service"]["name"])


def list_service_asks(snapshot: Snapshot) -> tuple[Ask, ...]:
    """Return what must be known of the objects of a frozen service."""
    known, labelled = Known(DEPLOYMENT, name_of(snapshot)), Labelled(POD)
    if known not in snapshot.answers or labelled not in snapshot.answers:
        return known, labelled
    sight: Sighting = snapshot.answers[known]
    live = [pod for pod in _list_replicas(snapshot, sight) if is_live(pod)]
    if live or _is_ending(snapshot):
        return known, labelled, *_ask_about(snapshot, live)
    if sight.was_seen or _is_fresh(snapshot, sight):
        return known, labelled
    return known, labelled, Get(DEPLOYMENT, known.name)


def see_service(snapshot: Snapshot) -> ServiceSnapshot:
    """Return the service's objects as the answers show them."""
    name = name_of(snapshot)
    sight: Sighting = snapshot.answers.get(Known(DEPLOYMENT, name), Sighting())
    replicas = _list_replicas(snapshot, sight)
    deployment, is_gone = _find_deployment(snapshot, sight, name)
    live = [pod for pod in replicas if is_live(pod)]
    events = read_events(snapshot, _find_hanging(snapshot, live))
    served: Sighting | None = snapshot.answers.get(Get(SERVICE, name))
    activity = snapshot.answers.get(Probe(_page(snapshot)))
    return ServiceSnapshot.over(
        snapshot,
        replicas=replicas,
        deployment=deployment,
        deployment_is_gone=is_gone,
        service_is_gone=served is not None and served.body is None,
        pod_events=events,
        documents_are_gone=miss_documents(events, name),
        activity=activity,
    )


def _ask_about(snapshot: Snapshot, live: Sequence[Pod]) -> tuple[Ask, ...]:
    """Ask about a service that has live Pods, or is about to have none."""
    hanging = _find_hanging(snapshot, live)
    events = () if hanging is None else ask_events(snapshot, hanging)
    probe = (Probe(_page(snapshot)),) if live and _may_be_idle(snapshot) else ()
    service = (Get(SERVICE, name_of(snapshot)),) if _has_served_for_a_while(snapshot) else ()
    return *events, *probe, *service


def _list_replicas(snapshot: Snapshot, sight: Sighting) -> tuple[Pod, ...]:
    """Return the run's Pods: none while another owner's Deployment may have made them.

    Either this process knows that the Deployment is the run's, or an earlier one did and then
    recorded the first Pods. A run that has ended or is stopping needs no Deployment.
    """
    is_known = _is_ending(snapshot) or snapshot.status["service"].get("pods") or bool(sight.own_uid)
    pods: tuple[Pod, ...] = snapshot.answers.get(Labelled(POD), ())
    name = name_of(snapshot)
    return tuple(pod for pod in pods if names.is_replica_of(pod, name)) if is_known else ()


def _is_ending(snapshot: Snapshot) -> bool:
    return snapshot.phase.is_final or snapshot.phase is Phase.STOPPING


def _is_fresh(snapshot: Snapshot, sight: Sighting) -> bool:
    """Return whether the Deployment was created a moment ago, so that it is not read again."""
    if sight.body is None or sight.uid != sight.own_uid:
        return False
    age = snapshot.since(sight.body["metadata"].get("creationTimestamp"))
    return age < snapshot.settings.pending_grace


def _find_deployment(
    snapshot: Snapshot, sight: Sighting, name: str
) -> tuple[Deployment | None, bool]:
    """Return the Deployment, and whether it is certainly gone.

    A Deployment that may be another owner's is reported as not created yet: the attempt to create
    it finds that it exists, and whether it is the same.
    """
    read: Sighting | None = snapshot.answers.get(Get(DEPLOYMENT, name))
    if read is None:
        return cast(Deployment | None, sight.body), sight.was_seen
    if read.body is None:
        was_made = sight.body is not None or bool((snapshot.status.get("pod") or {}).get("uid"))
        return None, was_made
    is_own = read.uid == sight.own_uid
    return (cast(Deployment, read.body) if is_own else None), False


def _find_hanging(snapshot: Snapshot, live: Sequence[Pod]) -> Pod | None:
    """Return the first live replica that its node does not start."""
    if snapshot.phase.is_final:
        return None
    return next((pod for pod in live if is_being_made(pod)), None)


def _has_served_for_a_while(snapshot: Snapshot) -> bool:
    """Return whether it is time to check that the Service still exists: Services are not watched.

    Not while the run itself is being deleted.
    """
    started = snapshot.status.get("startedAt")
    if snapshot.phase is not Phase.RUNNING or snapshot.is_being_deleted or not started:
        return False
    return snapshot.since(started) >= snapshot.settings.relist_interval


def _may_be_idle(snapshot: Snapshot) -> bool:
    """Return whether the service could have been idle for its culling timeout."""
    culling, started = (
        read_culling(snapshot.status.get("termination")),
        snapshot.status.get("startedAt"),
    )
    if culling is None or not started or snapshot.phase is not Phase.RUNNING:
        return False
    return snapshot.left(started, culling.timeout) <= 0


def _page(snapshot: Snapshot) -> str:
    """Return the address of the page that says when the service was last used."""
    culling = read_culling(snapshot.status.get("termination"))
    if culling is None:
        return ""
    host = snapshot.status["service"].get("host")
    return f"http://{host}:{culling.port}/{culling.path.lstrip('/')}"
