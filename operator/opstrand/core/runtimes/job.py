"""Advance a frozen run of kind job: its Pod's state becomes the run's phase.

A failure becomes another attempt or the end. Must not resolve anything: a later attempt is rendered
from what was frozen.
"""

from __future__ import annotations

from opstrand.core.compiling.prepare import Prepared
from opstrand.core.diagnosis.diagnose import observe_pod
from opstrand.core.diagnosis.observation import Fault, Observation, State
from opstrand.core.diagnosis.pending import names_missing
from opstrand.core.diagnosis.pod_status import is_being_deleted, is_being_made
from opstrand.core.lifecycle.actions import Claim, Refusal
from opstrand.core.lifecycle.admission import Verdict, interpret_refusal, refuse
from opstrand.core.lifecycle.asks import Ask
from opstrand.core.lifecycle.node_wait import find_node_wait
from opstrand.core.lifecycle.retry import Spent, backoff, classify_failure, read_failure, spend
from opstrand.core.lifecycle.snapshot import Decision, Snapshot
from opstrand.core.lifecycle.status import Status
from opstrand.core.lifecycle.transitions import advanced, end, patience_left
from opstrand.core.limits import ATTEMPTS
from opstrand.core.phase import Phase
from opstrand.core.pods.attempt import parse_count
from opstrand.core.resolving.resolve import Resolved
from opstrand.core.runtimes.attempts import (
    PLATFORM_REASONS,
    backoff_left,
    create_objects,
    recreate,
    render_again,
    render_first,
    restore_documents,
)
from opstrand.core.runtimes.base import Frozen
from opstrand.core.runtimes.job_end import (
    clear_job,
    delete_pod,
    end_well,
    finish,
    is_left_running,
    next_attempt,
    pod_facts,
    resume_job,
    stop_pod,
)
from opstrand.core.runtimes.job_snapshot import JobSnapshot, list_job_asks, see_job
from opstrand.errors import SpecError


class JobRuntime:
    """A run of kind job: one Pod at a time, until its main container ends."""

    kind = "job"
    mark = "pod"

    def freeze(self, snapshot: Snapshot, prepared: Prepared, resolved: Resolved) -> Frozen:
        attempt = render_first(snapshot, prepared, resolved)
        facts = {"pod": {"name": attempt.pod_name}, "podDigest": attempt.digest}
        return Frozen(attempt.plan, facts, create_objects(attempt), attempt.lineage)

    def asks(self, snapshot: Snapshot) -> tuple[Ask, ...]:
        return list_job_asks(snapshot)

    def needs_file(self, snapshot: Snapshot) -> bool:
        # The Pod and the frozen status say what the Pod means.
        seen = see_job(snapshot)
        return seen.pod is None or seen.documents_are_gone

    def advance(self, snapshot: Snapshot) -> Decision:
        return _advance(see_job(snapshot))

    def resume(self, snapshot: Snapshot) -> Decision:
        return resume_job(see_job(snapshot))

    def clear(self, snapshot: Snapshot) -> Decision:
        return clear_job(see_job(snapshot))

    def refused(self, snapshot: Snapshot, refusal: Refusal) -> Decision | None:
        verdict = interpret_refusal(refusal)
        return None if verdict is None else self.end_early(snapshot, verdict)

    def end_early(self, snapshot: Snapshot, verdict: Verdict) -> Decision:
        return refuse(snapshot, verdict)


#: Foreground deletion deletes the Pod first, and the Operation after it.
_LEAVES = "its Operation is being deleted"


def _advance(snapshot: JobSnapshot) -> Decision:
    """Decide the next step of a run whose inputs are frozen."""
    if snapshot.pod is None:
        return _claim(snapshot) if snapshot.claimant is not None else _attend_absent(snapshot)
    seen = observe_pod(snapshot.pod, snapshot.pod_events)
    match seen.state:
        case State.SUCCEEDED | State.COLLECTING:
            return end_well(snapshot, seen)
        case State.FAILED:
            return _fail(snapshot, seen)
        case State.RUNNING | State.PENDING if snapshot.is_to_stop:
            return _stop(snapshot, seen)
        case State.RUNNING:
            return _run(snapshot, seen)
        case State.PENDING:
            return _pend(snapshot, seen)


def _claim(snapshot: JobSnapshot) -> Decision:
    """Claim a Pod that has the attempt's name but an unknown creator.

    It may come from the previous operator process or from another client.
    """
    try:
        attempt = render_again(snapshot, elapsed=0)
    except SpecError as error:
        return end(
            snapshot,
            Phase.FAILED,
            error.reason,
            f"its Pod cannot be distinguished from another of its name: {error.message}",
        )
    is_exact = snapshot.status.get("podDigest") == attempt.digest
    return Decision(actions=(Claim(attempt.rendered.pod, is_exact),))


