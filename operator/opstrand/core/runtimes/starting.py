"""Take a new run to its freeze: validate it, wait for its refs, resolve it, record the result.

Nothing is created before the record. Must not look at the run's objects: a run that has some
belongs to its kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opstrand.core.compiling.matrix import share
from opstrand.core.compiling.prepare import Prepared
from opstrand.core.lifecycle.conditions import REFS_RESOLVED, get_condition
from opstrand.core.lifecycle.retry import read_platform_retries
from opstrand.core.lifecycle.snapshot import Decision, Snapshot
from opstrand.core.lifecycle.transitions import advanced, end
from opstrand.core.phase import Phase
from opstrand.core.planning.frozen_catalog import freeze_catalog
from opstrand.core.resolving.resolve import Resolved, Waiting, read_frozen, resolve
from opstrand.core.resolving.upstream import edge_to_dict
from opstrand.core.runtimes.attempts import catalog_of
from opstrand.core.runtimes.base import Frozen
from opstrand.core.runtimes.registry import RUNTIMES
from opstrand.errors import SpecError

#: Begins a suggestion at the end of a message.
_NEAR = "; did you mean "


def is_decided_unread(snapshot: Snapshot) -> bool:
    """Return whether a run that is not frozen can be decided without reading its polyaxonfile."""
    return not snapshot.is_frozen and _find_end(snapshot) is not None


def start(snapshot: Snapshot) -> Decision:
    """Decide the next step of a run that is not frozen."""
    ended = _find_end(snapshot)
    if ended is not None:
        return end(snapshot, *ended)
    try:
        return _resolve(snapshot)
    except SpecError as error:
        return end(
            snapshot, _PHASE_OF_ERROR.get(error.reason, Phase.FAILED), error.reason, error.message
        )


def _find_end(snapshot: Snapshot) -> tuple[Phase, str, str] | None:
    """Return how a run ends that does not start, whatever its file says: phase, reason, message."""
    ends = (
        (snapshot.control.get("stop"), Phase.STOPPED, "Stopped", "stopped before it started"),
        (snapshot.control.get("skip"), Phase.SKIPPED, "Skipped", "skipped on request"),
        (snapshot.is_being_deleted, Phase.STOPPED, "Stopped", "deleted before it started"),
        (
            snapshot.left_by,
            Phase.STOPPED,
            "PipelineGone",
            f"it never started: {snapshot.left_by}",
        ),
        (
            _is_restored(snapshot),
            Phase.STOPPED,
            "Restored",
            "restored from a backup without its status: it is not run again",
        ),
    )
    return next((found[1:] for found in ends if found[0]), None)


#: Errors that end the run because of an upstream rather than as its own failure.
_PHASE_OF_ERROR = {"UpstreamFailed": Phase.UPSTREAM_FAILED, "UpstreamSkipped": Phase.SKIPPED}


def _is_restored(snapshot: Snapshot) -> bool:
    labels = snapshot.body["metadata"].get("labels") or {}
    return "velero.io/restore-name" in labels and not snapshot.status


def _resolve(snapshot: Snapshot) -> Decision:
    prepared = snapshot.prepared
    if isinstance(prepared, SpecError):
        raise prepared
    if prepared.compiled is None:
        return _wait(
            snapshot,
            "ComponentNotFound",
            f"waiting for Component {prepared.missing_component!r} in this namespace",
            near=_suggest(snapshot),
        )
    if prepared.compiled.is_approved is False:
        # Wait for approval before anything else; an approval that is a template is known with the
        # plan.
        return _wait_for_approval(snapshot)
    if _was_frozen(snapshot):
        return _freeze(snapshot, prepared, read_frozen(snapshot.status))
    found = resolve(
        share(prepared.compiled),
        prepared.identity,
        snapshot.upstream,
        project=snapshot.project,
        evaluate=snapshot.evaluate,
    )
    if isinstance(found, Waiting):
        return _wait(
            snapshot,
            found.reason,
            found.message,
            near=_suggest(snapshot),
            patient=found.reason == "UpstreamPending",
        )
    return _freeze(snapshot, prepared, found)


def _was_frozen(snapshot: Snapshot) -> bool:
    """Return whether the values were frozen and only the rest of the frozen facts is lost.

    Such values are not resolved a second time.
    """
    known = get_condition(snapshot.status.get("conditions"), REFS_RESOLVED) or {}
    return known.get("status") == "True" and "inputs" in snapshot.status


def _suggest(snapshot: Snapshot) -> str:
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


def _wait(
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


def _wait_for_approval(snapshot: Snapshot) -> Decision:
    return _wait(snapshot, "AwaitingApproval", "waiting for approval", patient=True)


def _freeze(snapshot: Snapshot, prepared: Prepared, resolved: Resolved) -> Decision:
    """Record everything that the run will ever need before its objects exist.

    Later changes to other objects do not affect the run.
    """
    assert prepared.compiled is not None
    kind = prepared.compiled.runtime
    frozen = RUNTIMES[kind].freeze(snapshot, prepared, resolved)
    if frozen.plan.condition is False:
        return end(
            snapshot, Phase.SKIPPED, "ConditionFalse", "its conditions say that it should not run"
        )
    if frozen.plan.is_approved is False:
        return _wait_for_approval(snapshot)
    facts = {**_list_facts(snapshot, prepared, resolved, frozen, kind), **frozen.facts}
    status = advanced(snapshot, frozen.phase, frozen.reason, "", **facts)
    prepared.check_total(snapshot.body, status)
    return Decision(
        status,
        frozen.actions,
        freeze=True,
        requeue_after=frozen.requeue_after,
        plan=frozen.plan,
    )


def _list_facts(
    snapshot: Snapshot, prepared: Prepared, resolved: Resolved, frozen: Frozen, kind: str
) -> dict[str, Any]:
    """Return what the status records of any run at its freeze."""
    known = snapshot.status
    facts: dict[str, Any] = {
        "inputs": dict(resolved.inputs),
        # Keep what the API reported before the freeze.
        "outputs": {**resolved.outputs, **known.get("outputs", {})},
        "artifacts": _merge_artifacts(frozen.artifacts, known.get("artifacts", ())),
        "tags": list(dict.fromkeys((*prepared.tags, *known.get("tags", ())))),
        "meta": dict(known.get("meta", {})),
        "catalog": freeze_catalog(frozen.plan, catalog_of(snapshot)),
        "attempt": int(known.get("attempt") or 0),
        "upstream": [edge_to_dict(edge) for edge in resolved.edges]
        or list(known.get("upstream", ())),
    }
    if known.get("uuid"):
        # Write the kind again: if it was edited by hand, the run would be frozen over and over.
        facts["kind"] = kind
    platform_retries = read_platform_retries(snapshot.body, frozen.plan)
    if platform_retries is not None:
        facts["platformRetries"] = platform_retries
    if resolved.outputs:
        # The API owns `outputs`: a later attempt is rendered from these.
        facts["frozenOutputs"] = dict(resolved.outputs)
    if frozen.plan.termination:
        facts["termination"] = dict(frozen.plan.termination)
    if prepared.description and "description" not in known:
        facts["description"] = prepared.description
    if prepared.frozen_component is not None:
        facts["component"] = dict(prepared.frozen_component)
    return facts


def _merge_artifacts(
    own: Sequence[Mapping[str, Any]], reported: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Merge the plan's lineage with earlier reported artifacts by name; the reported win."""
    return [dict(one) for one in {one["name"]: one for one in (*own, *reported)}.values()]
