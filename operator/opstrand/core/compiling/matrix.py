"""What the runs of a matrix share, and the operation that each of them runs.

The run with the matrix resolves refs, joins and its component once; each of its runs gets literals.
Owns that split. Must not know which params the runs get (`pipelines.search`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from opstrand.core.identity import Identity
from opstrand.core.operation import CompiledOperation
from opstrand.core.pipelines.children import without_notifications
from opstrand.core.pipelines.matrix import given_names, matrix_names
from opstrand.core.pipelines.search import suggest
from opstrand.core.resolving.bindings import bind_params
from opstrand.core.resolving.resolve import Resolved
from opstrand.core.templates.context import Scope
from opstrand.core.templates.lookups import find_names, is_template
from opstrand.core.templates.template import Evaluate, iter_texts, render
from opstrand.errors import SpecError
from opstrand.spec.matrix import matrices
from opstrand.spec.params import Param
from opstrand.spec.polyaxonfile import spec_error
from opstrand.spec.validation import validate

#: Sections that act for all runs of a matrix together, and so not in each of them.
SHARED_SECTIONS = frozenset(
    (
        "matrix",
        "joins",
        "schedule",
        "events",
        "conditions",
        "isApproved",
        "build",
        "hooks",
        "trigger",
        "dependencies",
        "skipOnUpstreamSkip",
        "name",
        "control",
        "params",
    )
)
_MARK = re.compile(r"\{[{%#]")


def find_chosen(compiled: CompiledOperation) -> frozenset[str]:
    """Return the names whose values are not the same in all runs of the matrix.

    Those are what the matrix gives, and values with a template that reads one of them.
    """
    chosen = {*matrix_names(compiled.matrix)}
    reads = dict(iter_reads(compiled))
    while found := {name for name, read in reads.items() if not chosen.isdisjoint(read)} - chosen:
        chosen |= found
    return frozenset(chosen)


def iter_reads(compiled: CompiledOperation) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield each name with the names that its templates read.

    A template that reads all values reads what the matrix gives.
    """
    written = {io.name: io.value for io in (*compiled.inputs, *compiled.outputs)}
    written |= {name: param.value for name, param in compiled.params.items() if param.ref is None}
    everything = frozenset(matrix_names(compiled.matrix))
    for name, value in written.items():
        read: frozenset[str] = frozenset()
        for text in iter_texts(value):
            if is_template(text):
                names = find_names(text)
                read |= names.top | names.params | (everything if names.every else frozenset())
        yield name, read


def share(compiled: CompiledOperation) -> CompiledOperation:
    """Return the part of an operation that is the same in all runs of its matrix.

    An operation without a matrix is returned as it is.
    """
    if compiled.matrix is None:
        return compiled
    chosen = find_chosen(compiled)
    return replace(
        compiled,
        inputs=tuple(io for io in compiled.inputs if io.name not in chosen),
        outputs=tuple(io for io in compiled.outputs if io.name not in chosen),
        params={name: param for name, param in compiled.params.items() if name not in chosen},
    )


def choose_first(compiled: CompiledOperation) -> CompiledOperation | None:
    """Return the first run of a matrix, for a trial; an operation without a matrix as it is.

    None if that run is not known yet, or if its runs get different names.
    """
    matrix = compiled.matrix
    if matrix is None:
        return compiled
    if set(matrix_names(matrix)) != given_names(matrix):
        return None
    fewer: dict[str, Any] = {"numRuns": 1}
    if matrix["kind"] == "mapping":
        fewer = {"values": list(matrix.get("values") or ())[:1]}
    try:
        found = suggest({**matrix, **fewer}, 0)
    except SpecError:
        return None  # a template, or what other checks report
    if not found.params:
        return None
    given = {name: Param(value=make_literal(value)) for name, value in found.params[0].items()}
    return replace(compiled, matrix=None, params={**compiled.params, **given})


def render_matrix(
    compiled: CompiledOperation, resolved: Resolved, identity: Identity, *, evaluate: Evaluate
) -> Mapping[str, Any]:
    """Return the matrix with its templates replaced, from the values that its runs share.

    Raises SpecError for a template without a value, and for what is then no valid matrix.
    """
    matrix = compiled.matrix or {}
    if not any(is_template(text) for text in iter_texts(matrix)):
        return matrix
    rendered = render(
        matrix,
        fill_scope(compiled, resolved, identity, evaluate).values,
        "matrix",
        evaluate=evaluate,
    )
    try:
        data: Mapping[str, Any] = validate(matrices()[str(matrix["kind"])], rendered).data
    except ValidationError as error:
        raise spec_error(error, None).within("matrix") from None
    return data


def fill_scope(
    compiled: CompiledOperation, resolved: Resolved, identity: Identity, evaluate: Evaluate
) -> Scope:
    """Return what templates of the run with the matrix can read: the values that its runs share."""
    scope = Scope(identity, evaluate=evaluate)
    declared = {io.name: io for io in (*compiled.inputs, *compiled.outputs)}
    for name, value in {**resolved.inputs, **resolved.outputs}.items():
        scope.add(name, value, declared.get(name))
    return scope


def make_operation(
    spec: Mapping[str, Any],
    compiled: CompiledOperation,
    resolved: Resolved,
    params: Mapping[str, Any],
    component: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the operation that one run of the matrix runs: `spec` without what acts for all.

    `compiled` is `spec` over its component, `resolved` the values that all runs share, `params`
    what the matrix gives to this run. `component`: the one that `hubRef` names, as it was frozen.
    """
    written = compiled.merged.get("params")
    given: dict[str, Any] = dict(written) if isinstance(written, Mapping) else {}
    values = {**resolved.inputs, **resolved.outputs}
    for slot in bind_params(share(compiled)).slots:
        if slot.ref is not None or slot.join is not None:
            place = {
                "contextOnly": True if slot.section == "contexts" else None,
                "connection": slot.connection,
                "toInit": slot.to_init or None,
                "toEnv": slot.to_env,
            }
            kept = {key: value for key, value in place.items() if value is not None}
            given[slot.name] = {**kept, "value": make_literal(values.get(slot.name))}
    for name, value in params.items():
        given[name] = {**_without_value(given.get(name)), "value": make_literal(value)}
    operation = _strip(spec)
    if component is not None and operation.pop("hubRef", None):
        operation["component"] = _strip(component)
    return {**operation, **({"params": given} if given else {})}


def _without_value(param: Any) -> dict[str, Any]:
    """Return where a param's value goes, without the value."""
    if not isinstance(param, Mapping):
        return {}
    keys = ("contextOnly", "connection", "toInit", "toEnv")
    return {key: param[key] for key in keys if key in param}


def _strip(layer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an operation, and every layer of its component, without the shared sections."""
    kept = {key: value for key, value in layer.items() if key not in SHARED_SECTIONS}
    if "plugins" in kept:
        kept["plugins"] = without_notifications(kept["plugins"])
    if isinstance(kept.get("component"), Mapping):
        kept["component"] = _strip(kept["component"])
    return kept


def make_literal(value: Any) -> Any:
    """Return a value as it is written in a file that gives exactly this value.

    Each mark of a template becomes a template that prints the mark. The template language drops a
    line's end at the end of a text, so that one is doubled.
    """
    if isinstance(value, str):
        marked = _MARK.sub(r"{{ '\g<0>' }}", value)
        return marked + value[-1] if marked != value and value[-1] in "\r\n" else marked
    if isinstance(value, Mapping):
        return {make_literal(key): make_literal(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [make_literal(item) for item in value]
    return value
