"""One complete attempt of a run: its plan, its Pod, and its lineage.

Connects the two halves of the core: values (resolving, planning) and Kubernetes (pods). Must not
decide whether to start the attempt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opstrand.core import names
from opstrand.core.compiling.prepare import Prepared
from opstrand.core.identity import Identity
from opstrand.core.limits import TOTAL, check_size
from opstrand.core.normalize import as_stored
from opstrand.core.operation import CompiledOperation
from opstrand.core.planning import service_globals
from opstrand.core.planning.connections import EMPTY, Catalog
from opstrand.core.planning.plan import CATALOG_NOT_GIVEN, NO_CATALOG, Plan, compile_plan
from opstrand.core.pods import service
from opstrand.core.pods.adoption import pod_digest
from opstrand.core.pods.collector import collects
from opstrand.core.pods.init_lineage import render_lineage
from opstrand.core.pods.pod import Rendered, render_pod
from opstrand.core.pods.pod_rules import check_plan
from opstrand.core.pods.restoring import copy_files, restore_files
from opstrand.core.pods.service import RenderedService
from opstrand.core.pods.volumes import store_path
from opstrand.core.resolving.resolve import Resolved, restore_value
from opstrand.core.templates.template import Evaluate
from opstrand.errors import SpecError
from opstrand.settings import Settings


@dataclass(frozen=True)
class Attempt:
    """A plan, and the objects that run it.

    For a service, the Pod is the template of its replicas.
    """

    plan: Plan
    pod_name: str
    rendered: Rendered
    lineage: list[dict[str, Any]]
    service: RenderedService | None = None
    service_facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The digest of the requested Pod, which does not depend on the run's time left."""
        return pod_digest(self.rendered.pod)

    @property
    def manifests(self) -> list[dict[str, Any]]:
        """The objects to create in the cluster, in that order."""
        made = (
            [self.rendered.pod]
            if self.service is None
            else [self.service.service, self.service.deployment]
        )
        return made if self.rendered.config_map is None else [self.rendered.config_map, *made]


def render_attempt(
    prepared: Prepared,
    resolved: Resolved,
    *,
    body: Mapping[str, Any],
    number: int,
    settings: Settings,
    evaluate: Evaluate,
    elapsed: int = 0,
    catalog: Catalog | None = EMPTY,
    is_resumed: bool = False,
) -> Attempt:
    """Render the attempt of this number, `elapsed` seconds after the first one started.

    Raises SpecError for problems that only rendering can find. `catalog` None: no catalog is given,
    so everything that names a connection is refused. `is_resumed`: the run's folder gets the files
    of the earlier attempts first, where they are not on a volume.
    """
    assert prepared.compiled is not None
    # Every attempt, the first included, reads values as the status stores them: keys in
    # alphabetical order, and 1.0 as 1.
    kept = restore_value(
        prepared.compiled, as_stored(dict(resolved.inputs)), as_stored(dict(resolved.outputs))
    )
    is_given = catalog is not None and catalog.is_given
    if not is_given:
        _refuse_connections(prepared.compiled)
    catalog = catalog or EMPTY
    schemas = catalog.schemas if is_given else None
    plan = compile_plan(
        prepared.compiled,
        kept,
        prepared.identity,
        schemas,
        store_path=store_path(catalog),
        evaluate=evaluate,
    )
    check_plan(plan)
    if is_resumed and collects(plan, settings, catalog):
        plan = restore_files(plan)
    plan = copy_files(plan, body)
    if plan.kind == service_globals.KIND:
        return _render_service(
            plan, prepared.identity, body=body, settings=settings, catalog=catalog
        )
    timeout = parse_count(plan.termination.get("timeout"))
    if timeout is not None and elapsed >= timeout:
        raise SpecError(
            "DeadlineExceeded",
            f"it took longer than its timeout of {timeout} s",
            "termination.timeout",
        )
    name = names.pod_name(body["metadata"]["name"], prepared.identity.uuid, number)
    rendered = render_pod(
        plan,
        owner=names.owner_reference(body),
        pod_name=name,
        settings=settings,
        deadline=None if timeout is None else timeout - elapsed,
        catalog=catalog,
    )
    check_size(rendered.pod, TOTAL, "the Pod", "run")
    return Attempt(plan, name, rendered, render_lineage(plan))


def _refuse_connections(compiled: CompiledOperation) -> None:
    """Refuse what names a connection when there is no catalog; everything else can run."""
    init = compiled.run.get("init")
    named = [
        f"run.init[{index}].connection"
        for index, step in enumerate(init if isinstance(init, list | tuple) else ())
        if _uses(step)
    ]
    named = ["run.connections", *named] if compiled.run.get("connections") else named
    if named:
        raise SpecError(CATALOG_NOT_GIVEN, f"names a connection, and {NO_CATALOG}", named[0])


def _uses(step: Any) -> bool:
    return isinstance(step, Mapping) and bool(step.get("connection"))


def _render_service(
    plan: Plan, identity: Identity, *, body: Mapping[str, Any], settings: Settings, catalog: Catalog
) -> Attempt:
    """Render a service. Its Pods have no deadline of their own: `timeout` is for the run."""
    name = names.service_name(body["metadata"]["name"], identity.uuid)
    rendered = render_pod(
        plan, owner=names.owner_reference(body), pod_name=name, settings=settings, catalog=catalog
    )
    check_size(rendered.pod, TOTAL, "the Pod", "run")
    made = service.render_service(plan, rendered.pod, name=name)
    return Attempt(
        plan, name, rendered, render_lineage(plan), made, service.render_facts(plan, identity, name)
    )


def parse_count(value: object) -> int | None:
    """Parse a whole number of seconds or retries from the polyaxonfile or a template.

    None if it is absent.
    """
    return None if value is None or isinstance(value, bool) else int(float(str(value)))
