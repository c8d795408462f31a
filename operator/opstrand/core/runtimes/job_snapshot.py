"""What a job's decision sees of its Pods, and what it asks for that.

Owns the identity of a job's Pod: by its uid, which the status records, or which this process
created. Must not decide what a Pod's state means.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from opstrand.core import names
from opstrand.core.diagnosis.pod_status import is_being_made
from opstrand.core.lifecycle.asks import Ask, Get, Known, Sighting, Warnings
from opstrand.core.lifecycle.snapshot import Snapshot
from opstrand.core.pods.adoption import is_about_documents
from opstrand.types import Event, Pod

POD = "Pod"


@dataclass(frozen=True)
class JobSnapshot(Snapshot):
    """A snapshot of a job, with its Pods."""

    pod: Pod | None = None
    #: A Pod with the attempt's name that may not be this run's: it is compared before it counts.
    claimant: Pod | None = None
    #: The Pod is gone: it was observed, or its uid was written, and a GET found nothing.
    pod_is_lost: bool = False
    #: Warning Events of the Pod, read if it hangs.
    pod_events: Sequence[Event] = ()
    #: The ConfigMap with the init document is gone, and the Pod waits for it.
    documents_are_gone: bool = False
    #: Pods of earlier attempts that still exist once the run is over.
    earlier_pods: Sequence[Pod] = ()


def list_job_asks(snapshot: Snapshot) -> tuple[Ask, ...]:
    """Return what must be known of the Pods of a job that is frozen or over."""
    asks = tuple(Known(POD, name) for name in _list_names(snapshot))
    if snapshot.phase.is_final or not asks or asks[0] not in snapshot.answers:
        return asks
    sight: Sighting = snapshot.answers[asks[0]]
    uid = _own_uid(snapshot, sight)
    if sight.body is not None and (not uid or sight.uid == uid):
        return (*asks, *ask_events(snapshot, cast(Pod, sight.body))) if uid else asks
    return (*asks, Get(POD, asks[0].name)) if uid or sight.was_seen else asks


def see_job(snapshot: Snapshot) -> JobSnapshot:
    """Return the job's Pods as the answers show them."""
    current, *earlier = [_sight(snapshot, Known(POD, name)) for name in _list_names(snapshot)] or [
        Sighting()
    ]
    if snapshot.phase.is_final:
        pods = tuple(cast(Pod, one.body) for one in earlier if one.body is not None)
        return JobSnapshot.over(snapshot, pod=current.body, earlier_pods=pods)
    uid = _own_uid(snapshot, current)
    read = snapshot.answers.get(Get(POD, str((snapshot.status.get("pod") or {}).get("name"))))
    found = current if read is None else read
    if found.body is None or (uid and found.uid != uid):
        return JobSnapshot.over(snapshot, pod_is_lost=read is not None)
    if not uid:
        return JobSnapshot.over(snapshot, claimant=found.body)
    events = read_events(snapshot, cast(Pod, found.body))
    name = found.body["metadata"]["name"]
    return JobSnapshot.over(
        snapshot,
        pod=found.body,
        pod_events=events,
        documents_are_gone=miss_documents(events, name),
    )


def ask_events(snapshot: Snapshot, pod: Pod) -> tuple[Ask, ...]:
    """Ask for the warning Events of a Pod that its node does not start, after a grace period."""
    age = snapshot.since(pod["metadata"].get("creationTimestamp"))
    hangs = age >= snapshot.settings.mount_grace and is_being_made(pod)
    return (Warnings(str(pod["metadata"]["uid"])),) if hangs else ()


def read_events(snapshot: Snapshot, pod: Pod | None) -> Sequence[Event]:
    """Return the warning Events of this Pod, if they were asked for."""
    uid = "" if pod is None else str(pod["metadata"].get("uid"))
    return cast(Sequence[Event], snapshot.answers.get(Warnings(uid), ()))


def miss_documents(events: Sequence[Event], name: str) -> bool:
    """Return whether the init document of the Pods of this name is gone: only events say so."""
    return any(is_about_documents(str(event.get("message")), name) for event in events)


def _sight(snapshot: Snapshot, ask: Known) -> Sighting:
    found: Sighting = snapshot.answers.get(ask, Sighting())
    return found


def _own_uid(snapshot: Snapshot, sight: Sighting) -> str:
    return str((snapshot.status.get("pod") or {}).get("uid") or sight.own_uid)


def _list_names(snapshot: Snapshot) -> Iterator[str]:
    """Yield the name of the last attempt's Pod; of a run that is over, also the earlier ones."""
    name = (snapshot.status.get("pod") or {}).get("name")
    if name:
        yield name
    if not snapshot.phase.is_final:
        return
    metadata = snapshot.body["metadata"]
    uuid = names.run_uuid(metadata["uid"])
    for number in range(int(snapshot.status.get("attempt") or 0)):
        yield names.pod_name(metadata["name"], uuid, number)
