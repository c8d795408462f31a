"""A run with a matrix: it owns runs, one for each suggestion, and has no Pod.

Each decision looks at the runs that exist, records their ends and results, and creates the next
ones. What is created follows from the frozen seed and the recorded results alone, so that a new
operator process creates the same. Must not say which params a run gets (`pipelines.search`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from opstrand.core.compiling.matrix import fill_scope, make_operation, render_matrix
from opstrand.core.compiling.prepare import Prepared
from opstrand.core.lifecycle.actions import Claim, Create, Patch, Refusal
from opstrand.core.lifecycle.admission import Verdict
from opstrand.core.lifecycle.asks import Ask
from opstrand.core.lifecycle.conditions import SPACE_EXHAUSTED, set_condition
from opstrand.core.lifecycle.snapshot import NOTHING, Decision, Snapshot
from opstrand.core.lifecycle.transitions import advanced, ending_times
from opstrand.core.operation import CompiledOperation
from opstrand.core.phase import Phase
from opstrand.core.pipelines.children import render_child
from opstrand.core.pipelines.letters import ABSENT
from opstrand.core.pipelines.letters import Children as Letters
from opstrand.core.pipelines.matrix_progress import (
    Progress,
    abandon,
    drop,
    find_early_stop,
    find_matrix_end,
    list_startable,
)
from opstrand.core.pipelines.progress import End
from opstrand.core.pipelines.rounds import in_round, order_round, read_round
from opstrand.core.pipelines.search import Suggestions, read_metric, suggest
from opstrand.core.planning.conditions import evaluate_approval, evaluate_condition
from opstrand.core.planning.plan import Plan
from opstrand.core.resolving.resolve import Resolved, read_frozen
from opstrand.core.runtimes.base import Frozen
from opstrand.core.runtimes.matrix_snapshot import (
    OPERATION,
    MatrixSnapshot,
    find_limit,
    list_matrix_asks,
    progress_facts,
    see_matrix,
)
from opstrand.core.runtimes.refused_child import (
    answer_refusal,
    describe_running,
    end_with_children,
)
from opstrand.core.runtimes.resuming import resume_with_children
from opstrand.core.templates.template import render
from opstrand.errors import SpecError
from opstrand.types import Body, Condition, Manifest

#: Runs that one decision creates, at most: others get their turn in between, and rendering them
#: must not take so long that a worker is needed.
MOST_CREATED = 20
#: Seconds between two writes of letters alone.
WRITE_EVERY = 5.0
#: Digits of the uuid that make a seed: a cluster stores whole numbers of 64 bits with a sign.
_SEED_DIGITS = 15
_RUNNING = "MatrixRunning"
_NONE_LEFT: Mapping[int, Body] = {}
#: Reasons of a stop, and how the matrix ends then. Any other one is a failure.
_AFTER_STOP = {
    "Stopping": Phase.STOPPED,
    "NamespaceTerminating": Phase.STOPPED,
    "MetricReached": Phase.SUCCEEDED,
}
_STOPPING = End(Phase.STOPPED, "Stopping", "stop requested: its runs are given their grace")


class MatrixRuntime:
    """A run with a matrix."""

    kind = "matrix"
    mark = "search"

    def freeze(self, snapshot: Snapshot, prepared: Prepared, resolved: Resolved) -> Frozen:
        return _freeze(snapshot, prepared, resolved)

    def asks(self, snapshot: Snapshot) -> tuple[Ask, ...]:
        return list_matrix_asks(snapshot)

    def needs_file(self, snapshot: Snapshot) -> bool:
        # The status says all but what the runs are made of.
        seen = see_matrix(snapshot)
        return not snapshot.is_to_stop and (seen.has_room or bool(seen.unknown))

    def advance(self, snapshot: Snapshot) -> Decision:
        try:
            return _advance(see_matrix(snapshot))
        except SpecError as error:
            return self.end_early(snapshot, Verdict(Phase.FAILED, error.reason, error.message))

    def resume(self, snapshot: Snapshot) -> Decision:
        return resume_with_children(snapshot)

    def clear(self, snapshot: Snapshot) -> Decision:
        return NOTHING

    def refused(self, snapshot: Snapshot, refusal: Refusal) -> Decision | None:
        return answer_refusal(snapshot, refusal)

    def end_early(self, snapshot: Snapshot, verdict: Verdict) -> Decision:
        return end_with_children(snapshot, verdict)


# -- the freeze ------------------------------------------------------------------------------------


def _freeze(snapshot: Snapshot, prepared: Prepared, resolved: Resolved) -> Frozen:
    compiled = prepared.compiled
    assert compiled is not None
    plan = _make_plan(snapshot, prepared, compiled, resolved)
    if plan.condition is False or plan.is_approved is False:
        return Frozen(plan, {})
    matrix = render_matrix(compiled, resolved, prepared.identity, evaluate=snapshot.evaluate)
    seed = int(prepared.identity.uuid[:_SEED_DIGITS], 16)
    found = suggest(matrix, seed)
    letters = Letters(ABSENT * found.total, concurrency=_read_count(matrix, "concurrency"))
    letters = drop(letters, found.dropped)
    start = progress_facts(snapshot, Progress(letters, {}), found.origins)
    maker = _Maker(snapshot, prepared, compiled, resolved, found)
    creates = maker.start_all(letters)
    return Frozen(
        plan,
        {
            "children": {**start["children"], "at": snapshot.stamp},
            "search": _find_facts(snapshot, matrix, seed, found),
            "conditions": _note_exhausted(snapshot, found),
            "startedAt": snapshot.status.get("startedAt") or snapshot.stamp,
        },
        creates,
        requeue_after=0.0 if len(creates) in (0, MOST_CREATED) else None,
        has_result=False,
        phase=Phase.RUNNING,
        reason=_RUNNING,
    )


def _make_plan(
    snapshot: Snapshot, prepared: Prepared, compiled: CompiledOperation, resolved: Resolved
) -> Plan:
    """Return what acts for all runs of the matrix: its conditions and its approval."""
    identity, evaluate = prepared.identity, snapshot.evaluate
    values = fill_scope(compiled, resolved, identity, evaluate).values
    approval = render(compiled.is_approved, values, "isApproved", evaluate=evaluate)
    return Plan(
        identity.uuid,
        identity.name,
        identity.owner,
        identity.project,
        MatrixRuntime.kind,
        inputs=resolved.inputs,
        outputs=resolved.outputs,
        condition=(
            None
            if compiled.conditions is None
            else evaluate_condition(compiled.conditions, values, evaluate=evaluate)
        ),
        is_approved=evaluate_approval(approval),
    )


def _find_facts(
    snapshot: Snapshot, matrix: Mapping[str, Any], seed: int, found: Suggestions
) -> dict[str, Any]:
    """Return what the status records of a search, so that the file is read for new runs alone."""
    metric = read_metric(matrix)
    facts: dict[str, Any] = {"kind": matrix["kind"], "seed": seed}
    if metric.name:
        facts |= {"metric": metric.name, "minimize": metric.minimize, "isNeeded": metric.is_needed}
    if found.missing:
        facts["missing"] = found.missing
    if matrix.get("earlyStopping"):
        facts["earlyStopping"] = matrix["earlyStopping"]
    return facts


def _note_exhausted(snapshot: Snapshot, found: Suggestions) -> list[Condition]:
    """Return the conditions, with one that says so if there are fewer runs than asked for."""
    known = list(snapshot.status.get("conditions") or [])
    if not found.missing:
        return known
    return set_condition(
        known,
        SPACE_EXHAUSTED,
        True,
        reason=SPACE_EXHAUSTED,
        message=f"{found.missing} runs less than asked for: its spaces have no more values",
        now=snapshot.stamp,
    )


def _read_count(matrix: Mapping[str, Any], key: str) -> int | None:
    value = matrix.get(key)
    return value if isinstance(value, int) else None


@dataclass(frozen=True)
class _Maker:
    """Makes the manifests of runs."""

    snapshot: Snapshot
    prepared: Prepared
    compiled: CompiledOperation
    resolved: Resolved
    found: Suggestions

    def start_all(
        self, letters: Letters, left: Mapping[int, Body] = _NONE_LEFT
    ) -> tuple[Create | Patch, ...]:
        """Return the actions that start runs. `left`: those that ended in an earlier round."""
        startable = list_startable(
            letters,
            self.found.params,
            concurrency=find_limit(self.snapshot, letters),
            most=MOST_CREATED,
        )
        number = read_round(self.snapshot.status)
        return tuple(
            Patch(OPERATION, left[at]["metadata"]["name"], order_round(left[at], number))
            if at in left
            else Create(self.render(at))
            for at in startable
        )

    def render(self, index: int) -> Manifest:
        operation = make_operation(
            self.snapshot.body.get("spec") or {},
            self.compiled,
            self.resolved,
            self.found.params[index],
            self.prepared.frozen_component,
        )
        spec = in_round(operation, read_round(self.snapshot.status))
        return render_child(self.snapshot.body, index, spec)


# -- later decisions -------------------------------------------------------------------------------


def _advance(snapshot: MatrixSnapshot) -> Decision:
    progress = snapshot.progress
    if snapshot.is_to_stop or snapshot.is_being_deleted:
        return _stop(snapshot, progress, _find_stop_reason(snapshot))
    stop = find_early_stop(snapshot.search.get("earlyStopping"), progress, snapshot.runs)
    if stop is not None:
        return _stop(snapshot, progress, End(stop.phase, stop.reason, stop.message))
    if snapshot.unknown:
        return Decision(actions=_claim(snapshot))
    if not snapshot.has_room:
        return _go_on(snapshot, progress)
    return _create(snapshot, progress)


def _find_stop_reason(snapshot: MatrixSnapshot) -> End:
    """Return why the matrix stops: the reason of a stop that has begun stays."""
    if snapshot.phase is not Phase.STOPPING:
        return _STOPPING
    reason = str(snapshot.status.get("reason") or "")
    phase = _AFTER_STOP.get(reason, Phase.FAILED)
    return End(phase, reason, str(snapshot.status.get("message") or ""))


def _stop(snapshot: MatrixSnapshot, progress: Progress, why: End) -> Decision:
    """Stop what runs; the matrix ends once all its runs have ended."""
    progress = replace(progress, children=abandon(progress.children))
    if not progress.children.is_done:
        is_same = snapshot.recorded.children == progress.children
        if is_same and snapshot.phase is Phase.STOPPING:
            return NOTHING
        return _write(snapshot, progress, Phase.STOPPING, why.reason, why.message)
    if why.phase is Phase.STOPPED and why.reason == _STOPPING.reason:
        why = End(Phase.STOPPED, "Stopped", "stopped on request")
    return _end(snapshot, progress, why)


def _search(snapshot: MatrixSnapshot, progress: Progress) -> _Maker:
    """Read the file, and suggest what the results so far allow."""
    prepared = snapshot.prepared
    if isinstance(prepared, SpecError):
        raise prepared
    compiled, resolved = prepared.compiled, read_frozen(snapshot.status)
    assert compiled is not None
    matrix = render_matrix(compiled, resolved, prepared.identity, evaluate=snapshot.evaluate)
    found = suggest(matrix, snapshot.seed, progress.ended(), snapshot.origins)
    return _Maker(snapshot, prepared, compiled, resolved, found)


def _claim(snapshot: MatrixSnapshot) -> tuple[Claim, ...]:
    """Compare runs of which it is not known whose they are with what would be created."""
    maker = _search(snapshot, snapshot.progress)
    return tuple(
        Claim(maker.render(index), exact=True) for index in snapshot.unknown[:MOST_CREATED]
    )


def _create(snapshot: MatrixSnapshot, progress: Progress) -> Decision:
    maker = _search(snapshot, progress)
    found = maker.found
    progress = replace(progress, children=drop(progress.children, found.dropped))
    creates = maker.start_all(progress.children, snapshot.left_over)
    is_new = bool(found.origins) and dict(found.origins or {}) != snapshot.origins
    decision = _go_on(snapshot, progress, found.origins, at_once=is_new, is_creating=bool(creates))
    again = 0.0 if len(creates) == MOST_CREATED else decision.requeue_after
    return replace(decision, actions=creates, requeue_after=again)


def _go_on(
    snapshot: MatrixSnapshot,
    progress: Progress,
    origins: Mapping[int, int] | None = None,
    *,
    at_once: bool = False,
    is_creating: bool = False,
) -> Decision:
    if progress.children.is_done:
        return _end(snapshot, progress, find_matrix_end(progress, snapshot.metric))
    if snapshot.phase is Phase.RESUMING:
        return _write(snapshot, progress, Phase.RUNNING, _RUNNING, "", origins)
    facts = progress_facts(snapshot, progress, origins)
    is_same = all(snapshot.status.get(key) == value for key, value in facts.items())
    reason, message = describe_running(snapshot, _RUNNING, is_creating=is_creating)
    if is_same and snapshot.status.get("reason") == reason:
        return NOTHING
    wait = 0.0 if at_once or snapshot.has_lost else snapshot.written_for(WRITE_EVERY)
    if wait > 0:
        return Decision(requeue_after=wait)
    return _write(snapshot, progress, Phase.RUNNING, reason, message, origins)


def _write(
    snapshot: MatrixSnapshot,
    progress: Progress,
    phase: Phase,
    reason: str,
    message: str,
    origins: Mapping[int, int] | None = None,
) -> Decision:
    """Write the progress under the version that was read: a late write of a process that ends must
    not undo a newer one.
    """
    facts = progress_facts(snapshot, progress, origins)
    facts["children"] = {**facts["children"], "at": snapshot.stamp}
    return Decision(advanced(snapshot, phase, reason, message, **facts), freeze=True)


def _end(snapshot: MatrixSnapshot, progress: Progress, end: End) -> Decision:
    facts = progress_facts(snapshot, progress, None)
    times = ending_times(snapshot, end.phase)
    status = advanced(snapshot, end.phase, end.reason, end.message, **facts, **times)
    return Decision(status, freeze=True)
