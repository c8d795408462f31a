"""A pipeline and all its runs as one tree: what exists, and what the parent says of the rest.

Owns joining the two: an object counts for a run that has one, the letter in its parent's status for
one that has none. Must not fetch anything, and must not know how the tree is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from opstrand.core import names
from opstrand.core.operation import CompiledOperation
from opstrand.core.phase import Phase, parse_phase
from opstrand.core.pipelines.children import MAX_DEPTH
from opstrand.core.pipelines.letters import (
    ABSENT,
    CACHED,
    FAILED,
    PUBLISHED,
    SUCCEEDED,
    Children,
    read_child,
    read_children,
)
from opstrand.core.pipelines.matrix import matrix_names
from opstrand.core.pipelines.progress import Graph, progress, read_graph
from opstrand.core.recorded import read_status
from opstrand.errors import SpecError
from opstrand.runs.compiling import compile_body
from opstrand.runs.members import KINDS, by_pipeline, is_pipeline
from opstrand.runs.reasons import (
    WORDS,
    explain_limit,
    explain_no_run,
    explain_pipeline,
    explain_upstreams,
    read_failures,
)
from opstrand.types import Body


@dataclass(frozen=True)
class Member:
    """One run of a pipeline.

    `body` is None if it has no object. `note`: what there is to say of it beside its phase.
    """

    op: str
    name: str
    letter: str
    body: Body | None = None
    note: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    is_best: bool = False
    #: The runs of a run that is a pipeline itself.
    family: Family | None = None

    @property
    def phase(self) -> str:
        """The phase, or "not created"."""
        if self.body is None or self._is_newer:
            return WORDS[self.letter]
        return parse_phase(read_status(self.body)).value

    @property
    def _is_newer(self) -> bool:
        """Whether the letter knows of an end that this object does not show yet."""
        assert self.body is not None
        return self.letter in PUBLISHED and not parse_phase(read_status(self.body)).is_final

    @property
    def is_done(self) -> bool:
        return self.letter in PUBLISHED

    @property
    def is_well(self) -> bool:
        return self.letter in (SUCCEEDED, CACHED)


@dataclass(frozen=True)
class Family:
    """The runs of one pipeline, in the order of its file, or of their indexes."""

    pipeline: Body
    members: tuple[Member, ...]
    graph: Graph | None = None

    def __len__(self) -> int:
        """Return how many runs there are on all levels."""
        inner = (one.family for one in self.members if one.family is not None)
        return len(self.members) + sum(map(len, inner))

    @property
    def is_matrix(self) -> bool:
        return read_status(self.pipeline).get("kind") == "matrix"

    def find(self, op: str) -> Member | None:
        """Return the run of an operation or index, or the run of this name."""
        return next((one for one in self.members if op in (one.op, one.name)), None)

    def upstreams(self, member: Member) -> list[Member]:
        """Return the operations that an operation depends on, in the order of the file."""
        if self.graph is None:
            return []
        return [self.members[at] for at in self.graph.ops[self.graph.index[member.op]].upstreams]

    def walk(self, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Member]]:
        """Yield every run on all levels with the operations that lead to it."""
        for member in self.members:
            path = (*above, member.op)
            yield path, member
            if member.family is not None:
                yield from member.family.walk(path)


def read_family(pipeline: Body, runs: Sequence[Body]) -> Family:
    """Return the tree of a pipeline; `runs` are its runs on all levels, among others."""
    return _read(pipeline, by_pipeline(runs), MAX_DEPTH)


def _read(pipeline: Body, made: Mapping[str, Mapping[str, Body]], depth: int) -> Family:
    bodies = made.get(str(pipeline["metadata"]["uid"]), {})
    compiled = _compile(pipeline)
    is_dag = _is_dag(pipeline, compiled)
    keys = _list_keys(pipeline, compiled, is_dag=is_dag)
    if not keys:
        keys = {name: names.read_op(body) for name, body in bodies.items()}
    children = read_children(read_status(pipeline), len(keys))
    graph = _read_graph(compiled) if is_dag and compiled is not None else None
    found = {at: bodies[name] for at, name in enumerate(keys) if name in bodies}
    children, ready = _settle(pipeline, graph, children, found)
    explanations = _Explanations(pipeline, graph, children, frozenset(ready), found)
    params = [] if is_dag or compiled is None else matrix_names(compiled.matrix)
    best = (read_status(pipeline).get("best") or {}).get("name")
    members = tuple(
        Member(
            op,
            name,
            children.states[at],
            found.get(at),
            explanations.explain(at, op),
            _read_params(found.get(at), params),
            name == best,
            _read(found[at], made, depth - 1)
            if at in found and depth > 0 and is_pipeline(found[at])
            else None,
        )
        for at, (name, op) in enumerate(keys.items())
    )
    return Family(pipeline, members, graph)


def _compile(pipeline: Body) -> CompiledOperation | None:
    """Compile the file of a pipeline; None if it is invalid, which the operator reports."""
    try:
        return compile_body(pipeline)
    except SpecError:
        return None


def _is_dag(pipeline: Body, compiled: CompiledOperation | None) -> bool:
    kind = read_status(pipeline).get("kind")
    if kind in KINDS:
        return kind == "dag"
    return compiled is not None and compiled.matrix is None


def _list_keys(
    pipeline: Body, compiled: CompiledOperation | None, *, is_dag: bool
) -> dict[str, str]:
    """Return the operation or index of each run by the run's name, in their order."""
    metadata = pipeline["metadata"]
    uuid = names.run_uuid(str(metadata["uid"]))
    if is_dag:
        ops: Sequence[str | int] = () if compiled is None else list(compiled.nodes)
    else:
        stored = read_status(pipeline).get("children") or {}
        ops = range(len(str(stored.get("states") or "")))
    return {names.child_name(str(metadata["name"]), uuid, op): str(op) for op in ops}


