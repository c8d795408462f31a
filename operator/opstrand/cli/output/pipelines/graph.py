"""The graph of a pipeline's file: its operations, and what each takes from or waits for.

Owns its forms: data, Graphviz and Mermaid. The same file always gives the same text, in the order
of the file. Must not know how a run of it goes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from opstrand.core.operation import CompiledOperation, Node
from opstrand.core.pipelines.triggers import DEFAULT_TRIGGER
from opstrand.errors import SpecError
from opstrand.text import inline

#: Keys of an operation that decide whether it starts.
_RULES = ("trigger", "skipOnUpstreamSkip", "conditions")
#: What has a meaning of its own in a label of Mermaid; `#` comes first.
_MERMAID = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "|": "#124;", "`": "#96;"}
_LONGEST = 60


def read_graph_of(compiled: CompiledOperation) -> dict[str, Any]:
    """Return the operations and edges of a pipeline, on every level.

    Raises SpecError for a file that has no pipeline.
    """
    if compiled.kind != "dag" or not compiled.nodes:
        message = f"only a pipeline (run.kind: dag) has a graph; this is a {compiled.kind}"
        raise SpecError("InvalidSpec", message, "run.kind")
    return _read_level(compiled)


def _read_level(compiled: CompiledOperation) -> dict[str, Any]:
    order = {name: at for at, name in enumerate(compiled.nodes)}
    edges = [
        _read_edge(node, name)
        for node in compiled.nodes.values()
        for name in sorted(node.upstreams, key=lambda one: order.get(one, -1))
    ]
    return {"operations": list(map(_read_node, compiled.nodes.values())), "edges": edges}


def _read_node(node: Node) -> dict[str, Any]:
    written = _keys(node)
    found: dict[str, Any] = {"name": node.name}
    if node.compiled is not None:
        found["kind"] = node.compiled.kind
    found |= {key: written[key] for key in ("hubRef", *_RULES) if written.get(key) is not None}
    matrix = written.get("matrix")
    if isinstance(matrix, Mapping):
        found["matrix"] = matrix.get("kind")
    if node.compiled is not None and node.compiled.nodes:
        found |= _read_level(node.compiled)
    return found


def _keys(node: Node) -> Mapping[str, Any]:
    return node.written if node.compiled is None else node.compiled.merged


def _read_edge(node: Node, upstream: str) -> dict[str, Any]:
    """Return an edge with why it is there: a dependency, an event, values of params."""
    written, ref = _keys(node), f"ops.{upstream}"
    events, params = written.get("events"), written.get("params")
    found: dict[str, Any] = {"upstream": upstream, "downstream": node.name}
    if upstream in (written.get("dependencies") or ()):
        found["dependency"] = True
    kinds = [
        kind
        for one in (events if isinstance(events, list) else ())
        if isinstance(one, Mapping) and one.get("ref") == ref
        for kind in one.get("kinds") or ()
    ]
    if kinds:
        found["events"] = kinds
    values = {
        name: param.get("value")
        for name, param in (params if isinstance(params, Mapping) else {}).items()
        if isinstance(param, Mapping) and param.get("ref") == ref
    }
    if values:
        found["values"] = values
    return found


def _label(operation: Mapping[str, Any]) -> list[str]:
    """Return the lines of an operation: its name, what runs, and what is not the default."""
    kinds = [str(operation.get("hubRef") or operation.get("kind") or "")]
    kinds += [f"matrix: {operation['matrix']}"] if operation.get("matrix") else []
    rules = [
        f"{key}: {_short(operation[key])}"
        for key in _RULES
        if key in operation and operation[key] not in (DEFAULT_TRIGGER, False)
    ]
    lines = [str(operation["name"]), ", ".join(filter(None, kinds)), *rules]
    return [inline(line) for line in lines if line]


def _edge_label(edge: Mapping[str, Any]) -> str:
    values = [f"{name} = {_short(value)}" for name, value in (edge.get("values") or {}).items()]
    return inline(", ".join([*values, *map(str, edge.get("events") or ())]))


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


# -- Graphviz --------------------------------------------------------------------------------------


def as_dot(graph: Mapping[str, Any]) -> str:
    """Return the graph for Graphviz; the operations of an inner pipeline are a cluster."""
    lines = ["digraph pipeline {", "  rankdir=LR;", "  node [shape=box];"]
    return "\n".join([*lines, *_dot_level(graph, "", "  "), "}"])


def _dot_level(graph: Mapping[str, Any], above: str, indent: str) -> Iterator[str]:
    for operation in graph["operations"]:
        path = f"{above}{operation['name']}"
        label = "\\n".join(_quoted(line)[1:-1] for line in _label(operation))
        node = f'{_quoted(path)} [label="{label}"];'
        if "operations" not in operation:
            yield f"{indent}{node}"
            continue
        yield f"{indent}subgraph {_quoted(f'cluster_{path}')} {{"
        yield f"{indent}  {node}"
        yield from _dot_level(operation, f"{path}/", f"{indent}  ")
        yield f"{indent}}}"
    for edge in graph["edges"]:
        ends = [_quoted(f"{above}{edge[end]}") for end in ("upstream", "downstream")]
        words = _edge_label(edge)
        label = f" [label={_quoted(words)}]" if words else ""
        yield f"{indent}{' -> '.join(ends)}{label};"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


# -- Mermaid ---------------------------------------------------------------------------------------


def as_mermaid(graph: Mapping[str, Any]) -> str:
    """Return the graph as a flowchart; the operations of an inner pipeline are a subgraph."""
    return "\n".join(["flowchart LR", *_mermaid_level(graph, "n", "  ")])


def _mermaid_level(graph: Mapping[str, Any], above: str, indent: str) -> Iterator[str]:
    ids = {one["name"]: f"{above}{at}" for at, one in enumerate(graph["operations"])}
    for operation in graph["operations"]:
        own = ids[operation["name"]]
        label = f'["{"<br>".join(map(_escape, _label(operation)))}"]'
        if "operations" not in operation:
            yield f"{indent}{own}{label}"
            continue
        yield f"{indent}subgraph {own} {label}"
        yield from _mermaid_level(operation, f"{own}_", f"{indent}  ")
        yield f"{indent}end"
    for edge in graph["edges"]:
        words = _escape(_edge_label(edge))
        arrow = f'-->|"{words}"|' if words else "-->"
        yield f"{indent}{ids[edge['upstream']]} {arrow} {ids[edge['downstream']]}"


def _escape(text: str) -> str:
    return "".join(_MERMAID.get(letter, letter) for letter in text)
