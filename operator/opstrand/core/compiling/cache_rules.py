"""What is wrong with a `cache` before anything runs.

Owns the names that `cache.io` may have. Must not make a key: `lifecycle.cache_key` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opstrand.core.operation import CompiledOperation, Node
from opstrand.core.pipelines.matrix import matrix_names
from opstrand.core.templates.lookups import is_template
from opstrand.errors import Problem
from opstrand.text import suggest


def check_cache(
    compiled: CompiledOperation, handed: CompiledOperation | None = None
) -> Iterator[Problem]:
    """Find every name in `cache.io` that no value has: of a pipeline, none of any operation.

    `handed`: the pipeline of the operation. What it hands down is for all of its operations.
    """
    known = list_values(compiled)
    if compiled.nodes:
        if any(node.compiled is None for node in compiled.nodes.values()):
            return  # which values a component has that is not here is unknown
        known = _list_values_of(compiled.nodes)
    known += [] if handed is None else _read_names(handed.cache)
    for index, name in enumerate(_read_names(compiled.cache)):
        if name not in known and not is_template(name):
            yield Problem("InvalidSpec", _explain(name, known), f"cache.io[{index}]")


def _read_names(cache: Any) -> Sequence[str]:
    names = cache.get("io") if isinstance(cache, Mapping) else None
    return names if isinstance(names, list | tuple) else ()


def _list_values_of(nodes: Mapping[str, Node]) -> list[str]:
    compiled = (node.compiled for node in nodes.values())
    found = (name for one in compiled if one is not None for name in _list_all(one))
    return list(dict.fromkeys(found))


def _list_all(compiled: CompiledOperation) -> list[str]:
    return _list_values_of(compiled.nodes) if compiled.nodes else list_values(compiled)


def list_values(compiled: CompiledOperation) -> list[str]:
    """Return the names of an operation's values: inputs, outputs and other params."""
    joins = [one.get("params") for one in compiled.joins or () if isinstance(one, Mapping)]
    joined = [name for params in joins if isinstance(params, Mapping) for name in params]
    declared = [io.name for io in (*compiled.inputs, *compiled.outputs)]
    names = [*declared, *compiled.params, *joined, *matrix_names(compiled.matrix)]
    return list(dict.fromkeys(names))


def _explain(name: str, known: Sequence[str]) -> str:
    if not known:
        return f"there is no input or output '{name}': the operation has none"
    return f"there is no input or output '{name}'{suggest(name, known)}"