def _attend_absent(snapshot: JobSnapshot) -> Decision:
    if snapshot.is_to_stop:
        return end(snapshot, Phase.STOPPED, "Stopped", "stopped on request")
    if snapshot.is_being_deleted:
        return end(snapshot, Phase.STOPPED, "Stopped", _LEAVES)
    if snapshot.pod_is_lost:
        return _fail(snapshot, _observe_lost(snapshot))
    wait = backoff_left(snapshot) or _doubt_of_timeout(snapshot)
    if wait > 0:
        return Decision(requeue_after=wait)
    try:
        return recreate(snapshot)
    except SpecError as error:
        return end(snapshot, Phase.FAILED, error.reason, error.message)


def _observe_lost(snapshot: JobSnapshot) -> Observation:
    """Return the observation for a Pod that is gone without a result.

    If the status already names a disruption, that is the reason, else PodLost.
    """
    reason = str(snapshot.status.get("reason") or "")
    if snapshot.phase in (Phase.STARTING, Phase.RUNNING) and reason in PLATFORM_REASONS:
        return Observation(
            State.FAILED, reason, str(snapshot.status.get("message") or reason), Fault.PLATFORM
        )
    return Observation(
        State.FAILED, "PodLost", "its Pod vanished before its result was seen", Fault.PLATFORM
    )


def _doubt_of_timeout(snapshot: JobSnapshot) -> float:
    """Return the seconds until it is certain that the timeout has passed.

    They are 0 if it seems not to have passed.
    """
    timeout, started = parse_count(snapshot.termination.get("timeout")), snapshot.began
    if timeout is None or not started or snapshot.since(started) < timeout:
        return 0.0
    return max(0.0, snapshot.left(started, timeout))


def _run(snapshot: JobSnapshot, seen: Observation) -> Decision:
    started = snapshot.status.get("startedAt") or seen.started_at or snapshot.stamp
    return Decision(
        advanced(
            snapshot,
            Phase.RUNNING,
            seen.reason,
            seen.message,
            pod=pod_facts(snapshot),
            startedAt=started,
        )
    )


def _pend(snapshot: JobSnapshot, seen: Observation) -> Decision:
    decision = _wait_for_start(snapshot, seen)
    restored = restore_documents(snapshot) if snapshot.documents_are_gone else ()
    if not restored or decision.actions:
        return decision
    return Decision(decision.status, restored, requeue_after=float(snapshot.settings.mount_grace))


def _wait_for_start(snapshot: JobSnapshot, seen: Observation) -> Decision:
    """Decide for a Pod that has not started.

    Report trouble at once and slowness after a grace period; wait for neither without end.
    """
    pod = snapshot.pod or {}
    age = snapshot.since(pod["metadata"].get("creationTimestamp"))
    wait = find_node_wait(pod, age, seen.message, snapshot.settings)
    if (
        wait is not None
        and wait.is_over
        and (doubt := snapshot.doubt_of(pod["metadata"].get("creationTimestamp"))) > 0
    ):
        return Decision(requeue_after=doubt)
    if wait is not None and wait.is_over:
        return _give_up(snapshot, wait.reason, wait.message)
    return _pend_for(snapshot, seen, age, None if wait is None else wait.left)


def _give_up(snapshot: JobSnapshot, reason: str, message: str) -> Decision:
    """End a run whose Pod never started."""
    return Decision(
        end(snapshot, Phase.FAILED, reason, message).status,
        () if snapshot.pod is None else (delete_pod(snapshot.pod),),
    )


def _pend_for(snapshot: JobSnapshot, seen: Observation, age: float, left: float | None) -> Decision:
    """Decide for a pending Pod of this age in seconds.

    `left`: the seconds for which it may still wait for a node; None: it has a node, or has no
    bound.
    """
    pod = snapshot.pod or {}
    if not seen.reason:
        return Decision(
            _kept(snapshot),
            requeue_after=_look_again(snapshot, age) if is_being_made(pod) else left,
        )
    if seen.reason == "InitRunning":
        return _wait_for_init(snapshot, seen)
    patience = patience_left(snapshot, Phase.STARTING, seen.reason)
    if seen.hopeless or (seen.fault is Fault.USER and patience <= 0):
        return _give_up(snapshot, seen.reason, seen.message)
    if seen.fault is Fault.NONE and age < snapshot.settings.pending_grace:
        return Decision(_kept(snapshot), requeue_after=snapshot.settings.pending_grace - age)
    status = advanced(
        snapshot, Phase.STARTING, seen.reason, seen.message, renew=names_missing(seen)
    )
    if seen.fault is not Fault.USER:
        return Decision(status, requeue_after=left)
    # The Pod's status does not report the next missing volume either, so look at its Events again.
    return Decision(
        status,
        requeue_after=min(patience, snapshot.settings.mount_grace)
        if snapshot.pod_events
        else patience,
    )