def _read_graph(compiled: CompiledOperation) -> Graph | None:
    try:
        return read_graph(compiled.nodes)
    except SpecError:
        return None


def _settle(
    pipeline: Body, graph: Graph | None, children: Children, found: Mapping[int, Body]
) -> tuple[Children, tuple[int, ...]]:
    """Return the letters with what the objects say, and the operations whose turn it is.

    The operator writes letters a few seconds after the objects.
    """
    seen = {at: read_child(body) for at, body in found.items()}
    is_dag = graph is not None and not parse_phase(read_status(pipeline)).is_final
    if is_dag and not explain_pipeline(pipeline):
        assert graph is not None
        step = progress(graph, children, seen)
        return step.children, step.start
    changed = {
        at: child.letter
        for at, child in seen.items()
        if children.states[at] not in PUBLISHED and child.letter != children.states[at]
    }
    children = children.with_letters(changed)
    absent = (at for at, letter in enumerate(children.states) if letter == ABSENT)
    return children, () if graph is not None else tuple(absent)


@dataclass(frozen=True)
class _Explanations:
    """What there is to say of each run of a pipeline."""

    pipeline: Body
    graph: Graph | None
    children: Children
    ready: frozenset[int]
    found: Mapping[int, Body]

    def explain(self, at: int, op: str) -> str:
        letter = self.children.states[at]
        if at in self.found and letter != ABSENT:
            return _explain_run(self.found[at])
        if letter == FAILED:
            return read_failures(self.pipeline).get(op, "")
        if letter in (SUCCEEDED, CACHED):
            return ""
        if letter in PUBLISHED:
            return explain_no_run(self.graph, at, self._words, self.children, self.pipeline)
        return self._explain_wait(at) if letter == ABSENT else ""

    def _explain_wait(self, at: int) -> str:
        if cause := explain_pipeline(self.pipeline):
            return cause
        if at in self.ready:
            return explain_limit(self.children)
        if self.graph is None:
            return ""
        return explain_upstreams(self.graph, at, self._words, self.children)

    @cached_property
    def _words(self) -> list[str]:
        return [
            parse_phase(read_status(self.found[at])).value if at in self.found else WORDS[letter]
            for at, letter in enumerate(self.children.states)
        ]


def _explain_run(body: Body) -> str:
    """Return the reason and the message of a run that does not do well, or waits."""
    status = read_status(body)
    phase, reason = parse_phase(status), str(status.get("reason") or "")
    if phase is Phase.SUCCEEDED and reason == "CacheHit":
        original = (status.get("original") or {}).get("name")
        return f"taken from {original or 'an earlier run'}"
    if phase in (Phase.SUCCEEDED, Phase.RUNNING, Phase.PROCESSING) or is_pipeline(body):
        return "" if phase is not Phase.FAILED or not is_pipeline(body) else reason
    shown_reason = "" if reason == phase.value else reason
    return ": ".join(part for part in (shown_reason, str(status.get("message") or "")) if part)


def _read_params(body: Body | None, wanted: Sequence[str]) -> dict[str, Any]:
    """Return the params that a matrix gave to one of its runs."""
    given = ((body or {}).get("spec") or {}).get("params") or {}
    return {
        name: given[name]["value"]
        for name in wanted
        if isinstance(given.get(name), Mapping) and "value" in given[name]
    }
