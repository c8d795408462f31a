"""What follows the end of a run: its hooks, each of which makes a run of a component.

A hook's run is created first, under a name that follows from the run and the hook's place, and
recorded once it is known to exist: so it fires once, whatever happens between. One is created by
each decision. Nothing here changes how the run itself ended. Must not know a kind of run.

    .  ──▶ r   its run was created
       ├─▶ k   another end, or its conditions do not hold
       └─▶ f   it cannot run: the reason is in `status.hooks.problems`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from opstrand.core.compiling.matrix import make_literal
from opstrand.core.compiling.prepare import Prepared
from opstrand.core.lifecycle.actions import Create, Refusal
from opstrand.core.lifecycle.admission import interpret_child_refusal
from opstrand.core.lifecycle.asks import Ask, Known
from opstrand.core.lifecycle.snapshot import NOTHING, Decision, Snapshot
from opstrand.core.packed import unpack
from opstrand.core.phase import parse_phase
from opstrand.core.pipelines.hooks import (
    FIRED,
    HOOKS_KEY,
    NOT_DUE,
    OPEN,
    REFUSED,
    TRIGGERS,
    UNREAD,
    Record,
    check_namespace,
    list_all,
    may_have_hooks,
    name_hook_run,
    read_record,
    render_hook_run,
)
from opstrand.core.planning.conditions import evaluate_condition
from opstrand.core.resolving.run_values import read_inputs, read_outputs
from opstrand.core.resolving.upstream import read_upstream
from opstrand.core.runtimes.gates import wait
from opstrand.core.templates.context import Scope
from opstrand.core.templates.template import render
from opstrand.errors import SpecError
from opstrand.text import list_names
from opstrand.types import Manifest

_OPERATION = "Operation"
#: Params about the run that ended, which a hook's run gets unless `disableDefaults` is set. As
#: documented; each is for templates only, unless the component declares it.
DEFAULTS = (
    *("uuid", "name", "kind", "runtime", "status", "condition"),
    *("inputs", "outputs", "wait_time", "duration"),
)
#: Reasons of an end that was decided before the file was read.
_UNREAD_ENDS = ("Stopped", "Skipped", "PipelineGone")


# -- before the end --------------------------------------------------------------------------------


def with_hooks(snapshot: Snapshot, decision: Decision) -> Decision:
    """Return the decision about a run that is not frozen with a letter for each of its hooks.

    That is in the same write as the rest, so that the hooks of a run are known once it is over.
    """
    status = decision.status
    if status is None or snapshot.is_being_deleted:
        return decision
    states = _find_states(snapshot, status)
    if states is None or (not states and HOOKS_KEY not in status):
        return decision
    record = replace(read_record(status), states=states)
    return replace(decision, status={**status, HOOKS_KEY: record.as_dict()})


def renew_hooks(decision: Decision) -> Decision:
    """Return the decision to resume a run with open hooks: they fire after its next end."""
    status = decision.status or {}
    if HOOKS_KEY not in status or parse_phase(status).is_final:
        return decision
    record = read_record(status).renewed()
    return replace(decision, status={**status, HOOKS_KEY: record.as_dict()})


def _find_states(snapshot: Snapshot, status: Mapping[str, Any]) -> str | None:
    """Return the letters of hooks that are to be recorded; None to keep those that are there."""
    prepared = snapshot.prepared
    if not isinstance(prepared, SpecError):
        is_restored = status.get("reason") == "Restored"
        return "" if is_restored else OPEN * len(list_hooks(prepared))
    is_unread = parse_phase(status).is_final and status.get("reason") in _UNREAD_ENDS
    if not is_unread or HOOKS_KEY in status:
        return None
    return UNREAD if may_have_hooks(unpack(snapshot.body).get("spec")) else None


def find_missing_hook(snapshot: Snapshot) -> Decision | None:
    """Wait until the Components of all hooks exist, before anything of the run does."""
    prepared = snapshot.prepared
    if isinstance(prepared, SpecError):
        return None
    problems = list(check_namespace(list_hooks(prepared), prepared.identity.project))
    if problems:
        raise SpecError.of(problems)
    missing = [name for name in prepared.hook_components if name not in snapshot.components]
    if not missing:
        return None
    words = f"waiting for Component {missing[0]!r} of a hook in this namespace"
    return wait(snapshot, "ComponentNotFound", words)


def check_made_plugins(prepared: Prepared, plugins: Any) -> None:
    """Refuse notifications of `plugins` that a template gave: they were not in the file.

    Raises SpecError.
    """
    is_made = prepared.compiled is not None and isinstance(prepared.compiled.plugins, str)
    if is_made and list_all((), plugins):
        message = "a template cannot give notifications: write the list"
        raise SpecError("NotSupported", message, "plugins.notifications")


def list_hooks(prepared: Prepared) -> tuple[Mapping[str, Any], ...]:
    """Return the hooks of a run. A schedule leaves them to its runs."""
    compiled = prepared.compiled
    if compiled is None:
        written = prepared.operation.written
        return list_all(written.get("hooks"), written.get("plugins"))
    return () if compiled.schedule is not None else list_all(compiled.hooks, compiled.plugins)


# -- after the end ---------------------------------------------------------------------------------


def list_hook_asks(snapshot: Snapshot) -> tuple[Ask, ...]:
    """Return what must be known of the runs of hooks that are not decided."""
    record = read_record(snapshot.status)
    return tuple(
        Known(_OPERATION, name_hook_run(snapshot.body, index, record.round))
        for index, letter in enumerate(record.states)
        if letter == OPEN
    )


def fire_hooks(snapshot: Snapshot) -> Decision | None:
    """Decide about the hooks of a run that is over; None if nothing is left to decide."""
    record = read_record(snapshot.status)
    if not record.is_open or snapshot.is_being_deleted:
        return None
    prepared = snapshot.prepared
    if isinstance(prepared, SpecError):
        return _give_up(snapshot, record, prepared)
    hooks = list_hooks(prepared)
    if UNREAD in record.states or len(record.states) != len(hooks):
        new = Record(OPEN * len(hooks), (), record.round)
        return _write(snapshot, new, again=0.0)
    return _fire(snapshot, record, _Hooks(snapshot, prepared, hooks, record.round))


def refuse_hook(snapshot: Snapshot, refusal: Refusal) -> Decision | None:
    """Decide after the API server did not create the run of a hook: the first that is not known."""
    verdict, record = interpret_child_refusal(refusal), read_record(snapshot.status)
    if verdict is None:
        return None
    for index, letter in enumerate(record.states):
        if letter == OPEN and not _is_created(snapshot, index):
            record = record.with_problem(index, verdict.reason, verdict.message)
            if verdict.phase.is_final:
                record = record.with_letter(index, REFUSED)
            break
    again = 0.0 if verdict.phase.is_final and record.is_open else verdict.again
    return _write(snapshot, record, again=again)


def give_up_hooks(snapshot: Snapshot, error: SpecError) -> Decision:
    """Decide that the hooks of a run that is over are not decided any more."""
    record = read_record(snapshot.status)
    return _give_up(snapshot, record, error) if record.is_open else NOTHING


def _give_up(snapshot: Snapshot, record: Record, error: SpecError) -> Decision:
    """Record why the hooks that are not decided cannot run."""
    states = record.states.replace(UNREAD, "")
    given_up = replace(record, states=states.replace(OPEN, REFUSED))
    for index, letter in enumerate(states):
        if letter == OPEN:
            given_up = given_up.with_problem(index, error.reason, error.message)
    return _write(snapshot, given_up)


def _fire(snapshot: Snapshot, record: Record, hooks: _Hooks) -> Decision:
    """Return the next step: record what does not fire, create one run, or record the created."""
    before, create, created = record, None, []
    for index, letter in enumerate(record.states):
        if letter != OPEN:
            continue
        if _is_created(snapshot, index):
            created.append(index)
            continue
        try:
            manifest = hooks.render(index)
        except SpecError as error:
            record = record.with_letter(index, REFUSED)
            record = record.with_problem(index, error.reason, error.message)
            continue
        if manifest is None:
            record = record.with_letter(index, NOT_DUE)
        elif create is None:
            create = Create(manifest)
    if create is None:
        for index in created:
            record = record.without_problem(index).with_letter(index, FIRED)
        return _write(snapshot, record)
    decision = Decision(actions=(create,), requeue_after=0.0)
    if record == before:
        return decision
    return replace(_write(snapshot, record, again=0.0), actions=decision.actions)


def _is_created(snapshot: Snapshot, index: int) -> bool:
    """Return whether the run of a hook is known to be one that this run asked for."""
    number = read_record(snapshot.status).round
    name = name_hook_run(snapshot.body, index, number)
    found = snapshot.answers.get(Known(_OPERATION, name))
    return found is not None and bool(found.own_uid)


def _write(snapshot: Snapshot, record: Record, again: float | None = None) -> Decision:
    """Record the letters under the version that was read; everything else stays as it ended.

    Once all are decided, the run is looked at again: what it left is still to be cleared.
    """
    status = {**snapshot.status, HOOKS_KEY: record.as_dict()}
    return Decision(status, freeze=True, requeue_after=again if record.is_open else 0.0)


@dataclass(frozen=True)
class _Hooks:
    """The hooks of a run that is over."""

    snapshot: Snapshot
    prepared: Prepared
    written: Sequence[Mapping[str, Any]]
    round: int

    def render(self, index: int) -> Manifest | None:
        """Return the run of a hook; None if it is not due. Raises SpecError."""
        hook, path = self.written[index], f"hooks[{index}]"
        if not self._is_triggered(hook, path) or not self._holds(hook, path):
            return None
        operation = self._make_operation(hook, path)
        return render_hook_run(self.snapshot.body, index, operation, self.round)

    @cached_property
    def values(self) -> Mapping[str, Any]:
        """What the templates of hooks can read: the run's own values, and the facts of its end."""
        snapshot, body = self.snapshot, self.snapshot.body
        facts = read_upstream(body, snapshot.settings).globals
        scope = Scope(self.prepared.identity, evaluate=snapshot.evaluate)
        compiled = self.prepared.compiled
        declared = (
            {}
            if compiled is None
            else {io.name: io for io in (*compiled.inputs, *compiled.outputs)}
        )
        for name, value in {**read_inputs(body), **read_outputs(body)}.items():
            scope.add(name, value, declared.get(name))
        own = scope.values["globals"]
        return {**self.defaults, **scope.values, "globals": {**facts, **own}}

    @cached_property
    def defaults(self) -> dict[str, Any]:
        body = self.snapshot.body
        facts = read_upstream(body, self.snapshot.settings).globals
        values = {"inputs": read_inputs(body), "outputs": read_outputs(body)}
        return {name: values[name] if name in values else facts.get(name) for name in DEFAULTS}

    def _render(self, value: Any, path: str) -> Any:
        return render(value, self.values, path, evaluate=self.snapshot.evaluate)

    def _is_triggered(self, hook: Mapping[str, Any], path: str) -> bool:
        trigger = self._render(hook.get("trigger") or "done", f"{path}.trigger")
        if trigger not in TRIGGERS:
            message = f"expected one of {list_names(TRIGGERS)}, found {trigger!r}"
            raise SpecError("InvalidSpec", message, f"{path}.trigger")
        return trigger in ("done", self.snapshot.phase.published)

    def _holds(self, hook: Mapping[str, Any], path: str) -> bool:
        conditions = hook.get("conditions")
        if conditions is None:
            return True
        try:
            return evaluate_condition(str(conditions), self.values, evaluate=self.snapshot.evaluate)
        except SpecError as error:
            raise error.within(path) from None

    def _make_operation(self, hook: Mapping[str, Any], path: str) -> dict[str, Any]:
        """Return the operation that a hook runs. What was rendered is not rendered again."""
        operation: dict[str, Any] = {"hubRef": str(hook["hubRef"])}
        if hook.get("queue") is not None:
            operation["queue"] = make_literal(self._render(hook["queue"], f"{path}.queue"))
        if hook.get("connection") is not None:
            name = self._render(hook["connection"], f"{path}.connection")
            operation["runPatch"] = {"connections": [make_literal(name)]}
        params = self._make_params(hook, path)
        return {**operation, "params": params} if params else operation

    def _make_params(self, hook: Mapping[str, Any], path: str) -> dict[str, Any]:
        is_bare = self._render(hook.get("disableDefaults") or False, f"{path}.disableDefaults")
        params: dict[str, Any] = {}
        if is_bare not in (True, "true"):
            params = {
                name: {"value": make_literal(value), "contextOnly": True}
                for name, value in self.defaults.items()
            }
        given = hook.get("params")
        if isinstance(given, str):
            given = self._render(given, f"{path}.params")
        if given is not None and not isinstance(given, Mapping):
            message = f"expected a mapping, found {type(given).__name__}"
            raise SpecError("InvalidSpec", message, f"{path}.params")
        for name, param in (given or {}).items():
            params[name] = self._make_param(param, f"{path}.params.{name}")
        return params

    def _make_param(self, param: Any, path: str) -> Any:
        if not isinstance(param, Mapping) or not {"value", "ref"} & param.keys():
            return {"value": make_literal(self._render(param, path))}
        if param.get("ref") is not None:
            # The hook's run resolves it, as any run does.
            return dict(param)
        value = self._render(param.get("value"), f"{path}.value")
        return {**param, "value": make_literal(value)}
