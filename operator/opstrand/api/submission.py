"""Validate a submitted file completely before anything is created.

Owns the way from a submitted document to the body of a new Operation. Pure. Must not define rules:
`spec` and `core` own the meaning of the file.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from opstrand.core.compiling.check import check_alone
from opstrand.core.compiling.compile import apply_presets, compile_alone, compile_operation
from opstrand.core.compiling.unsupported import find_missing
from opstrand.core.compiling.without_effect import find_idle
from opstrand.core.names import API_VERSION, CREATED_BY, generate_name
from opstrand.core.pipelines.hub import component_name
from opstrand.core.planning.connections import Catalog
from opstrand.core.templates.evaluation import evaluate_traced
from opstrand.core.templates.template import Evaluate, refuse
from opstrand.core.validate import validate_compiled
from opstrand.errors import SpecError
from opstrand.spec.document import parse_document
from opstrand.spec.polyaxonfile import note_spellings, parse_operation, parse_polyaxonfile


@dataclass(frozen=True)
class Submitted:
    """The body of the Operation that a submitted file makes, and notes for the user."""

    body: dict[str, Any]
    notes: tuple[str, ...] = ()


def parse_submission(
    content: str,
    *,
    name: str | None = None,
    description: str | None = None,
    tags: Sequence[str] | None = None,
    evaluate: Evaluate = refuse,
    catalog: Catalog | None = None,
    over: Mapping[str, Any] | None = None,
) -> Submitted:
    """The Operation that runs `content`, a component or an operation as YAML or JSON.

    The other arguments override what the content says. Raises SpecError with every problem that can
    be found before the upstreams are known. `evaluate` renders the templates that are more than
    look-ups; `over` is the operation of an earlier run, over which this one is merged;
    `catalog` has the connections that runs may name (None: not known).
    """
    document = parse_document(content)
    if over is not None and document.data.get("kind") != "component":
        operation = parse_operation(apply_presets(over, [document.data]))
    else:
        operation = parse_polyaxonfile(document.data, document=document)
    spec = copy.deepcopy(dict(operation.written))
    if document.data.get("kind") == "component":
        spec = {"version": document.data.get("version", 1.1), "kind": "operation", **spec}
    given = {"name": name, "description": description, "tags": list(tags) if tags else None}
    spec |= {key: value for key, value in given.items() if value is not None}
    if operation.component is None and operation.hub_ref:
        component_name(operation.hub_ref)
        compiled = compile_alone(operation)
        problems, notes = (
            [*check_alone(compiled), *find_missing(compiled)],
            list(find_idle(compiled, is_alone=True)),
        )
    else:
        compiled = compile_operation(operation)
        problems, notes = validate_compiled(
            compiled, evaluate=evaluate, complete=True, catalog=catalog
        )
    if problems:
        raise SpecError.of(list(dict.fromkeys(problems)))
    return Submitted(new_operation(spec), (*note_spellings(operation), *notes))


def parse_apart(
    content: str, catalog: Catalog | None, given: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A worker's job: `parse_submission` with plain values, rendering templates in this process."""
    from opstrand.workers.worker import evaluate

    submitted = parse_submission(content, catalog=catalog, evaluate=evaluate, **given)
    return submitted.body, submitted.notes


@cache
def warm_up() -> None:
    """Parse a first file, so that the workers do not each import what that needs."""
    container = {"image": "none", "args": ["{{ globals.name }}", "{{ 1 + 1 }}"]}
    run = {"kind": "job", "container": container}
    parse_submission(
        json.dumps({"kind": "component", "name": "first", "run": run}), evaluate=evaluate_traced
    )


def new_operation(spec: Mapping[str, Any]) -> dict[str, Any]:
    """An Operation to create, named after the operation or else its component.

    The `control` of another run is not copied.
    """
    component = spec.get("component") or {}
    name = spec.get("name") or component.get("name") or spec.get("hubRef")
    return {
        "apiVersion": API_VERSION,
        "kind": "Operation",
        "metadata": {"generateName": generate_name(name), "labels": {CREATED_BY: "api"}},
        "spec": {key: value for key, value in spec.items() if key != "control"},
    }
