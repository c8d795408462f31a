"""Validate a pipeline before it runs: names, refs, the graph, and values between operations.

Owns the static checks of `run.kind: dag`. `check_values` checks each operation's own params;
`pipelines.triggers` says when an operation starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import Any

from opstrand.core.compiling.cache_rules import check_cache
from opstrand.core.compiling.check import check_values, expected_types
from opstrand.core.limits import MESSAGE, PIPELINE_VALUES, count_values
from opstrand.core.operation import CompiledOperation, Node
from opstrand.core.pipelines.children import hand_down
from opstrand.core.pipelines.graph import find_cycles, topological_stages
from opstrand.core.resolving.refs import Ask, Ref, check_ref
from opstrand.errors import MAX_PROBLEMS, Problem, SpecError
from opstrand.spec.io import IO
from opstrand.spec.scalars import is_template
from opstrand.text import shorten, suggest

#: Compiles one operation as it is written, over the component that its dagRef names.
CompileNode = Callable[[Mapping[str, Any], Mapping[str, Any] | None], "CompiledOperation"]


@dataclass(frozen=True)
class Pipeline:
    """The operations by name, and their order."""

    nodes: Mapping[str, Node]
    stages: tuple[tuple[str, ...], ...] = ()
    problems: tuple[Problem, ...] = field(default=(), compare=False)


def read_pipeline(pipeline: CompiledOperation, compile_node: CompileNode) -> Pipeline:
    """Read the pipeline and find all its problems."""
    written = pipeline.run.get("operations")
    if is_template(written):
        return Pipeline({})
    problems: list[Problem] = []
    if not written:
        return Pipeline(
            {},
            problems=(
                Problem("InvalidSpec", "a pipeline needs at least one operation", "run.operations"),
            ),
        )
    components = _components(pipeline.run, problems)
    too_large = _check_size(written, components)
    if too_large:
        return Pipeline({}, problems=(*problems, *too_large))
    nodes = _nodes(written, components, _inheriting(pipeline, compile_node), problems)
    nodes = {
        name: replace(node, upstreams=_upstreams(node, nodes, problems))
        for name, node in nodes.items()
    }
    problems += _cycles(nodes)
    givers = {
        name: _Giver(node.compiled) for name, node in nodes.items() if node.compiled is not None
    }
    for node in nodes.values():
        if node.compiled is not None and len(problems) < MAX_PROBLEMS:
            asks = _check_asks(node.compiled, givers, _Giver(pipeline))
            found = [
                *check_values(node.compiled),
                *check_cache(node.compiled, pipeline),
                *islice(asks, MAX_PROBLEMS),
            ]
            problems += [replace(problem, path=f"{node.path}.{problem.path}") for problem in found]
    stages = topological_stages({name: node.upstreams for name, node in nodes.items()})
    return Pipeline(nodes, tuple(map(tuple, stages)), tuple(problems))


def _inheriting(pipeline: CompiledOperation, compile_node: CompileNode) -> CompileNode:
    """Return the compiler of operations that inherit what this pipeline hands down."""
    inherited = hand_down(pipeline.merged)
    if not inherited:
        return compile_node
    return lambda written, component: compile_node({**written, "inherited": inherited}, component)


def _components(run: Mapping[str, Any], problems: list[Problem]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    written = run.get("components")
    for index, component in enumerate(written if isinstance(written, list) else ()):
        path = f"run.components[{index}]"
        name = component.get("name")
        if not name:
            problems.append(
                Problem("InvalidSpec", "a component of a pipeline needs a name, for dagRef", path)
            )
        elif name in found:
            problems.append(
                Problem("InvalidSpec", f"two components have the name '{name}'", f"{path}.name")
            )
        else:
            found[name] = component
    return found


def _check_size(written: Sequence[Any], components: Mapping[str, Any]) -> list[Problem]:
    """Check the size of all operations together.

    A component counts in every operation that uses it: each of them is compiled and checked
    separately.
    """
    sizes = {name: count_values(component) for name, component in components.items()}
    total = sum(sizes.get(str(one.get("dagRef")), 0) for one in written if isinstance(one, Mapping))
    if total <= PIPELINE_VALUES:
        return []
    message = (
        f"its operations stand for {total:,} values of their components; at most "
        f"{PIPELINE_VALUES:,} are compiled"
    )
    return [Problem("TooLarge", message, "run.operations")]


def _nodes(
    written: Sequence[Any],
    components: Mapping[str, Any],
    compile_node: CompileNode,
    problems: list[Problem],
) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    for index, operation in enumerate(written):
        path = f"run.operations[{index}]"
        if is_template(operation):
            continue
        name = operation.get("name")
        if not name:
            problems.append(Problem("InvalidSpec", "an operation of a pipeline needs a name", path))
        elif name in nodes:
            problems.append(
                Problem("InvalidSpec", f"two operations have the name '{name}'", f"{path}.name")
            )
        else:
            nodes[name] = Node(
                name, path, operation, _compile(operation, path, components, compile_node, problems)
            )
    return nodes


def _compile(
    operation: Mapping[str, Any],
    path: str,
    components: Mapping[str, Any],
    compile_node: CompileNode,
    problems: list[Problem],
) -> CompiledOperation | None:
    if operation.get("schedule") is not None:
        problems.append(
            Problem(
                "InvalidSpec",
                "an operation of a pipeline cannot have a schedule",
                f"{path}.schedule",
            )
        )
    reference = operation.get("dagRef")
    if reference and reference not in components:
        if len(problems) >= MAX_PROBLEMS:
            return None
        message = f"the pipeline has no component '{reference}'{suggest(reference, components)}"
        problems.append(Problem("InvalidSpec", message, f"{path}.dagRef"))
        return None
    if operation.get("hubRef") and operation.get("component") is None:
        return None  # found in the namespace when the operation is created
    try:
        return compile_node(
            {key: value for key, value in operation.items() if key != "dagRef"},
            components.get(str(reference)),
        )
    except SpecError as error:
        problems += error.within(path).problems
        return None


# -- the graph -------------------------------------------------------------------------------------


def _upstreams(node: Node, nodes: Mapping[str, Node], problems: list[Problem]) -> frozenset[str]:
    names = set()
    for where, name in _named(node.written):
        names.add(name)
        if name not in nodes and len(problems) < MAX_PROBLEMS:
            message = f"the pipeline has no operation '{name}'{suggest(name, nodes)}"
            problems.append(Problem("InvalidSpec", message, f"{node.path}.{where}"))
    return frozenset(names)


def _named(written: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (place, operation) of everything in an operation that names another one."""
    found = []
    dependencies = written.get("dependencies")
    if isinstance(dependencies, list):
        found += [
            (f"dependencies[{index}]", name)
            for index, name in enumerate(dependencies)
            if not is_template(name)
        ]
    params = written.get("params")
    if isinstance(params, Mapping):
        found += [
            (f"params.{name}.ref", param["ref"])
            for name, param in params.items()
            if _has_ref(param)
        ]
    events = written.get("events")
    if isinstance(events, list):
        found += [
            (f"events[{index}].ref", event["ref"])
            for index, event in enumerate(events)
            if _has_ref(event)
        ]
    return [
        (where, name.removeprefix("ops."))
        for where, name in found
        if where.startswith("dep") or name.startswith("ops.")
    ]


