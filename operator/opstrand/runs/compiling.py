"""The compiled operation of a run, as the command line reads it from the run's object.

Must not fetch anything: a component of the hub counts where the run has frozen it or the caller
has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opstrand.core.compiling.compile import compile_alone, compile_operation
from opstrand.core.operation import CompiledOperation
from opstrand.core.recorded import read_status
from opstrand.spec.polyaxonfile import parse_component, parse_operation
from opstrand.types import Body


def compile_body(body: Body, component: Mapping[str, Any] | None = None) -> CompiledOperation:
    """Compile the operation of a run. Raises SpecError if it is invalid."""
    frozen = read_status(body).get("component") or component
    operation = parse_operation(body.get("spec") or {}, is_object=True)
    if operation.hub_ref and operation.component is None and not frozen:
        # The declarations of the component are unknown yet, but the given params are known.
        return compile_alone(operation)
    return compile_operation(
        operation,
        component=parse_component(frozen) if frozen and operation.component is None else None,
    )
