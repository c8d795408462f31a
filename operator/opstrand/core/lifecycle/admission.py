"""Decide what follows when the cluster refuses a run's objects: its end, or a wait with a reason.

Owns the meaning of the API server's messages. The client that creates the Pod receives them: the
operator, or the ReplicaSet controller for a service.
"""

from __future__ import annotations

import re

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


def classify_refusal(snapshot: Snapshot, words: str) -> Decision | None:
    """Return what a refusal with this message means for the run; None if it is not about it."""
    if _NOT_ABOUT_IT.search(words):
        return None
    for piece, reason, phase, again in _FORBIDDEN:
        if piece in words:
            return refuse(
                snapshot,
                phase,
                reason,
                words + _OF_OURS if _PER_CONTAINER in words else words,
                requeue_after=again,
            )
    return None


def refuse(
    snapshot: Snapshot,
    phase: Phase,
    reason: str,
    message: str,
    *,
    requeue_after: float | None = None,
) -> Decision:
    """Decide what follows for a run whose Pod was refused.

    Quota frees up by itself and is waited for; what a person must fix is waited for with the
    configured patience. A service ends once its objects are gone.
    """
    if (
        phase is Phase.STARTING
        and reason != "QuotaExceeded"
        and patience_left(snapshot, phase, reason) <= 0
    ):
        phase, requeue_after = Phase.FAILED, None
    if phase.is_final and snapshot.is_service and snapshot.phase is not Phase.STOPPING:
        return Decision(advanced(snapshot, Phase.STOPPING, reason, message), requeue_after=0.0)
    return Decision(
        advanced(snapshot, phase, reason, message, **ending_times(snapshot, phase)),
        requeue_after=requeue_after,
    )
