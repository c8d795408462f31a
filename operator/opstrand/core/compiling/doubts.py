"""What a check cannot know of an operation, as notes: what the hub holds, what a run will log.

Owns these notes, and the check of an operation of a pipeline whose component is in the hub. Must
not look at a cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from opstrand.core.compiling.check import check_alone
from opstrand.core.compiling.compile import compile_alone
from opstrand.core.operation import CompiledOperation
from opstrand.core.pipelines.early_stopping import list_metrics
from opstrand.core.pipelines.hooks import list_all, list_components
from opstrand.core.pipelines.hub import component_name, find_hub_ref, list_hub_refs
from opstrand.errors import Problem, SpecError
from opstrand.spec.polyaxonfile import parse_operation
from opstrand.text import list_names, suggest


def check_in_hub(written: Mapping[str, Any]) -> list[Problem]:
    """Find the problems of an operation without its component: of its refs, joins and matrix.

    None for an operation that names no Component: why it is not compiled is known then.
    """
    hub_ref = find_hub_ref(written)
    if hub_ref is None:
        return []
    try:
        component_name(hub_ref)
        return check_alone(compile_alone(parse_operation(written)))
    except SpecError as error:
        return list(error.problems)


def note_components(compiled: CompiledOperation) -> Iterator[str]:
    """Yield a note on the Components that hooks and operations of a pipeline name."""
    names = list(dict.fromkeys(name for _, name in list_hub_refs(compiled.nodes)))
    hooks = list_components(list_all(compiled.hooks, compiled.plugins))
    if hooks:
        yield f"not looked at here: {list_names(hooks)} of the hub, which hooks name"
    if names:
        yield (
            f"not looked at here: {list_names(names)} of the hub, and what other operations read "
            "of the operations that name them"
        )


def note_metrics(compiled: CompiledOperation, prefix: str = "") -> Iterator[str]:
    """Yield a note for each metric of a search or an early stopping that no output declares.

    It is no mistake: a program may log outputs that are not declared.
    """
    matrix = compiled.matrix or {}
    metric = matrix.get("metric")
    asked = dict(list_metrics(matrix.get("earlyStopping"), f"{prefix}matrix.earlyStopping"))
    if isinstance(metric, Mapping):
        asked[f"{prefix}matrix.metric.name"] = str(metric.get("name"))
    yield from _note(asked, [io.name for io in compiled.outputs], "by its runs")
    inner = [node.compiled for node in compiled.nodes.values()]
    known = [one for one in inner if one is not None]
    if len(known) == len(inner):
        asked = dict(list_metrics(compiled.run.get("earlyStopping"), f"{prefix}run.earlyStopping"))
        outputs = [io.name for one in known for io in one.outputs]
        yield from _note(asked, outputs, "by its operations")
    for node in compiled.nodes.values():
        if node.compiled is not None:
            yield from note_metrics(node.compiled, f"{prefix}{node.path}.")


def _note(asked: Mapping[str, str], outputs: Iterable[str], whose: str) -> Iterator[str]:
    declared = frozenset(outputs)
    for path, name in asked.items():
        if name not in declared:
            yield (
                f"{path}: no output '{name}' is declared{suggest(name, declared)}: it counts once "
                f"it is logged {whose}"
            )
