"""Decide what follows when the cluster refuses a run's objects: its end, or a wait with a reason.

Owns the meaning of the API server's messages. The client that creates the Pod receives them: the
operator, or the ReplicaSet controller for a service.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from opstrand.core.lifecycle.actions import Refusal
from opstrand.core.lifecycle.snapshot import Decision, Snapshot
from opstrand.core.lifecycle.transitions import advanced, ending_times, patience_left
from opstrand.core.phase import Phase
from opstrand.core.pods.init_containers import RESOURCES

#: A piece of the server's message -> reason, phase, seconds until another try is worthwhile (None:
#: never). The first match counts. Admission plugins and webhooks have messages of their own; what
#: matches none of these is for the user to fix.
_FORBIDDEN: tuple[tuple[str, str, Phase, float | None], ...] = (
    ("exceeded quota", "QuotaExceeded", Phase.STARTING, 10.0),
    ("insufficient quota", "QuotaExceeded", Phase.STARTING, 10.0),
    ("being terminated", "NamespaceTerminating", Phase.STOPPED, None),
    ("error looking up service account", "ServiceAccountNotFound", Phase.STARTING, 2.0),
    ("is forbidden:", "PodRefused", Phase.FAILED, None),
    ("denied the request", "PodRefused", Phase.FAILED, None),
    ("is invalid:", "PodRefused", Phase.FAILED, None),
)
#: Refusals that are not about the run: RBAC's messages about the caller, and those of admission
#: plugins that have just started.
_NOT_ABOUT_IT = re.compile(
    r'is forbidden: User ".*" cannot |not yet ready to handle request|status unknown for quota'
)

#: A LimitRange does not say which container it means, and one of them is the operator's.
_PER_CONTAINER = " per Container "
_OF_OURS = f"; the Pod's containers are yours and opstrand's for init, which asks for {RESOURCES}"


@dataclass(frozen=True)
class Verdict:
    """What a refusal means: the phase that the run gets, with its reason and message.

    `again`: seconds until another try is worthwhile; None: never.
    """

    phase: Phase
    reason: str
    message: str
    again: float | None = None


def interpret_refusal(refusal: Refusal) -> Verdict | None:
    """Return what a refused object means for its run; None if the refusal is not about it."""
    match refusal.cause:
        case "taken":
            return Verdict(Phase.FAILED, "NameConflict", refusal.message)
        case "invalid":
            return Verdict(Phase.FAILED, "PodRefused", refusal.message)
        case "absent":
            return Verdict(Phase.STOPPED, "NamespaceTerminating", refusal.message)
        case "forbidden":
            return interpret_forbidden(refusal.message)


def interpret_child_refusal(refusal: Refusal) -> Verdict | None:
    """Do the same for a refused run of a pipeline: what was refused is no Pod."""
    verdict = interpret_refusal(refusal)
    if verdict is None or verdict.reason != "PodRefused":
        return verdict
    return replace(verdict, reason="ChildRefused")


def interpret_forbidden(server_message: str) -> Verdict | None:
    """Return what a refusal with this message means; None if it is not about the run."""
    if _NOT_ABOUT_IT.search(server_message):
        return None
    for piece, reason, phase, again in _FORBIDDEN:
        if piece in server_message:
            message = (
                server_message + _OF_OURS if _PER_CONTAINER in server_message else server_message
            )
            return Verdict(phase, reason, message, again)
    return None


def refuse(snapshot: Snapshot, verdict: Verdict, *, is_cleared_first: bool = False) -> Decision:
    """Decide what follows for a run whose objects were refused.

    Quota frees up by itself and is waited for; what a person must fix is waited for with the
    configured patience. With `is_cleared_first` the run ends by way of Stopping, once its objects
    are gone.
    """
    phase, reason, message, again = verdict.phase, verdict.reason, verdict.message, verdict.again
    if (
        phase is Phase.STARTING
        and reason != "QuotaExceeded"
        and patience_left(snapshot, phase, reason) <= 0
    ):
        phase, again = Phase.FAILED, None
    if phase.is_final and is_cleared_first and snapshot.phase is not Phase.STOPPING:
        return Decision(advanced(snapshot, Phase.STOPPING, reason, message), requeue_after=0.0)
    return Decision(
        advanced(snapshot, phase, reason, message, **ending_times(snapshot, phase)),
        requeue_after=again,
    )
