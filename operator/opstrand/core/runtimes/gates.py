"""What keeps a run of any kind from starting: its end before it began, or a wait with a reason.

Owns the order of the gates: each is asked in turn, and the first that does not let the run pass
decides. Must not resolve values: `starting` does that for a run that passed.
"""

from __future__ import annotations

from collections.abc import Callable

from opstrand.core.lifecycle.snapshot import Decision, Snapshot
from opstrand.core.lifecycle.transitions import advanced, end
from opstrand.core.phase import Phase
from opstrand.errors import SpecError

Gate = Callable[[Snapshot], Decision | None]
#: Begins a suggestion at the end of a message.
_NEAR = "; did you mean "


def is_decided_unread(snapshot: Snapshot) -> bool:
    """Return whether a run that is not frozen can be decided without reading its polyaxonfile."""
    is_begun = snapshot.is_frozen or snapshot.phase.is_final
    return not is_begun and _find_first(_UNREAD, snapshot) is not None


def find_gate(snapshot: Snapshot, *others: Gate) -> Decision | None:
    """Return what the first gate decides that does not let the run pass; None: it may start.

    `others` are asked between the component and the approval.
    Raises SpecError for a polyaxonfile that cannot be read.
    """
    return _find_first((*_UNREAD, _find_component, *others, _find_approval), snapshot)


def _find_first(gates: tuple[Gate, ...], snapshot: Snapshot) -> Decision | None:
    found = (gate(snapshot) for gate in gates)
    return next((decision for decision in found if decision is not None), None)


# -- gates that do not need the file ---------------------------------------------------------------


def _find_stop(snapshot: Snapshot) -> Decision | None:
    if snapshot.control.get("stop"):
        return end(snapshot, Phase.STOPPED, "Stopped", "stopped before it started")
    if snapshot.control.get("skip"):
        return end(snapshot, Phase.SKIPPED, "Skipped", "skipped on request")
    return None


def _find_deletion(snapshot: Snapshot) -> Decision | None:
    if not snapshot.is_being_deleted:
        return None
    return end(snapshot, Phase.STOPPED, "Stopped", "deleted before it started")


def _find_lost_pipeline(snapshot: Snapshot) -> Decision | None:
    if not snapshot.left_by:
        return None
    return end(snapshot, Phase.STOPPED, "PipelineGone", f"it never started: {snapshot.left_by}")


def _find_backup(snapshot: Snapshot) -> Decision | None:
    labels = snapshot.body["metadata"].get("labels") or {}
    if "velero.io/restore-name" not in labels or snapshot.status:
        return None
    words = "restored from a backup without its status: it is not run again"
    return end(snapshot, Phase.STOPPED, "Restored", words)


_UNREAD: tuple[Gate, ...] = (_find_stop, _find_deletion, _find_lost_pipeline, _find_backup)


# -- gates that need the file ----------------------------------------------------------------------


def _find_component(snapshot: Snapshot) -> Decision | None:
    prepared = snapshot.prepared
    if isinstance(prepared, SpecError):
        raise prepared
    if prepared.compiled is not None:
        return None
    words = f"waiting for Component {prepared.missing_component!r} in this namespace"
    return wait(snapshot, "ComponentNotFound", words, near=suggest_name(snapshot))


def _find_approval(snapshot: Snapshot) -> Decision | None:
    """Wait for approval before any ref. An approval that is a template is known with the plan.

    A schedule waits for none: each of its runs does.
    """
    prepared = snapshot.prepared
    if isinstance(prepared, SpecError) or prepared.compiled is None:
        return None
    is_awaited = prepared.compiled.is_approved is False and prepared.compiled.schedule is None
    return wait_for_approval(snapshot) if is_awaited else None


# -- waiting ---------------------------------------------------------------------------------------


def suggest_name(snapshot: Snapshot) -> str:
    """Return what the missing names may mean, to be appended to a message."""
    if not snapshot.near:
        return ""
    return f"{_NEAR}{' and '.join(repr(name) for name in snapshot.near.values())}?"


def _keep_suggestion(snapshot: Snapshot, reason: str, message: str, near: str) -> str:
    """Return the suggestion that a wait for the same began with: a later one is not written."""
    current = str(snapshot.status.get("message") or "")
    if snapshot.status.get("reason") != reason or not current.startswith(message):
        return near
    kept = current[len(message) :]
    return kept if not kept or kept.startswith(_NEAR) else near


def wait(
    snapshot: Snapshot, reason: str, message: str, *, near: str = "", patient: bool = False
) -> Decision:
    """Wait with this reason, which is written once however long the wait is.

    Unless `patient`, the wait ends with a failure after the configured patience. `near` is the
    suggestion after the message.
    """
    near = _keep_suggestion(snapshot, reason, message, near)
    status = advanced(snapshot, Phase.WAITING, reason, message + near)
    if patient:
        return Decision(status)
    # Count from the start of the wait for this reason: earlier waits were for something else.
    left = snapshot.left(
        status["history"][-1].get("at"), float(snapshot.settings.upstream_patience)
    )
    if left <= 0:
        return end(
            snapshot,
            Phase.FAILED,
            reason,
            f"{message}: gave up after {snapshot.settings.upstream_patience} s{near}",
        )
    return Decision(status, requeue_after=left)


def wait_for_approval(snapshot: Snapshot) -> Decision:
    return wait(snapshot, "AwaitingApproval", "waiting for approval", patient=True)
