"""Resolve the values of a run once: params, defaults and refs become its inputs and outputs.

Owns the order (first problems that need no other run, then waits, then templates in the order of
what they read), where each value came from, and the three outcomes: the values, a wait, or a
SpecError. Must not know runs beyond what their `Upstream` says. The same arguments give the same
result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import Any

from opstrand.core.identity import Identity
from opstrand.core.limits import EDGES, INPUTS, OUTPUTS, check_size
from opstrand.core.names import is_run_name
from opstrand.core.operation import CompiledOperation
from opstrand.core.resolving.bindings import Slot, bind, bind_params
from opstrand.core.resolving.joins import Searched, find_search, read_join, search
from opstrand.core.resolving.refs import Edge, Ref, Upstream
from opstrand.core.resolving.stored import NotSearched, Unanswered
from opstrand.core.resolving.upstream_values import Pending, read
from opstrand.core.resolving.waits import SearchWaits, Waiting, Waits
from opstrand.core.templates.context import Scope
from opstrand.core.templates.lookups import find_names, is_template
from opstrand.core.templates.meter import Evaluate, Exhausted, Metered, metered
from opstrand.core.templates.template import iter_texts, refuse, render
from opstrand.core.values.types import restore
from opstrand.errors import MAX_PROBLEMS, Problem, SpecError
from opstrand.spec.io import IO
from opstrand.text import shorten
from opstrand.types import RunStatus


@dataclass(frozen=True)
class Resolved:
    """The values that a run starts with.

    `inputs` is what `get_inputs()` returns: context values, then declared inputs; `outputs` has
    only those with a value.
    """

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    edges: tuple[Edge, ...] = ()


def resolve(
    compiled: CompiledOperation,
    identity: Identity,
    upstreams: Mapping[Ref, Upstream | Unanswered | None],
    *,
    project: Sequence[Upstream] | None = None,
    searched: Searched = None,
    evaluate: Evaluate = refuse,
) -> Resolved | Waiting:
    """Resolve the values of one run, or return what they wait for.

    `upstreams` has every ref of `collect_refs`; None stands for a run that was not found. `project`
    are the runs among which joins select; None if they are not known. `searched` are the searches
    that were asked of the store, with what they found among `project`; None if there is no store.
    `evaluate` renders what is more than a look-up. Raises SpecError with every problem that can be
    seen now.
    """
    evaluate = metered(evaluate)
    bindings = bind_params(compiled)
    problems = list(bindings.problems)
    if compiled.joins and project is None:
        raise SpecError("NotSupported", "joins are not searched here", "joins")
    found = _Found(bindings.slots, identity, evaluate)
    found.bind_literals(problems)
    if problems:
        raise SpecError.of(problems)
    waiting = found.read_refs(compiled, upstreams)
    if waiting is not None:
        return waiting
    others = [run for run in project or () if run.uuid != identity.uuid]
    waiting = found.settle_rest(compiled.joins or (), others, searched)
    return waiting or found.finish()


class _Found:
    """The values of one resolution while they settle."""

    def __init__(self, slots: Sequence[Slot], identity: Identity, evaluate: Metered) -> None:
        self.slots = slots
        self.identity = identity
        self.evaluate = evaluate
        self.values: dict[int, Any] = {}
        #: The values that each run gave, by its uuid and the kind of the edge.
        self.edges: dict[tuple[str, str], tuple[Upstream, dict[str, str]]] = {}

    def bind_literals(self, problems: list[Problem]) -> None:
        for index, slot in enumerate(self.slots):
            if slot.ask is None and not _has_template(slot.value):
                try:
                    self.values[index] = bind(slot.value, slot, evaluate=self.evaluate)
                except SpecError as error:
                    problems.extend(error.problems)

    def read_refs(
        self,
        compiled: CompiledOperation,
        upstreams: Mapping[Ref, Upstream | Unanswered | None],
    ) -> Waiting | None:
        """Read every value of a run that is named.

        Raises SpecError with all values that will never come, before it waits for anything.
        """
        waits, problems = Waits(), list[Problem]()
        for index, slot in enumerate(self.slots):
            try:
                if slot.ref is not None:
                    self._read_ref(
                        index,
                        slot,
                        slot.ref,
                        upstreams.get(slot.ref),
                        _is_lenient(compiled, slot.ref),
                        waits,
                    )
            except Exhausted:
                raise
            except SpecError as error:
                problems.extend(error.problems)
        if problems:
            raise SpecError.of(problems)
        return waits.finish()

    def _read_ref(
        self,
        index: int,
        slot: Slot,
        ref: Ref,
        upstream: Upstream | Unanswered | None,
        lenient: bool,
        waits: Waits,
    ) -> None:
        assert slot.ask is not None
        if isinstance(upstream, Unanswered):
            waits.add_unanswered(ref, upstream, slot)
            return
        if (upstream.uuid if upstream else ref.target) == self.identity.uuid:
            raise SpecError("RefToItself", f"'{ref}' is this very run", f"{slot.path}.ref")
        if upstream is None and ref.kind == "dag" and self.identity.is_alone:
            raise SpecError(
                "RefInvalid",
                "'dag' is the pipeline that a run belongs to, and this run belongs to none",
                f"{slot.path}.ref",
            )
        if upstream is None:
            if self._is_alone(ref) and not is_run_name(ref.target):
                words = "at most 52 lower-case letters, digits and dashes"
                raise SpecError(
                    "RefInvalid",
                    f"no run can be named {shorten(repr(ref.target), 80)}: expected {words}",
                    f"{slot.path}.ref",
                )
            waits.add_missing(ref, slot)
            return
        value = read(ref, slot.ask, upstream, f"{slot.path}.value", lenient=lenient)
        if isinstance(value, Pending):
            waits.add_pending(ref, upstream, value, slot)
            return
        self.evaluate.meter.charge(value, slot.path)
        self._settle(index, value, f"{ref} {slot.ask}")
        self._link(upstream, "run" if ref.kind == "runs" or self._is_alone(ref) else "dag", slot)

    def _is_alone(self, ref: Ref) -> bool:
        return ref.kind == "ops" and self.identity.is_alone

    def _settle(self, index: int, value: Any, detail: str) -> None:
        """Bind a value from another run or a template; an error says where the value came from."""
        slot = self.slots[index]
        try:
            self.values[index] = bind(value, slot, evaluate=self.evaluate)
        except SpecError as error:
            raise SpecError.of(
                [replace(p, message=f"{detail}: {p.message}") for p in error.problems]
            ) from None

    def _link(self, upstream: Upstream, kind: str, slot: Slot) -> None:
        if not upstream.uuid:
            return  # an operation of the pipeline that has no run
        _, values = self.edges.setdefault((upstream.uuid, kind), (upstream, {}))
        values[slot.name] = str(slot.ask)

    def settle_rest(
        self,
        joins: Sequence[Mapping[str, Any]],
        project: Sequence[Upstream],
        searched: Searched,
    ) -> Waiting | None:
        """Render every template and run every join's search once, after the values it reads."""
        pending: dict[str, list[int]] = {}
        for index, slot in enumerate(self.slots):
            if index not in self.values:
                pending.setdefault(slot.name, []).append(index)
        if not pending:
            return None
        scope = Scope(self.identity, evaluate=self.evaluate)
        for index, value in sorted(self.values.items()):
            self._show(scope, index, value)
        find = cache(
            lambda join: search(
                joins[join],
                project,
                scope.values,
                f"joins[{join}]",
                searched=searched,
                evaluate=self.evaluate,
            )
        )
        problems: list[Problem] = []
        lost: set[str] = set()
        waits = SearchWaits()
        for name, reads in _order(
            {name: [self.slots[i] for i in indexes] for name, indexes in pending.items()}, joins
        ):
            if len(problems) >= MAX_PROBLEMS or not lost.isdisjoint(reads):
                lost.add(name)  # what it reads is wrong, which was reported, or not known yet
                continue
            for index in pending[name]:
                try:
                    wrong = self._try_to_settle(index, scope, find)
                except NotSearched as missing:
                    waits.add(missing)
                    lost.add(name)
                    continue
                problems += wrong
                lost |= {name} if wrong else set()
        if problems:
            raise SpecError.of(list(dict.fromkeys(problems)))
        return waits.finish()

    def _try_to_settle(
        self, index: int, scope: Scope, find: Callable[[int], Sequence[Upstream]]
    ) -> tuple[Problem, ...]:
        join = self.slots[index].join
        try:
            self._render_slot(index, scope) if join is None else self._read_join(
                index, find(join), scope
            )
        except Exhausted:
            raise
        except SpecError as error:
            return error.problems
        return ()

    def _read_join(self, index: int, runs: Sequence[Upstream], scope: Scope) -> None:
        slot = self.slots[index]
        assert slot.ask is not None
        joined = read_join(
            slot.ask, runs, lambda value: self.evaluate.meter.charge(value, slot.path)
        )
        self._settle(index, joined, f"{slot.ask} of {len(runs)} runs")
        self._show(scope, index, self.values[index])
        for run in runs:
            self._link(run, "join", slot)

    def _render_slot(self, index: int, scope: Scope) -> None:
        slot = self.slots[index]
        value = render(slot.value, scope.values, slot.path, evaluate=self.evaluate)
        self._settle(
            index,
            value,
            shorten(slot.value if isinstance(slot.value, str) else repr(slot.value), 200),
        )
        self._show(scope, index, self.values[index])

    def _show(self, scope: Scope, index: int, value: Any) -> None:
        slot = self.slots[index]
        scope.add(slot.name, value, slot.io, slot.connection)

    def finish(self) -> Resolved:
        inputs: dict[str, Any] = {}
        outputs: dict[str, Any] = {}
        for index, slot in enumerate(self.slots):
            value = self.values[index]
            (outputs if slot.section == "outputs" else inputs)[slot.name] = value
        outputs = {name: value for name, value in outputs.items() if value is not None}
        check_size(inputs, INPUTS, "the inputs", "params")
        check_size(outputs, OUTPUTS, "the outputs", "params")
        if len(self.edges) > EDGES:
            raise SpecError(
                "TooLarge",
                f"its values come from {len(self.edges)} runs; at most {EDGES} fit",
                "params",
            )
        edges = tuple(
            Edge(run.uuid, run.name, kind, values, run.original)
            for (_, kind), (run, values) in self.edges.items()
        )
        return Resolved(inputs, outputs, edges)


