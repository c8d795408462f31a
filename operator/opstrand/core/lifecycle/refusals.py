"""What follows when the cluster refuses what a run asked for: the run's end, or a wait that says for what.

Owns the meaning of the API server's own words. It says them to whoever makes the Pod: to us, or to the ReplicaSet of a service.
"""

from __future__ import annotations

from datetime import timedelta

from opstrand.core.lifecycle.ending import advanced, ending_times
from opstrand.core.lifecycle.snapshot import Decision, Snapshot, parse_stamp
from opstrand.core.phase import Phase

#: A piece of the server's own words -> reason, phase, seconds until it is worth another try (None: never).
_FORBIDDEN: tuple[tuple[str, str, Phase, float | None], ...] = (
    ("exceeded quota", "QuotaExceeded", Phase.STARTING, 10.0),
    ("must specify limits", "PodRefused", Phase.FAILED, None),
    ("being terminated", "NamespaceTerminating", Phase.STOPPED, None),
    ("error looking up service account", "ServiceAccountNotFound", Phase.STARTING, 2.0),
    ("violates PodSecurity", "PodRefused", Phase.FAILED, None),
    ("admission webhook", "PodRefused", Phase.FAILED, None),
    ("forbidden: maximum", "PodRefused", Phase.FAILED, None),
    ("forbidden: minimum", "PodRefused", Phase.FAILED, None),
    ("is not allowed", "PodRefused", Phase.FAILED, None),
    ("ValidatingAdmissionPolicy", "PodRefused", Phase.FAILED, None),
)


def judge_words(snapshot: Snapshot, words: str) -> Decision | None:
    """What a 403 with these words means for the run; None where they are not about the run."""
    for piece, reason, phase, again in _FORBIDDEN:
        if piece in words:
            return refuse(snapshot, phase, reason, words, requeue_after=again)
    return None


def refuse(snapshot: Snapshot, phase: Phase, reason: str, message: str, *, requeue_after: float | None = None) -> Decision:
    """What follows for a run whose Pod was refused.

    Quota comes back by itself and is waited for; what a person must mend is waited for with the configured patience. A service ends once
    what was made of it is gone.
    """
    if phase is Phase.STARTING and reason != "QuotaExceeded" and _has_lasted(snapshot, reason):
        phase, requeue_after = Phase.FAILED, None
    if phase.is_final and snapshot.is_service and snapshot.phase is not Phase.STOPPING:
        return Decision(advanced(snapshot, Phase.STOPPING, reason, message), requeue_after=0.0)
    return Decision(advanced(snapshot, phase, reason, message, **ending_times(snapshot, phase)), requeue_after=requeue_after)


def _has_lasted(snapshot: Snapshot, reason: str) -> bool:
    history = snapshot.status.get("history") or ()
    if not history or history[-1].get("reason") != reason:
        return False
    return snapshot.now - parse_stamp(history[-1]["at"]) >= timedelta(seconds=snapshot.settings.start_patience)
