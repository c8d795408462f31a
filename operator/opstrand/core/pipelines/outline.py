"""What a pipeline's file says of its operations, in the form that is kept while the pipeline runs.

Read once for each pipeline: its graph, the names of its runs, and the operations as they are
written, compressed. Must not decide anything.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from opstrand.core.operation import CompiledOperation
from opstrand.core.pipelines.children import inline, name_children
from opstrand.core.pipelines.progress import Graph, read_graph
from opstrand.errors import SpecError
from opstrand.spec.scalars import is_template
from opstrand.types import Body


@dataclass(frozen=True)
class Outline:
    """The operations of one pipeline, by their index in the file."""

    graph: Graph
    #: The names of the runs' objects.
    names: tuple[str, ...]
    packed: bytes = field(default=b"", repr=False)
    early_stopping: tuple[Mapping[str, Any], ...] = ()

    def read_specs(self, indexes: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Return these operations as they stand alone."""
        wanted = list(indexes)
        if not wanted:
            return {}
        found = json.loads(zlib.decompress(self.packed))
        return {at: inline(found["operations"][at], found["components"]) for at in wanted}


def read_outline(compiled: CompiledOperation, body: Body) -> Outline:
    """Read the outline of a validated pipeline.

    Raises SpecError for what only counts when it runs: a template that decides about a start, two
    runs that would have the same name.
    """
    graph = read_graph(compiled.nodes)
    named = name_children(body, (op.name for op in graph.ops))
    components: Iterable[Mapping[str, Any]] = compiled.run.get("components") or ()
    text = json.dumps(
        {
            "operations": [dict(node.written) for node in compiled.nodes.values()],
            "components": {one["name"]: one for one in components},
        }
    )
    packed = zlib.compress(text.encode(), 1)
    return Outline(graph, tuple(named.values()), packed, _read_early_stopping(compiled))


def _read_early_stopping(compiled: CompiledOperation) -> tuple[Mapping[str, Any], ...]:
    written = compiled.run.get("earlyStopping") or ()
    entries = [written] if is_template(written) else written
    for index, entry in enumerate(entries):
        for key, value in entry.items() if isinstance(entry, Mapping) else (("", entry),):
            if is_template(value):
                path = f"run.earlyStopping[{index}].{key}".rstrip(".")
                message = "a pipeline is stopped by numbers that are known before it starts"
                raise SpecError("InvalidSpec", f"{message}: write the value", path)
    return tuple(entries)
