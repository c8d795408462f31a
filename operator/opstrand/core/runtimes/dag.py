"""Advance a frozen run of kind dag: it makes runs of its operations, and ends as they do.

It has no Pod. Its status has a letter for each child, which follows the children's own objects:
written at once when the phase changes, else after a while, so that a large pipeline costs few
writes. A child reads from its pipeline that it is to stop. Must not know how an operation runs.

    Running ──▶ Succeeded | Failed
       ├──▶ Processing        only services are left; they end
       └──▶ Stopping ──▶ Stopped (on request) | Succeeded (stopped early by a metric)
                     └─▶ Failed (stopped early by failures, a child cannot be created)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from opstrand.core.compiling.prepare import Prepared
from opstrand.core.lifecycle.actions import Action, Claim, Create, Refusal
from opstrand.core.lifecycle.admission import Verdict
from opstrand.core.lifecycle.asks import Ask, Children, Get, Known, Pipeline
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
    Child,
    read_child,
)
from opstrand.core.pipelines.outline import Outline, read_outline
from opstrand.core.pipelines.progress import Step, find_end, progress
from opstrand.core.planning.connections import EMPTY
from opstrand.core.planning.plan import Plan, compile_plan
from opstrand.core.pods.volumes import store_path
from opstrand.core.recorded import read_status
from opstrand.core.resolving.resolve import Resolved, restore_value
from opstrand.core.runtimes.base import Frozen
from opstrand.core.runtimes.refused_child import (
    answer_refusal,
    describe_running,
    end_with_children,
)
from opstrand.errors import SpecError
from opstrand.types import OperationBody

OPERATION = "Operation"
#: Runs that one decision creates, at most.
_MOST_CREATED = 50
#: Objects that are looked for by one decision, at most, because they are missing.
_MOST_SOUGHT = 50
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
        )

    def asks(self, snapshot: Snapshot) -> tuple[Ask, ...]:
        if snapshot.phase.is_final:
            return ()
        first = (Children(), Pipeline())
        if not snapshot.answers.keys() >= set(first):
            return first
        if isinstance(snapshot.answers[Pipeline()], SpecError):
            return first
        seen = _See(snapshot)
        return (
            *first,
            *(Known(OPERATION, seen.outline.names[at]) for at in seen.unrecorded),
            *(Get(OPERATION, seen.outline.names[at]) for at in seen.missing),
        )

    def needs_file(self, snapshot: Snapshot) -> bool:
        return False

    def advance(self, snapshot: Snapshot) -> Decision:
        problem = snapshot.answers[Pipeline()]
        if isinstance(problem, SpecError):
            return end(snapshot, Phase.FAILED, problem.reason, problem.message)
        return _Advance(_See(snapshot)).decide()

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
class _See:
    """A snapshot of a pipeline with its children by their index in the file."""

    snapshot: Snapshot

    @cached_property
    def outline(self) -> Outline:
        found: Outline = self.snapshot.answers[Pipeline()]
        return found

    @cached_property
    def children(self) -> letters.Children:
        """The children as the status has them."""
        return letters.read_children(self.snapshot.status, len(self.outline.names))

    @cached_property
    def bodies(self) -> Mapping[int, OperationBody]:
        """The known objects that have a child's name and name this run as their controller."""
        index = self.outline.index
        found: tuple[OperationBody, ...] = self.snapshot.answers[Children()]
        by_name = ((index.get(body["metadata"]["name"]), body) for body in found)
        return {at: body for at, body in by_name if at is not None}

    @cached_property
    def unrecorded(self) -> list[int]:
        """The objects of children that no written letter records."""
        return [at for at in self.bodies if self.children.states[at] == ABSENT]

    @cached_property
    def unknown(self) -> frozenset[int]:
        """The objects of which it is not known that this run asked for them.

        A pipeline that ends compares none of them: it waits for all that name it as their owner.
        """
        if self.snapshot.is_to_stop or self.snapshot.is_being_deleted:
            return frozenset()
        return frozenset(at for at in self.unrecorded if not self._is_own(at))

    def _is_own(self, at: int) -> bool:
        known = self.snapshot.answers[Known(OPERATION, self.outline.names[at])]
        return bool(known.own_uid == self.bodies[at]["metadata"]["uid"])

    @cached_property
    def missing(self) -> list[int]:
        """The children that exist by the status, and that are not known."""
        alive = (
            at
            for at, letter in enumerate(self.children.states)
            if letter != ABSENT and letter not in PUBLISHED and at not in self.bodies
        )
        return [at for at, _ in zip(alive, range(_MOST_SOUGHT), strict=False)]

    @property
    def gone(self) -> frozenset[int]:
        """The children that a request did not find."""
        sightings = {at: self._sight(at) for at in self.missing}
        return frozenset(at for at, uid in sightings.items() if not uid)

    def _sight(self, at: int) -> str:
        return str(self.snapshot.answers[Get(OPERATION, self.outline.names[at])].uid)

    @cached_property
    def seen(self) -> dict[int, Child]:
        return {at: read_child(body) for at, body in self.bodies.items() if at not in self.unknown}


@dataclass(frozen=True)
class _Advance:
    """One decision about a pipeline."""

    see: _See

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
        if snapshot.phase is Phase.RUNNING and self._is_refusal_over(step):
            return self._write(step, Phase.RUNNING, _RUNNING, "")
        return self._keep(step)

    def _is_refusal_over(self, step: Step) -> bool:
        reason, _ = describe_running(self.snapshot, _RUNNING, is_creating=bool(step.start))
        return self.snapshot.status.get("reason") != reason

    def _find_early_stop(self, step: Step) -> Stop | None:
        outline, bodies = self.see.outline, self.see.bodies
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
            letters.read_failure(names[at].name, self.see.bodies[at])
            for at, letter in enumerate(children.states)
            if letter == FAILED and self.see.children.states[at] != FAILED and at in self.see.bodies
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
        made = [Create(self._render(at, specs[at], step)) for at in step.start if at not in unknown]
        return (*claims, *made)

    def _render(self, at: int, spec: Mapping[str, Any], step: Step) -> dict[str, Any]:
        op, states = self.see.outline.graph.ops[at], step.children.states
        without_run = {
            self.see.outline.graph.ops[one].name: PUBLISHED[states[one]]
            for one in op.refs
            if states[one] in PUBLISHED and one not in self.see.bodies
        }
        inherited = self.snapshot.status.get("inherited")
        return render_child(self.snapshot.body, op.name, spec, inherited, without_run)
