"""The state machine of a run: from what is seen to what to do.

`decide` is pure, total and idempotent: the same snapshot gives the same decision, and a snapshot that already shows a decision's effects
gives none. Whatever was lost on the way (an event, an operator) is made up by looking again. Must not do anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from opstrand.core import conditions, names
from opstrand.core.attempt import Attempt, parse_count, render_attempt
from opstrand.core.connections import EMPTY, Catalog
from opstrand.core.diagnose import Fault, Observation, State, observe_pod
from opstrand.core.joins import find_joined
from opstrand.core.phase import Phase, parse_phase
from opstrand.core.prepare import Prepared
from opstrand.core.refs import Ref, Upstream
from opstrand.core.resolve import Resolved, Waiting, resolve, thaw
from opstrand.core.retry import Spent, backoff, next_spent
from opstrand.core.status import Status, advance
from opstrand.core.template import Evaluate
from opstrand.core.upstream import edge_to_dict
from opstrand.errors import SpecError
from opstrand.settings import Settings


@dataclass(frozen=True)
class Snapshot:
    """All that a decision may look at. Times are aware datetimes; `body` is the Operation as stored."""

    body: Mapping[str, Any]
    prepared: Prepared | SpecError
    now: datetime
    settings: Settings
    evaluate: Evaluate
    upstream: Mapping[Ref, Upstream | None] = field(default_factory=dict)
    #: Every run of the project, where the operation has joins: their queries choose among them.
    project: Sequence[Upstream] = ()
    pod: Mapping[str, Any] | None = None
    #: The Pod existed and is gone: it was seen, or its uid was written, and a GET found nothing.
    pod_is_lost: bool = False
    #: What the operator's owner lets runs use by name.
    catalog: Catalog = EMPTY

    @cached_property
    def status(self) -> Mapping[str, Any]:
        return self.body.get("status") or {}

    @property
    def phase(self) -> Phase:
        return parse_phase(self.status)

    @property
    def is_frozen(self) -> bool:
        return bool((self.status.get("pod") or {}).get("name"))

    @property
    def control(self) -> Mapping[str, Any]:
        return (self.body.get("spec") or {}).get("control") or {}

    @property
    def stamp(self) -> str:
        return stamp(self.now)


@dataclass(frozen=True)
class CreatePod:
    """Make the attempt's objects. The name is the attempt's own, so doing it twice makes one."""

    attempt: Attempt


@dataclass(frozen=True)
class StopPod:
    """Let a started Pod end now, with its grace, its logs kept."""

    pod: Mapping[str, Any]


@dataclass(frozen=True)
class DeletePod:
    """Take away a Pod that never started."""

    pod: Mapping[str, Any]


Action = CreatePod | StopPod | DeletePod


@dataclass(frozen=True)
class Decision:
    """What to do: write `status` if it differs from what is stored (None: nothing to write), then the actions, in order.

    `freeze`: the write must fail if the object changed since it was read. `requeue_after`: look again after so many seconds.
    """

    status: Status | None = None
    actions: tuple[Action, ...] = ()
    freeze: bool = False
    requeue_after: float | None = None


NOTHING = Decision()


def stamp(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds: the published client sorts by it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_stamp(text: str) -> datetime:
    return datetime.fromisoformat(text)


def decide(snapshot: Snapshot) -> Decision:
    """What to do about this run now."""
    if snapshot.phase.is_final:
        return _clear(snapshot)
    return _attend(snapshot) if snapshot.is_frozen else _start(snapshot)


def refuse(snapshot: Snapshot, phase: Phase, reason: str, message: str, *, requeue_after: float | None = None) -> Decision:
    """What follows when the API server refused the Pod: the run's end, or a wait that says for what.

    Quota comes back by itself and is waited for; what a person must mend is waited for with the configured patience.
    """
    if phase is Phase.STARTING and reason != "QuotaExceeded" and _has_lasted(snapshot, reason):
        phase, requeue_after = Phase.FAILED, None
    return Decision(_advanced(snapshot, phase, reason, message, **_ending(snapshot, phase)), requeue_after=requeue_after)


def _has_lasted(snapshot: Snapshot, reason: str) -> bool:
    history = snapshot.status.get("history") or ()
    if not history or history[-1].get("reason") != reason:
        return False
    return snapshot.now - parse_stamp(history[-1]["at"]) >= timedelta(seconds=snapshot.settings.start_patience)


# --- before the freeze ----------------------------------------------------------------------------------------------------------


def _start(snapshot: Snapshot) -> Decision:
    if snapshot.control.get("stop"):
        return _end(snapshot, Phase.STOPPED, "Stopped", "stopped before it started")
    if snapshot.control.get("skip"):
        return _end(snapshot, Phase.SKIPPED, "Skipped", "skipped on request")
    if _is_restored(snapshot):
        return _end(snapshot, Phase.STOPPED, "Restored", "restored from a backup without its status: it is not run again")
    try:
        return _resolve(snapshot)
    except SpecError as error:
        return _end(snapshot, _PHASE_OF_ERROR.get(error.reason, Phase.FAILED), error.reason, error.message)


#: Errors that are an upstream's end rather than this run's own failure.
_PHASE_OF_ERROR = {"UpstreamFailed": Phase.UPSTREAM_FAILED, "UpstreamSkipped": Phase.SKIPPED}


def _is_restored(snapshot: Snapshot) -> bool:
    labels = snapshot.body["metadata"].get("labels") or {}
    return "velero.io/restore-name" in labels and not snapshot.status


def _resolve(snapshot: Snapshot) -> Decision:
    prepared = snapshot.prepared
    if isinstance(prepared, SpecError):
        raise prepared
    if prepared.compiled is None:
        return _wait(snapshot, "ComponentNotFound", f"waiting for Component {prepared.missing_component!r} in this namespace")
    if prepared.compiled.is_approved is False:
        return _wait(snapshot, "AwaitingApproval", "waiting for approval", patient=True)
    joined = find_joined(prepared.compiled, prepared.identity, snapshot.project, evaluate=snapshot.evaluate)
    found = resolve(prepared.compiled, prepared.identity, snapshot.upstream, joined=joined, evaluate=snapshot.evaluate)
    if isinstance(found, Waiting):
        return _wait(snapshot, found.reason, found.message, patient=found.reason == "UpstreamPending")
    return _freeze(snapshot, prepared, found)


def _wait(snapshot: Snapshot, reason: str, message: str, *, patient: bool = False) -> Decision:
    """Wait: written once, however long it takes. What may never come is waited for with the configured patience only."""
    status = _advanced(snapshot, Phase.WAITING, reason, message)
    if patient:
        return Decision(status)
    waited = snapshot.now - parse_stamp(_since(status, conditions.REFS_RESOLVED))
    left = timedelta(seconds=snapshot.settings.upstream_patience) - waited
    if left <= timedelta():
        return _end(snapshot, Phase.FAILED, reason, f"{message}: gave up after {snapshot.settings.upstream_patience} s")
    return Decision(status, requeue_after=left.total_seconds())


def _since(status: Mapping[str, Any], kind: str) -> str:
    condition = conditions.get_condition(status.get("conditions"), kind)
    return str(condition["lastTransitionTime"]) if condition else "1970-01-01T00:00:00Z"


def _freeze(snapshot: Snapshot, prepared: Prepared, resolved: Resolved) -> Decision:
    """Everything that the run will ever need is written before its Pod exists; nothing that happens to others later changes it."""
    number = int(snapshot.status.get("attempt") or 0)
    attempt = render_attempt(
        prepared,
        resolved,
        body=snapshot.body,
        number=number,
        settings=snapshot.settings,
        evaluate=snapshot.evaluate,
        catalog=snapshot.catalog,
    )
    if attempt.plan.condition is False:
        return _end(snapshot, Phase.SKIPPED, "ConditionFalse", "its conditions say that it should not run")
    facts = {
        "inputs": dict(resolved.inputs),
        "outputs": dict(resolved.outputs),
        "artifacts": attempt.lineage,
        "tags": list(prepared.tags),
        "meta": {},
        "pod": {"name": attempt.pod_name},
        "attempt": number,
        "upstream": [edge_to_dict(edge) for edge in resolved.edges],
    }
    if attempt.plan.termination:
        facts["termination"] = dict(attempt.plan.termination)
    if prepared.description:
        facts["description"] = prepared.description
    if prepared.frozen_component is not None:
        facts["component"] = dict(prepared.frozen_component)
    status = _advanced(snapshot, Phase.STARTING, "PodCreated", "", **facts)
    prepared.check_total(snapshot.body, status)
    return Decision(status, (CreatePod(attempt),), freeze=True)


# --- after the freeze -----------------------------------------------------------------------------------------------------------


def _attend(snapshot: Snapshot) -> Decision:
    if snapshot.pod is None:
        return _attend_absent(snapshot)
    seen = observe_pod(snapshot.pod)
    match seen.state:
        case State.SUCCEEDED:
            return _finish(snapshot, Phase.SUCCEEDED, "Succeeded", "", seen)
        case State.FAILED:
            return _fail(snapshot, seen)
        case State.RUNNING | State.PENDING if snapshot.control.get("stop"):
            return _stop(snapshot, seen)
        case State.RUNNING:
            return _run(snapshot, seen)
        case State.PENDING:
            return _pend(snapshot, seen)


def _attend_absent(snapshot: Snapshot) -> Decision:
    if snapshot.control.get("stop"):
        return _end(snapshot, Phase.STOPPED, "Stopped", "stopped on request")
    if snapshot.pod_is_lost:
        return _fail(snapshot, Observation(State.FAILED, "PodLost", "its Pod vanished before its result was seen", Fault.PLATFORM))
    wait = _backoff_left(snapshot)
    if wait > 0:
        return Decision(requeue_after=wait)
    try:
        return _recreate(snapshot)
    except SpecError as error:
        return _end(snapshot, Phase.FAILED, error.reason, error.message)


def _recreate(snapshot: Snapshot) -> Decision:
    """The Pod of a frozen run is not there yet: the operator died between the freeze and the POST, or another attempt is due."""
    prepared = snapshot.prepared
    if isinstance(prepared, SpecError):
        raise prepared
    if prepared.compiled is None:
        raise SpecError("ComponentNotFound", f"Component {prepared.missing_component!r} is gone")
    resolved = thaw(prepared.compiled, snapshot.status.get("inputs") or {}, snapshot.status.get("outputs") or {})
    attempt = render_attempt(
        prepared,
        resolved,
        body=snapshot.body,
        number=int(snapshot.status.get("attempt") or 0),
        settings=snapshot.settings,
        evaluate=snapshot.evaluate,
        elapsed=_elapsed(snapshot),
        catalog=snapshot.catalog,
    )
    status = None if snapshot.phase is not Phase.RETRYING else _advanced(snapshot, Phase.STARTING, "PodCreated", "")
    # Once it is there, whatever kept it away (quota, a service account) is over: look again to say so.
    was_kept_away = snapshot.phase is Phase.STARTING and snapshot.status.get("reason") != "PodCreated"
    return Decision(status, (CreatePod(attempt),), requeue_after=0.0 if was_kept_away else None)


def _elapsed(snapshot: Snapshot) -> int:
    """Seconds that earlier attempts took: `timeout` is for the run, a later attempt gets what they left."""
    started = snapshot.status.get("startedAt")
    return int((snapshot.now - parse_stamp(started)).total_seconds()) if started else 0


def _backoff_left(snapshot: Snapshot) -> float:
    if snapshot.phase is not Phase.RETRYING:
        return 0.0
    history = snapshot.status.get("history") or [{"at": snapshot.stamp}]
    fault = Fault.PLATFORM if snapshot.status.get("reason") in _PLATFORM_REASONS else Fault.USER
    due = parse_stamp(history[-1]["at"]) + timedelta(
        seconds=backoff(Spent.parse(snapshot.status), fault, first=snapshot.settings.retry_backoff)
    )
    return (due - snapshot.now).total_seconds()


_PLATFORM_REASONS = ("Evicted", "Preempted", "NodeLost", "PodLost")


def _pod_facts(snapshot: Snapshot) -> dict[str, Any]:
    pod = snapshot.pod or {}
    known = dict(snapshot.status.get("pod") or {})
    uid, node = pod.get("metadata", {}).get("uid"), (pod.get("spec") or {}).get("nodeName")
    return {**known, **({"uid": uid} if uid else {}), **({"node": node} if node else {})}


def _run(snapshot: Snapshot, seen: Observation) -> Decision:
    started = snapshot.status.get("startedAt") or seen.started_at or snapshot.stamp
    return Decision(_advanced(snapshot, Phase.RUNNING, "PodRunning", "", pod=_pod_facts(snapshot), startedAt=started))


def _pend(snapshot: Snapshot, seen: Observation) -> Decision:
    """A Pod that has not started: trouble is told at once, slowness only after a grace, and neither is waited for without end."""
    if not seen.reason:
        return Decision(_kept(snapshot))
    pod = snapshot.pod or {}
    age = (snapshot.now - parse_stamp(pod["metadata"]["creationTimestamp"])).total_seconds()
    if seen.hopeless or (seen.fault is Fault.USER and age >= snapshot.settings.start_patience):
        decision = _end(snapshot, Phase.FAILED, seen.reason, seen.message)
        return Decision(decision.status, (DeletePod(pod),))
    if seen.fault is Fault.NONE and age < snapshot.settings.pending_grace:
        return Decision(_kept(snapshot), requeue_after=snapshot.settings.pending_grace - age)
    status = _advanced(snapshot, Phase.STARTING, seen.reason, seen.message)
    patience = snapshot.settings.start_patience - age if seen.fault is Fault.USER else None
    return Decision(status, requeue_after=patience)


def _kept(snapshot: Snapshot) -> Status | None:
    """Back from trouble: a Pod that hung on something and hangs no more says so."""
    if snapshot.phase is Phase.STARTING and snapshot.status.get("reason") == "PodCreated":
        return None
    return _advanced(snapshot, Phase.STARTING, "PodCreated", "")


def _stop(snapshot: Snapshot, seen: Observation) -> Decision:
    pod = snapshot.pod or {}
    status = _advanced(snapshot, Phase.STOPPING, "Stopping", "stop requested: its container is given its grace")
    if (pod.get("metadata") or {}).get("deletionTimestamp"):
        return Decision(status)
    if seen.state is State.PENDING:
        return Decision(status, (DeletePod(pod),))
    if (pod.get("spec") or {}).get("activeDeadlineSeconds") == 1:
        return Decision(status)
    return Decision(status, (StopPod(pod),))


def _fail(snapshot: Snapshot, seen: Observation) -> Decision:
    if snapshot.control.get("stop"):
        return _finish(snapshot, Phase.STOPPED, "Stopped", "stopped on request", seen)
    spent = _next_spent(snapshot, seen)
    if spent is None:
        return _finish(snapshot, Phase.FAILED, seen.reason, seen.message, seen)
    number = int(snapshot.status.get("attempt") or 0) + 1
    metadata = snapshot.body["metadata"]
    pod = {"name": names.pod_name(metadata["name"], names.run_uuid(metadata["uid"]), number)}
    facts = {"attempt": number, "retries": spent.as_dict(), "pod": pod}
    if seen.started_at and not snapshot.status.get("startedAt"):
        facts["startedAt"] = seen.started_at
    status = _advanced(snapshot, Phase.RETRYING, seen.reason, seen.message, **facts)
    return Decision(status, requeue_after=backoff(spent, seen.fault, first=snapshot.settings.retry_backoff))


def _next_spent(snapshot: Snapshot, seen: Observation) -> Spent | None:
    if seen.reason == "DeadlineExceeded":
        return None
    max_retries = parse_count((snapshot.status.get("termination") or {}).get("maxRetries")) or 0
    disruptions = snapshot.settings.platform_retries
    return next_spent(Spent.parse(snapshot.status), seen.fault, max_retries=max_retries, max_disruptions=disruptions)


# --- the end --------------------------------------------------------------------------------------------------------------------


def _clear(snapshot: Snapshot) -> Decision:
    """A run that is over has no Pod that starts or runs: one that was to be deleted when the operator died, or that came too late."""
    pod = snapshot.pod
    if pod is None or "deletionTimestamp" in pod["metadata"] or not names.is_owned_by(pod, snapshot.body["metadata"]["uid"]):
        return NOTHING
    match observe_pod(pod).state:
        case State.PENDING:
            return Decision(actions=(DeletePod(pod),))
        case State.RUNNING if (pod.get("spec") or {}).get("activeDeadlineSeconds") != 1:
            return Decision(actions=(StopPod(pod),))
        case _:
            return NOTHING


def _finish(snapshot: Snapshot, phase: Phase, reason: str, message: str, seen: Observation) -> Decision:
    started = snapshot.status.get("startedAt") or seen.started_at
    finished = seen.finished_at or snapshot.stamp
    facts = {"pod": _pod_facts(snapshot), **_times(started, finished)}
    return Decision(_advanced(snapshot, phase, reason, message, **facts))


def _end(snapshot: Snapshot, phase: Phase, reason: str, message: str) -> Decision:
    return Decision(_advanced(snapshot, phase, reason, message, **_ending(snapshot, phase)))


def _ending(snapshot: Snapshot, phase: Phase) -> dict[str, Any]:
    return _times(snapshot.status.get("startedAt"), snapshot.stamp) if phase.is_final else {}


def _times(started: str | None, finished: str) -> dict[str, Any]:
    if not started:
        return {"finishedAt": finished}
    seconds = max(0, round((parse_stamp(finished) - parse_stamp(started)).total_seconds()))
    return {"startedAt": started, "finishedAt": finished, "duration": seconds}


def _advanced(snapshot: Snapshot, phase: Phase, reason: str, message: str, **facts: Any) -> Status:
    metadata = snapshot.body["metadata"]
    identity = {} if snapshot.status.get("uuid") else {"uuid": names.run_uuid(metadata["uid"]), "kind": _kind(snapshot)}
    return advance(
        snapshot.status,
        phase,
        reason=reason,
        message=message,
        now=snapshot.stamp,
        generation=int(metadata.get("generation") or 1),
        created_at=metadata.get("creationTimestamp"),
        **identity,
        **facts,
    )


def _kind(snapshot: Snapshot) -> str:
    prepared = snapshot.prepared
    return "job" if isinstance(prepared, SpecError) or prepared.compiled is None else prepared.compiled.kind
