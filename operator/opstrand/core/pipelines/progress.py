"""Decide how a pipeline goes on: which operations start, which never will, and how it ends.

Owns the walk over the graph. The graph is read once; each decision passes over it once, in the
order of the edges. `triggers` says what one operation makes of the ends of its upstreams. Must not
create anything or look at an object.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

from opstrand.core.operation import Node
from opstrand.core.phase import Phase
from opstrand.core.pipelines.events import find_happened, read_events
from opstrand.core.pipelines.graph import topological_stages
from opstrand.core.pipelines.letters import (
    ABSENT,
    CACHED,
    FAILED,
    PUBLISHED,
    SKIPPED,
    STARTED,
    STOPPED,
    SUCCEEDED,
    UPSTREAM_FAILED,
    Child,
    Children,
)
from opstrand.core.pipelines.triggers import DEFAULT_TRIGGER, Verdict, evaluate_trigger
from opstrand.errors import Problem, SpecError
from opstrand.spec.scalars import is_template

#: The letter of an operation that never gets a run.
_WITHOUT_RUN = {"skipped": SKIPPED, "upstream_failed": UPSTREAM_FAILED}


@dataclass(frozen=True)
class Op:
    """One operation in the graph; upstreams are indexes.

    `upstreams` count for the trigger; `refs` are those that a param reads, `addresses` those of
    which only the address of a service is read. `events` are further upstreams, with the statuses
    of which one must be reached.
    """

    name: str
    upstreams: tuple[int, ...] = ()
    refs: frozenset[int] = frozenset()
    addresses: frozenset[int] = frozenset()
    trigger: str = DEFAULT_TRIGGER
    skips: bool = False
    is_service: bool = False
    events: tuple[tuple[int, frozenset[str]], ...] = ()


@dataclass(frozen=True)
class Graph:
    """The operations in the order of the file, and their indexes in the order of the edges."""

    ops: tuple[Op, ...]
    order: tuple[int, ...] = ()
    index: Mapping[str, int] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Step:
    """What to do now.

    `children`: the letters as they are after this decision; `start`: the operations that may be
    created now; `leave`: only services run, which are to be stopped.
    """

    children: Children
    start: tuple[int, ...] = ()
    leave: bool = False

    @property
    def is_over(self) -> bool:
        return self.children.is_done


def read_graph(nodes: Mapping[str, Node]) -> Graph:
    """Read the graph of a pipeline that was validated.

    Raises SpecError where a template stands for what must be known before an operation starts.
    """
    problems = [one for node in nodes.values() for one in _check_fixed(node)]
    if problems:
        raise SpecError.of(problems)
    index = {name: at for at, name in enumerate(nodes)}
    stages = topological_stages({name: node.upstreams for name, node in nodes.items()})
    return Graph(
        tuple(_read_op(node, index) for node in nodes.values()),
        tuple(index[name] for stage in stages for name in stage),
        index,
    )


def _check_fixed(node: Node) -> Iterator[Problem]:
    for key in ("trigger", "skipOnUpstreamSkip", "dependencies"):
        value = _get(node, key)
        if any(is_template(one) for one in (value if isinstance(value, list) else [value])):
            message = "in a pipeline this decides before any template is rendered: write the value"
            yield Problem("InvalidSpec", message, f"{node.path}.{key}")


def _read_op(node: Node, index: Mapping[str, int]) -> Op:
    asked = _list_asked(node)
    dependencies = {str(name) for name in _get(node, "dependencies") or ()}
    events = read_events(_get(node, "events"))
    only_events = events.keys() - dependencies - asked.keys()
    only_addresses = (
        name for name in asked.keys() - dependencies if all(map(_is_address, asked[name]))
    )
    return Op(
        node.name,
        tuple(sorted(index[name] for name in node.upstreams - only_events)),
        frozenset(index[name] for name in asked),
        frozenset(index[name] for name in only_addresses),
        str(_get(node, "trigger") or DEFAULT_TRIGGER),
        _get(node, "skipOnUpstreamSkip") is True,
        node.compiled is not None and node.compiled.kind == "service",
        tuple((index[name], statuses) for name, statuses in events.items()),
    )


def _list_asked(node: Node) -> dict[str, list[Any]]:
    """Return what the params of an operation read of each sibling."""
    params = _get(node, "params")
    asked: dict[str, list[Any]] = {}
    for param in (params if isinstance(params, Mapping) else {}).values():
        ref = param.get("ref") if isinstance(param, Mapping) else None
        if isinstance(ref, str) and ref.startswith("ops."):
            asked.setdefault(ref.removeprefix("ops."), []).append(param.get("value"))
    return asked


def _is_address(value: Any) -> bool:
    text = value.strip().removeprefix("{{").removesuffix("}}").strip() if _is_text(value) else ""
    return text in _ADDRESSES


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


#: The globals that a running service has; `resolving.refs` has the same list.
_ADDRESSES = frozenset(f"globals.{name}" for name in ("host", "ports", "base_url", "base_urls"))


def _get(node: Node, key: str) -> Any:
    """Return a key of an operation as it is compiled, or as written if its component is unknown."""
    return (node.written if node.compiled is None else node.compiled.merged).get(key)


# -- one decision ----------------------------------------------------------------------------------


def progress(
    graph: Graph,
    children: Children,
    seen: Mapping[int, Child],
    *,
    gone: Set[int] = frozenset(),
    concurrency: int | None = None,
    most: int | None = None,
    is_stopping: bool = False,
    is_leaving: bool = False,
) -> Step:
    """Decide about all operations.

    `children` is what the status says, `seen` the objects that exist, `gone` the children of which
    no object exists any more. `most`: how many may be started by one decision. `is_leaving`: the
    services are being stopped because nothing else runs.
    """
    if is_leaving:
        seen = {at: _leave(graph.ops[at], child) for at, child in seen.items()}
    walk = _Walk(graph, children, seen, gone)
    ready = walk.settle(is_stopping=is_stopping)
    after = children.with_letters(walk.changes)
    free = len(graph.ops) if concurrency is None else max(concurrency - after.alive, 0)
    limit = free if most is None else min(free, most)
    leave = not is_stopping and _has_only_services(graph, after)
    return Step(after, tuple(sorted(ready)[:limit]), leave)


def _leave(op: Op, child: Child) -> Child:
    """Count a service that its pipeline stopped at the end as succeeded."""
    return replace(child, letter=SUCCEEDED) if op.is_service and child.letter == STOPPED else child


def _has_only_services(graph: Graph, children: Children) -> bool:
    alive = [at for at, letter in enumerate(children.states) if letter not in PUBLISHED]
    return bool(alive) and all(
        graph.ops[at].is_service and children.states[at] == STARTED for at in alive
    )


class _Walk:
    """The letters of one decision while they settle, and when each operation ended."""

    def __init__(
        self, graph: Graph, children: Children, seen: Mapping[int, Child], gone: Set[int]
    ) -> None:
        self._graph, self._seen = graph, seen
        self._stored = children.states
        self.letters = list(children.states)
        for at, child in seen.items():
            # An end is final: a body older than the written letter changes nothing.
            if self.letters[at] not in PUBLISHED:
                self.letters[at] = child.letter
        for at in gone:
            if self.letters[at] not in PUBLISHED and at not in seen:
                self.letters[at] = STOPPED
        self._ends = {at: child.finished_at for at, child in seen.items()}

    @property
    def changes(self) -> dict[int, str]:
        return {
            at: letter
            for at, (letter, before) in enumerate(zip(self.letters, self._stored, strict=True))
            if letter != before
        }

    def settle(self, *, is_stopping: bool) -> list[int]:
        """Give a letter to all that never get a run; returns those that may start."""
        ready = []
        for at in self._graph.order:
            if self.letters[at] != ABSENT:
                if at not in self._ends and self._is_without_run(at):
                    self._ends[at] = (self._decide_events(at) or self._decide_start(at))[1]
                continue
            if is_stopping:
                self.letters[at] = STOPPED
                continue
            verdict, since = self._decide_events(at) or self._decide_start(at)
            if verdict in _WITHOUT_RUN:
                self.letters[at] = _WITHOUT_RUN[verdict]
                self._ends[at] = since
            elif verdict == "start" and self._can_read(at) and self._has_happened(at):
                ready.append(at)
        return ready

    def _decide_events(self, at: int) -> tuple[Verdict, str] | None:
        """Return the verdict on an operation that waits for what can no longer happen."""
        for one, statuses in self._graph.ops[at].events:
            if find_happened(statuses, self.letters[one], self._seen.get(one)) == "never":
                return "upstream_failed", self._ends.get(one, "")
        return None

    def _has_happened(self, at: int) -> bool:
        return all(
            find_happened(statuses, self.letters[one], self._seen.get(one)) == "yes"
            for one, statuses in self._graph.ops[at].events
        )

    def _is_without_run(self, at: int) -> bool:
        return self.letters[at] in (SKIPPED, UPSTREAM_FAILED)

    def _decide_start(self, at: int) -> tuple[Verdict, str]:
        """Return the verdict on an operation, and when the end happened that decided it."""
        op = self._graph.ops[at]
        upstreams = [one for one in op.upstreams if not self._serves(op, one)]
        if not upstreams:
            return "start", ""
        done = [one for one in upstreams if self.letters[one] in PUBLISHED]
        if len(done) < len(upstreams) and op.trigger.startswith("all_") and not op.skips:
            return "wait", ""
        done.sort(key=lambda one: (self._ends.get(one, ""), one))
        statuses = [PUBLISHED[self.letters[one]] for one in done]
        missing: list[str | None] = [None] * (len(upstreams) - len(done))
        verdict = evaluate_trigger(op.trigger, op.skips, [*statuses, *missing])
        if verdict not in _WITHOUT_RUN:
            return verdict, ""
        # The first end after which the verdict stands is when this one ended too.
        for count, last in enumerate(done, 1):
            rest: list[str | None] = [None] * (len(upstreams) - count)
            if evaluate_trigger(op.trigger, op.skips, [*statuses[:count], *rest]) == verdict:
                return verdict, self._ends.get(last, "")
        return verdict, ""

    def _serves(self, op: Op, upstream: int) -> bool:
        """Return whether all that is asked of a running service is its address."""
        child = self._seen.get(upstream)
        return (
            upstream in op.addresses
            and child is not None
            and child.is_running
            and self._graph.ops[upstream].is_service
        )

    def _can_read(self, at: int) -> bool:
        """Return whether each run that a param reads exists or has ended.

        An operation that waits for a run holds a slot, which that run might need.
        """
        return all(self.letters[one] != ABSENT for one in self._graph.ops[at].refs)


def find_services_of(graph: Graph, again: Set[int]) -> frozenset[int]:
    """Return the services whose address is read by an operation that runs again.

    They run again too: a service that is over serves no one. The same holds for what they read.
    """
    found: set[int] = set()
    for at in reversed(graph.order):
        if at in again or at in found:
            found |= {one for one in graph.ops[at].addresses if graph.ops[one].is_service}
    return frozenset(found)


# -- the end ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class End:
    """How a pipeline ends."""

    phase: Phase
    reason: str
    message: str = ""


def find_end(children: Children, *, is_stopping: bool = False) -> End:
    """Return how a pipeline ends whose children have all ended."""
    if is_stopping:
        return End(Phase.STOPPED, "Stopped", "stopped on request")
    failed = children.count(FAILED)
    if failed:
        return End(Phase.FAILED, "ChildFailed", _describe_failures(children, failed))
    if children.count(STOPPED) == len(children.states):
        return End(Phase.STOPPED, "Stopped", "all of its operations were stopped")
    rest = _describe_rest(children)
    return End(Phase.SUCCEEDED, "Succeeded", rest)


def _describe_failures(children: Children, failed: int) -> str:
    causes = "; ".join(
        f"{one['op']} ({one['reason']})" + (f": {one['message']}" if one["message"] else "")
        for one in children.failures
    )
    message = f"{failed} of {len(children.states)} failed"
    return f"{message}: {causes}" if causes else message


def _describe_rest(children: Children) -> str:
    """Return which operations did not run, for a pipeline that succeeded without them."""
    counts = (
        (children.count(SKIPPED), "skipped"),
        (children.count(STOPPED), "stopped"),
        (children.count(UPSTREAM_FAILED), "did not run because of an upstream"),
    )
    rest = ", ".join(f"{count} {words}" for count, words in counts if count)
    return f"{children.count(SUCCEEDED, CACHED)} succeeded, {rest}" if rest else ""