def _wait_for_init(snapshot: JobSnapshot, seen: Observation) -> Decision:
    """Wait for a running init step, and report which one it is once it takes long."""
    left = snapshot.settings.init_grace - snapshot.since(seen.started_at)
    if left > 0:
        return Decision(_kept(snapshot), requeue_after=left)
    return Decision(advanced(snapshot, Phase.STARTING, seen.reason, seen.message, renew=True))


def _look_again(snapshot: JobSnapshot, age: float) -> float:
    """Return the seconds until the Events of a Pod that hangs on its node are read again.

    They say what hangs; they are read after a grace period and then periodically.
    """
    grace = snapshot.settings.mount_grace
    return grace - age if age < grace else grace


def _kept(snapshot: JobSnapshot) -> Status | None:
    """Return to reason PodCreated once a Pod no longer hangs on something.

    An init step that takes long (InitRunning) is not trouble: the status stays.
    """
    if snapshot.phase is Phase.STARTING and snapshot.status.get("reason") in (
        "PodCreated",
        "InitRunning",
    ):
        return None
    return advanced(snapshot, Phase.STARTING, "PodCreated", "")


def _stop(snapshot: JobSnapshot, seen: Observation) -> Decision:
    pod = snapshot.pod or {}
    status = advanced(
        snapshot, Phase.STOPPING, "Stopping", "stop requested: its container is given its grace"
    )
    if is_being_deleted(pod):
        return Decision(status)
    return Decision(status, (delete_pod(pod),) if seen.state is State.PENDING else stop_pod(pod))


def _fail(snapshot: JobSnapshot, seen: Observation) -> Decision:
    if snapshot.is_to_stop:
        return finish(snapshot, Phase.STOPPED, "Stopped", "stopped on request", seen)
    if snapshot.is_being_deleted and seen.fault is Fault.PLATFORM:
        return finish(snapshot, Phase.STOPPED, "Stopped", _LEAVES, seen)
    spent = _next_spent(snapshot, seen)
    if spent is None:
        return finish(snapshot, Phase.FAILED, seen.reason, _describe_end(snapshot, seen), seen)
    facts = next_attempt(snapshot, spent)
    if seen.started_at and not snapshot.status.get("startedAt"):
        facts["startedAt"] = seen.started_at
    status = advanced(snapshot, Phase.RETRYING, seen.reason, seen.message, **facts)
    rest = (
        stop_pod(snapshot.pod) if snapshot.pod is not None and is_left_running(snapshot.pod) else ()
    )
    return Decision(
        status,
        rest,
        requeue_after=backoff(spent, seen.fault, first=snapshot.settings.retry_backoff),
    )


def _describe_end(snapshot: JobSnapshot, seen: Observation) -> str:
    """Return the Pod's message; for the deadline of a later attempt, add where the time went."""
    spent = Spent.parse(snapshot.status)
    number = spent.failures + spent.disruptions
    if seen.reason != "DeadlineExceeded" or not number:
        return seen.message
    return (
        f"{seen.message}: what {number} earlier attempt{'s' * (number > 1)} left of the run's "
        f"{snapshot.termination.get('timeout')} s"
    )


def _next_spent(snapshot: JobSnapshot, seen: Observation) -> Spent | None:
    if seen.reason == "DeadlineExceeded" or snapshot.is_being_deleted:
        return None
    termination = snapshot.termination
    verdict = classify_failure(
        termination.get("podFailurePolicy"), read_failure(snapshot.pod or {})
    )
    max_retries, given = (
        parse_count(termination.get("maxRetries")) or 0,
        snapshot.status.get("platformRetries"),
    )
    max_disruptions = snapshot.settings.platform_retries if given is None else given
    # Bound ignored failures by the run's own platform-retries value, if it has one.
    most_ignored = ATTEMPTS - 1 if given is None else given
    spent = Spent.parse(snapshot.status)
    if verdict == "Ignore" and spent.disruptions >= most_ignored:
        return None
    return spend(
        spent, seen.fault, verdict, max_retries=max_retries, max_disruptions=max_disruptions
    )
