"""Advance a frozen run of kind dag: it makes runs of its operations, and ends as they do.

It has no Pod. Its status has a letter for each child, which follows the children's own objects:
written at once when the phase changes, else after a while, so that a large pipeline costs few
writes. A child reads from its pipeline that it is to stop. Must not know how an operation runs.

    Running ──▶ Succeeded | Failed ──▶ Resuming ──▶ Running
       ├──▶ Processing        only services are left; they end
       └──▶ Stopping ──▶ Stopped (on request) | Succeeded (stopped early by a metric)
                     └─▶ Failed (stopped early by failures, a child cannot be created)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from opstrand.core.compiling.prepare import Prepared
from opstrand.core.lifecycle.actions import Action, Claim, Create, Patch, Refusal
from opstrand.core.lifecycle.admission import Verdict
from opstrand.core.lifecycle.asks import Ask, Pipeline
from opstrand.core.lifecycle.snapshot import NOTHING, Decision, Snapshot
from opstrand.core.lifecycle.transitions import advanced, end
from opstrand.core.normalize import as_stored
from opstrand.core.packed import unpack
from opstrand.core.phase import Phase
from opstrand.core.pipelines import letters
from opstrand.core.pipelines.children import hand_down, render_child
from opstrand.core.pipelines.early_stopping import Stop, find_stop
from opstrand.core.pipelines.letters import (
    ABSENT,
    FAILED,
    PUBLISHED,
    UPSTREAM_FAILED,
)
from opstrand.core.pipelines.outline import read_outline
from opstrand.core.pipelines.progress import Step, find_end, progress
from opstrand.core.pipelines.rounds import in_round, order_round
from opstrand.core.planning.connections import EMPTY
from opstrand.core.planning.plan import Plan, compile_plan
from opstrand.core.pods.volumes import store_path
from opstrand.core.recorded import read_status
from opstrand.core.resolving.resolve import Resolved, restore_value
from opstrand.core.runtimes.base import Frozen
from opstrand.core.runtimes.dag_snapshot import OPERATION, SeenPipeline, list_dag_asks
from opstrand.core.runtimes.refused_child import (
    answer_refusal,
    describe_running,
    end_with_children,
)
from opstrand.core.runtimes.resuming import resume_with_children
from opstrand.errors import SpecError

#: Runs that one decision creates, at most.
_MOST_CREATED = 50
#: Seconds between two writes of letters alone: at least so many, and so many for each byte of the
#: file. The API server works for half a second on one write of a pipeline of 800 KB.
_INTERVAL = 5.0
_INTERVAL_PER_BYTE = 30 / 1_000_000
#: The reason of a pipeline that goes on, and that of one that was asked to stop.
_RUNNING, _ON_REQUEST = "PipelineRunning", "Stopping"
#: Reasons of Stopping, and how the pipeline ends then. Any other one is a failure.
_AFTER_STOP = {
    "NamespaceTerminating": Phase.STOPPED,
    "MetricReached": Phase.SUCCEEDED,
}


class DagRuntime:
    """A run of kind dag: operations that depend on each other, each a run of its own."""

    kind = "dag"
    mark = "children"

    def freeze(self, snapshot: Snapshot, prepared: Prepared, resolved: Resolved) -> Frozen:
        compiled = prepared.compiled
        assert compiled is not None
        plan = _plan(snapshot, prepared, resolved)
        outline = read_outline(compiled, snapshot.body)
        children = letters.Children(ABSENT * len(outline.names), concurrency=_read_limit(plan))
        inherited = _find_inherited(plan)
        first = progress(
            outline.graph,
            children,
            {},
            concurrency=children.concurrency or snapshot.settings.pipeline_concurrency,
            most=_MOST_CREATED,
        ).start
        specs = outline.read_specs(first)
        creates = tuple(
            Create(render_child(snapshot.body, outline.graph.ops[at].name, specs[at], inherited))
            for at in first
        )
        facts: dict[str, Any] = {
            "children": {**children.as_dict(), "at": snapshot.stamp},
            "startedAt": snapshot.status.get("startedAt") or snapshot.stamp,
            **({"inherited": inherited} if inherited else {}),
        }
        return Frozen(
            plan,
            facts,
            creates,
            requeue_after=0.0 if len(first) == _MOST_CREATED else _INTERVAL,
            phase=Phase.RUNNING,
            reason=_RUNNING,
            has_result=False,
        )

    def asks(self, snapshot: Snapshot) -> tuple[Ask, ...]:
        return () if snapshot.phase.is_final else list_dag_asks(snapshot)

    def needs_file(self, snapshot: Snapshot) -> bool:
        return False

    def advance(self, snapshot: Snapshot) -> Decision:
        problem = snapshot.answers[Pipeline()]
        if isinstance(problem, SpecError):
            return end(snapshot, Phase.FAILED, problem.reason, problem.message)
        return _Advance(SeenPipeline(snapshot)).decide()

    def resume(self, snapshot: Snapshot) -> Decision:
        return resume_with_children(snapshot)

    def clear(self, snapshot: Snapshot) -> Decision:
        # The children are deleted with their pipeline.
        return NOTHING

    def refused(self, snapshot: Snapshot, refusal: Refusal) -> Decision | None:
        return answer_refusal(snapshot, refusal)

    def end_early(self, snapshot: Snapshot, verdict: Verdict) -> Decision:
        return end_with_children(snapshot, verdict)


def _plan(snapshot: Snapshot, prepared: Prepared, resolved: Resolved) -> Plan:
    """Render what the pipeline itself has: its policies, and what it hands down."""
    assert prepared.compiled is not None
    kept = restore_value(
        prepared.compiled, as_stored(dict(resolved.inputs)), as_stored(dict(resolved.outputs))
    )
    catalog = snapshot.catalog or EMPTY
    return compile_plan(
        prepared.compiled,
        kept,
        prepared.identity,
        catalog.schemas if catalog.is_given else None,
        store_path=store_path(catalog),
        evaluate=snapshot.evaluate,
    )


def _find_inherited(plan: Plan) -> dict[str, Any]:
    """Return what the children inherit, rendered with the pipeline's own values."""
    run = {
        "environment": plan.environment,
        "connections": list(plan.connections),
        "volumes": list(plan.volumes),
    }
    own = {"termination": plan.termination, "plugins": plan.plugins, "queue": plan.queue}
    return hand_down({**own, "cache": plan.extra.get("cache"), "run": run})