def _is_lenient(compiled: CompiledOperation, ref: Ref) -> bool:
    """Return whether the results of a run that did not succeed may be read.

    They may for a run named by its uuid, or with a trigger that allows other ends.
    """
    return ref.kind != "ops" or compiled.trigger not in (None, "all_succeeded")


def _order(
    pending: Mapping[str, list[Slot]], joins: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, list[str]]]:
    """Yield the names with templates and what their templates read, each after those.

    Raises SpecError TemplateError for a cycle, which it names.
    """
    graph = {name: _collect_reads(name, slots, pending, joins) for name, slots in pending.items()}
    try:
        yield from ((name, graph[name]) for name in TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = error.args[1][::-1]  # in the order in which they read each other
        path = pending[circle[0]][0].path
        raise SpecError(
            "TemplateError", f"the values read each other in a circle: {' -> '.join(circle)}", path
        ) from None


def _collect_reads(
    name: str, slots: Sequence[Slot], pending: Mapping[str, Any], joins: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return the names that the slots of a name read, sorted.

    The order makes the same cycle be named in the same way in every process. A template that reads
    all values also reads itself, which is enough to find the cycle.
    """
    reads: set[str] = set()
    read = (slot.value if slot.join is None else find_search(joins[slot.join]) for slot in slots)
    for text in (text for one in read for text in iter_texts(one) if is_template(text)):
        names = find_names(text)
        reads |= (names.top | names.params) & pending.keys()
        reads |= {name} if names.every else set()
    return sorted(reads)


def _has_template(value: Any) -> bool:
    return any(is_template(text) for text in iter_texts(value))


def read_frozen(status: RunStatus) -> Resolved:
    """Read what the operator froze of a run's values, as it is stored.

    An attempt is rendered only from these. What the run reports is kept in other fields.
    """
    return Resolved(status.get("inputs") or {}, status.get("frozenOutputs") or {})


def restore_value(
    compiled: CompiledOperation, inputs: Mapping[str, Any], outputs: Mapping[str, Any]
) -> Resolved:
    """Restore the values of a status as they were frozen, without resolving anything again.

    Declared types are restored (the cluster stores 1.0 as 1), and so is the declared order (the
    cluster stores keys in alphabetical order): other inputs come before the declared ones, other
    outputs after them.
    """
    return Resolved(
        _restore_all(inputs, compiled.inputs, others_first=True),
        _restore_all(outputs, compiled.outputs, others_first=False),
    )


def _restore_all(
    values: Mapping[str, Any], declared: Sequence[IO], *, others_first: bool
) -> dict[str, Any]:
    types = {io.name: io for io in declared}
    known = [name for name in types if name in values]
    others = [name for name in values if name not in types]
    order = (*others, *known) if others_first else (*known, *others)
    return {name: _restore_one(values[name], types.get(name)) for name in order}


def _restore_one(value: Any, io: IO | None) -> Any:
    return restore(value, io.type if io else None, is_list=bool(io and io.is_list))
