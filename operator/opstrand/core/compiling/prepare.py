"""Prepare a run from its own object alone: the compiled operation, its identity, refs and policies.

Owns the way from a custom resource's body to `CompiledOperation`. Pure, and the same for a laptop
and a cluster. Must not look at other runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from opstrand.core.compiling.check import check_alone
from opstrand.core.compiling.compile import compile_alone, compile_operation
from opstrand.core.compiling.schedule import share_with_schedule
from opstrand.core.compiling.unsupported import find_missing
from opstrand.core.identity import Identity, read_identity
from opstrand.core.limits import COMPONENT, OUTPUTS, TOTAL, check_size, measure
from opstrand.core.names import is_of_hook
from opstrand.core.operation import CompiledOperation
from opstrand.core.pipelines.hooks import (
    find_hooks_of_hooks,
    find_own_hooks,
    list_all,
    list_components,
)
from opstrand.core.pipelines.hub import component_name, find_itself, list_hub_refs
from opstrand.core.recorded import read_status
from opstrand.core.resolving.refs import Ref, collect_refs, list_event_refs
from opstrand.errors import Problem, SpecError
from opstrand.settings import Settings
from opstrand.spec.polyaxonfile import Operation, parse_component, parse_operation

#: Bytes that conditions, history and times may still add to a status after the freeze.
_ROOM = 64 * 1024


@dataclass(frozen=True)
class Prepared:
    """What a run's own object says.

    `compiled` is None while its hub component is missing (`missing_component` names it).
    """

    identity: Identity
    operation: Operation
    compiled: CompiledOperation | None
    missing_component: str = ""
    #: The hub's component, to be frozen into the status so that a later edit changes nothing.
    frozen_component: Mapping[str, Any] | None = None
    refs: frozenset[Ref] = frozenset()

    @property
    def components(self) -> frozenset[str]:
        """The Components that operations of a pipeline name; a schedule leaves them to its runs."""
        if self.compiled is None or self.compiled.schedule is not None:
            return frozenset()
        nodes = self.compiled.nodes
        return frozenset(name for _, name in list_hub_refs(nodes))

    @property
    def hook_components(self) -> tuple[str, ...]:
        """The Components that hooks of the run name; a schedule leaves them to its runs."""
        if self.compiled is None or self.compiled.schedule is not None:
            return ()
        return tuple(list_components(list_all(self.compiled.hooks, self.compiled.plugins)))

    @property
    def tags(self) -> tuple[str, ...]:
        return () if self.compiled is None else tuple(self.compiled.tags)

    @property
    def description(self) -> str | None:
        return None if self.compiled is None else self.compiled.description

    def check_total(self, body: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        """Refuse a run whose final status might not fit into the cluster any more.

        Raises SpecError TooLarge with both sizes.
        """
        outputs = max(OUTPUTS - measure(status.get("outputs") or {}), 0)
        size = measure({**body, "status": status}) + outputs + _ROOM
        if size > TOTAL:
            raise SpecError(
                "TooLarge",
                f"spec and status would take {size} bytes with the outputs' room; at most {TOTAL} "
                "fit into the cluster",
            )


def prepare(
    body: Mapping[str, Any], *, settings: Settings, component: Mapping[str, Any] | None = None
) -> Prepared:
    """Prepare everything that `body` says of itself.

    `component` is the spec of the Component that its `hubRef` names, if it was found. Raises
    SpecError with all problems of the file; paths are those of the custom resource's spec.
    """
    identity = read_identity(body, settings)
    spec = body.get("spec") or {}
    operation = parse_operation(spec, is_object=True)
    _check_namespace(operation, body)
    frozen, is_child = read_status(body).get("component"), not identity.is_independent
    hub_ref = operation.hub_ref if operation.component is None else None
    if hub_ref is None:
        compiled = _compile(operation, None, identity, body)
        return Prepared(identity, operation, compiled, refs=_find_refs(compiled, identity))
    found = frozen or component
    if found is None:
        alone = compile_alone(operation)
        _refuse([*check_alone(alone), *find_missing(alone, is_child=is_child)])
        return Prepared(identity, operation, None, missing_component=component_name(hub_ref))
    check_size(found, COMPONENT, f"Component {hub_ref!r}")
    compiled = _compile(operation, found, identity, body)
    own = component_name(hub_ref)
    _refuse(
        [
            *find_itself(compiled.nodes, own),
            *find_own_hooks(list_all(compiled.hooks, compiled.plugins), own),
        ]
    )
    # Each run of a schedule has the component as it is then.
    kept = None if compiled.schedule is not None else found
    return Prepared(
        identity, operation, compiled, frozen_component=kept, refs=_find_refs(compiled, identity)
    )


def _find_refs(compiled: CompiledOperation, identity: Identity) -> frozenset[Ref]:
    """Return the runs that the run itself refers to, not those that it makes on a schedule."""
    if compiled.schedule is not None:
        return collect_refs(share_with_schedule(compiled))
    events = list_event_refs(compiled.events, is_alone=identity.is_alone)
    return collect_refs(compiled).union(events.values())


def _check_namespace(operation: Operation, body: Mapping[str, Any]) -> None:
    own = body["metadata"]["namespace"]
    if operation.namespace not in (None, own):
        raise SpecError(
            "InvalidSpec",
            f"expected the object's own namespace {own!r}, found {operation.namespace!r}",
            "namespace",
        )


def _compile(
    operation: Operation,
    component: Mapping[str, Any] | None,
    identity: Identity,
    body: Mapping[str, Any],
) -> CompiledOperation:
    parsed = None if component is None else parse_component(component)
    compiled = compile_operation(operation, component=parsed)
    if identity.schedule_at is not None:
        # Its component may have the schedule of which this run is one.
        compiled = replace(compiled, schedule=None)
    _refuse(find_missing(compiled, is_child=not identity.is_independent))
    if is_of_hook(body):
        _refuse(list(find_hooks_of_hooks(compiled)))
    return compiled


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise SpecError.of(problems)
