"""What a pipeline's file says of its operations, in the form that is kept while the pipeline runs.

Read once for each pipeline: its graph, the names of its runs, and the operations as they are
written, compressed. Must not decide anything.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from opstrand.core.operation import CompiledOperation
from opstrand.core.pipelines.children import inline, name_children
from opstrand.core.pipelines.progress import Graph, read_graph
from opstrand.errors import SpecError
from opstrand.spec.scalars import is_template
from opstrand.types import Body

#: Operations that are compressed together: one of them is read without all the others.
_CHUNK = 64


@dataclass(frozen=True)
class Outline:
    """The operations of one pipeline, by their index in the file. `size`: bytes of the file."""

    graph: Graph
    #: The names of the runs' objects.
    names: tuple[str, ...]
    #: The operations, `_CHUNK` in each part.
    packed: tuple[bytes, ...] = field(default=(), repr=False)
    components: bytes = field(default=b"", repr=False)
    early_stopping: tuple[Mapping[str, Any], ...] = ()
    size: int = 0

    @cached_property
    def index(self) -> Mapping[str, int]:
        """The index of each operation by the name of its run's object."""
        return {name: at for at, name in enumerate(self.names)}

    def read_specs(self, indexes: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Return these operations as they stand alone."""
        wanted = list(indexes)
        if not wanted:
            return {}
        components = _unpack(self.components)
        parts = {part: _unpack(self.packed[part]) for part in {at // _CHUNK for at in wanted}}
        return {at: inline(parts[at // _CHUNK][at % _CHUNK], components) for at in wanted}


def read_outline(compiled: CompiledOperation, body: Body) -> Outline:
    """Read the outline of a validated pipeline.

    Raises SpecError for what only counts when it runs: a template that decides about a start, two
    runs that would have the same name.
    """
    graph = read_graph(compiled.nodes)
    named = name_children(body, (op.name for op in graph.ops))
    components: Iterable[Mapping[str, Any]] = compiled.run.get("components") or ()
    written = [dict(node.written) for node in compiled.nodes.values()]
    parts = [json.dumps(written[at : at + _CHUNK]) for at in range(0, len(written), _CHUNK)]
    shared = json.dumps({one["name"]: one for one in components})
    return Outline(
        graph,
        tuple(named.values()),
        tuple(map(_pack, parts)),
        _pack(shared),
        _read_early_stopping(compiled),
        sum(map(len, parts)) + len(shared),
    )


def _pack(text: str) -> bytes:
    return zlib.compress(text.encode(), 1)


def _unpack(packed: bytes) -> Any:
    return json.loads(zlib.decompress(packed))


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