def _has_ref(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("ref"), str)


def _cycles(nodes: Mapping[str, Node]) -> list[Problem]:
    """Find every cycle that shares no operation with one that was reported before."""
    problems: list[Problem] = []
    for cycle in islice(
        find_cycles({name: node.upstreams for name, node in nodes.items()}), MAX_PROBLEMS
    ):
        itself = len(cycle) == 2
        message = (
            f"'{cycle[0]}' depends on itself"
            if itself
            else f"the operations wait for each other: {' → '.join(cycle)}"
        )
        problems.append(Problem("InvalidSpec", shorten(message, MESSAGE), nodes[cycle[0]].path))
    return problems


# -- values between operations ---------------------------------------------------------------------


@dataclass(frozen=True)
class _Giver:
    """An operation whose values others read; its declarations by name are collected once."""

    compiled: CompiledOperation

    @cached_property
    def inputs(self) -> dict[str, IO]:
        return {io.name: io for io in self.compiled.inputs}

    @cached_property
    def outputs(self) -> dict[str, IO]:
        return {io.name: io for io in self.compiled.outputs}


def _check_asks(
    compiled: CompiledOperation, givers: Mapping[str, _Giver], pipeline: _Giver
) -> Iterator[Problem]:
    declared = {io.name: io for io in (*compiled.outputs, *compiled.inputs)}
    for name, param in compiled.params.items():
        if param.ref is None or name not in declared:
            continue
        try:
            ref, ask = check_ref(name, param)
        except SpecError:
            continue  # check_values reports it
        giver = pipeline if ref.kind == "dag" else givers.get(ref.target)
        if ref.kind != "runs" and giver is not None:
            yield from _check_ask(declared[name], ref, ask, giver, f"params.{name}.value")


def _check_ask(io: IO, ref: Ref, ask: Ask, giver: _Giver, path: str) -> list[Problem]:
    if ask.section in ("inputs", "outputs") and ask.name:
        given = giver.inputs if ask.section == "inputs" else giver.outputs
        if ask.name in given:
            return _check_types(io, given[ask.name], f"{ask} of {ref}", path)
        if ask.section == "inputs" and ask.name in giver.compiled.params:
            return []
        message = f"{ref} has no {ask.section[:-1]} '{ask.name}'{suggest(ask.name, given)}"
        return [Problem("MissingValue", message, path)]
    types = expected_types(ask)
    if io.type is None or not types or io.type in types:
        return []
    return [
        Problem(
            "InvalidSpec",
            f"{ask} of {ref} is no {io.type}; an input for it has the type {' or '.join(types)}",
            path,
        )
    ]


_ALIKE = ({"str", "path", "s3", "gcs", "wasb"}, {"float", "metric"})


def _check_types(io: IO, given: IO, what: str, path: str) -> list[Problem]:
    if {io.type, given.type} & {None, "any"}:
        return []
    if bool(io.is_list) != bool(given.is_list):
        one, other = ("a list", "one value") if given.is_list else ("one value", "a list")
        return [Problem("InvalidSpec", f"{what} is {one}, and this accepts {other}", path)]
    if io.type == given.type or any({io.type, given.type} <= group for group in _ALIKE):
        return []
    return [Problem("InvalidSpec", f"{what} is {given.type}, and this accepts {io.type}", path)]