def _read_limit(plan: Plan) -> int | None:
    """Return `run.concurrency`, which may come from a template."""
    value = plan.extra.get("concurrency")
    if value is None:
        return None
    try:
        limit = int(str(value))
    except ValueError:
        limit = 0
    if limit < 1:
        raise SpecError(
            "InvalidSpec", f"expected a number of at least 1, found {value!r}", "run.concurrency"
        )
    return limit


@dataclass(frozen=True)
class _Advance:
    """One decision about a pipeline."""

    see: SeenPipeline

    @property
    def snapshot(self) -> Snapshot:
        return self.see.snapshot

    def decide(self) -> Decision:
        snapshot, see = self.snapshot, self.see
        is_ending = snapshot.is_to_stop or snapshot.is_being_deleted
        step = progress(
            see.outline.graph,
            see.children,
            see.seen,
            gone=see.gone,
            concurrency=see.children.concurrency or snapshot.settings.pipeline_concurrency,
            most=_MOST_CREATED,
            is_stopping=is_ending,
            is_leaving=snapshot.phase is Phase.PROCESSING,
        )
        step = replace(step, children=self._with_failures(step.children))
        if step.is_over:
            return self._end(step.children)
        if is_ending and snapshot.phase is not Phase.STOPPING:
            message = "stop requested: its operations are stopped"
            return self._write(step, Phase.STOPPING, _ON_REQUEST, message)
        if step.leave and snapshot.phase is Phase.RUNNING:
            message = "only services are left: they are stopped"
            return self._write(step, Phase.PROCESSING, "ServicesLeft", message)
        stop = self._find_early_stop(step) if snapshot.phase is Phase.RUNNING else None
        if stop is not None:
            return self._write(replace(step, start=()), Phase.STOPPING, stop.reason, stop.message)
        is_over = snapshot.phase is Phase.RUNNING and self._is_refusal_over(step)
        if is_over or snapshot.phase is Phase.RESUMING:
            return self._write(step, Phase.RUNNING, _RUNNING, "")
        return self._keep(step)

    def _is_refusal_over(self, step: Step) -> bool:
        reason, _ = describe_running(self.snapshot, _RUNNING, is_creating=bool(step.start))
        return self.snapshot.status.get("reason") != reason

    def _find_early_stop(self, step: Step) -> Stop | None:
        outline, bodies = self.see.outline, self.see.known
        if not outline.early_stopping:
            return None
        # Outputs of a run whose end is written were looked at before that was written.
        states = self.see.children.states
        outputs = [
            (outline.graph.ops[at].name, read_status(unpack(bodies[at])).get("outputs") or {})
            for at in sorted(self.see.seen)
            if states[at] not in PUBLISHED
        ]
        failed = step.children.count(FAILED, UPSTREAM_FAILED)
        return find_stop(
            outline.early_stopping, total=len(outline.names), failed=failed, outputs=outputs
        )

    def _with_failures(self, children: letters.Children) -> letters.Children:
        """Add the messages of the children that failed since the last write."""
        names = self.see.outline.graph.ops
        new = [
            letters.read_failure(names[at].name, self.see.known[at])
            for at, letter in enumerate(children.states)
            if letter == FAILED and self.see.children.states[at] != FAILED and at in self.see.known
        ]
        return children.with_failures(new)

    def _end(self, children: letters.Children) -> Decision:
        status = self.snapshot.status
        reason, message = str(status.get("reason") or ""), str(status.get("message") or "")
        is_stopping = self.snapshot.phase is Phase.STOPPING
        if is_stopping and reason != _ON_REQUEST:
            phase = _AFTER_STOP.get(reason, Phase.FAILED)
        else:
            is_stopping = is_stopping or self.snapshot.is_to_stop or self.snapshot.is_being_deleted
            found = find_end(children, is_stopping=is_stopping)
            phase, reason, message = found.phase, found.reason, found.message
        over = end(self.snapshot, phase, reason, message)
        return Decision({**(over.status or {}), "children": children.as_dict()}, freeze=True)

    def _write(self, step: Step, phase: Phase, reason: str, message: str) -> Decision:
        facts: dict[str, Any] = {"children": step.children.as_dict()}
        facts["startedAt"] = self.snapshot.status.get("startedAt") or self.snapshot.stamp
        status = advanced(self.snapshot, phase, reason, message, **facts)
        return Decision(status, self._make(step), freeze=True, requeue_after=self._again(step))

    def _keep(self, step: Step) -> Decision:
        """Write letters alone, unless that was done a moment ago or there is nothing new."""
        actions, again = self._make(step), self._again(step)
        before = self.see.children
        if step.children == before:
            return Decision(None, actions, requeue_after=again)
        left = self._left
        # What is created does not wait for the letters, unless they have waited for long.
        if (left > 0 or (step.start and left > -_INTERVAL)) and not self.see.gone:
            soon = max(left, 0.0)
            return Decision(
                None, actions, requeue_after=soon if again is None else min(again, soon)
            )
        status = {
            **self.snapshot.status,
            "children": {**step.children.as_dict(), "at": self.snapshot.stamp},
        }
        return Decision(status, actions, freeze=True, requeue_after=again)

    @property
    def _written_at(self) -> str:
        stored: Mapping[str, Any] = self.snapshot.status.get("children") or {}
        return str(stored.get("at") or self.snapshot.last_step or "")

    @property
    def _left(self) -> float:
        """The seconds until letters may be written again; 0 or less if they may be now."""
        interval = max(_INTERVAL, self.see.outline.size * _INTERVAL_PER_BYTE)
        return self.snapshot.left(self._written_at, interval) if self._written_at else -_INTERVAL

    def _again(self, step: Step) -> float | None:
        """Return when to look again: at once if more could be created, else to write letters."""
        if len(step.start) == _MOST_CREATED or self.see.unknown:
            return 0.0
        return _INTERVAL if step.start else None

    def _make(self, step: Step) -> tuple[Action, ...]:
        """Return the actions that create children, and that settle whose the unknown ones are."""
        unknown = self.see.unknown
        specs = self.see.outline.read_specs((*step.start, *unknown))
        claims = [Claim(self._render(at, specs[at], step), exact=True) for at in sorted(unknown)]
        made = [self._start(at, specs[at], step) for at in step.start if at not in unknown]
        return (*claims, *made)

    def _start(self, at: int, spec: Mapping[str, Any], step: Step) -> Action:
        """Return the action that starts an operation: of a later round, its run may exist."""
        if at not in self.see.left:
            return Create(self._render(at, spec, step))
        body = self.see.bodies[at]
        return Patch(OPERATION, body["metadata"]["name"], order_round(body, self.see.round))

    def _render(self, at: int, spec: Mapping[str, Any], step: Step) -> dict[str, Any]:
        op, states = self.see.outline.graph.ops[at], step.children.states
        without_run = {
            self.see.outline.graph.ops[one].name: PUBLISHED[states[one]]
            for one in op.refs
            if states[one] in PUBLISHED and one not in self.see.bodies
        }
        inherited = self.snapshot.status.get("inherited")
        spec = in_round(spec, self.see.round)
        return render_child(self.snapshot.body, op.name, spec, inherited, without_run)
