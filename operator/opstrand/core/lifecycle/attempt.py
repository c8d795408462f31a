"""One attempt of a run, complete: its plan, its Pod, what it leaves in the lineage.

The meeting point of the two halves of the core: values (resolve, plan) and Kubernetes (pod). Must not decide whether to start it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opstrand.core import names
from opstrand.core.compiling.prepare import Prepared
from opstrand.core.pods.connections import EMPTY, Catalog
from opstrand.core.pods.init_steps import render_lineage
from opstrand.core.pods.plan import Plan, compile_plan
from opstrand.core.pods.pod import Rendered, render_pod
from opstrand.core.pods.pod_rules import check_plan
from opstrand.core.pods.volumes import store_path
from opstrand.core.resolving.resolve import Resolved
from opstrand.core.templates.template import Evaluate
from opstrand.errors import SpecError
from opstrand.settings import Settings


@dataclass(frozen=True)
class Attempt:
    """What `CreatePod` makes."""

    plan: Plan
    pod_name: str
    rendered: Rendered
    lineage: list[dict[str, Any]]


def render_attempt(
    prepared: Prepared,
    resolved: Resolved,
    *,
    body: Mapping[str, Any],
    number: int,
    settings: Settings,
    evaluate: Evaluate,
    elapsed: int = 0,
    catalog: Catalog = EMPTY,
) -> Attempt:
    """The attempt of this number, `elapsed` seconds after the first one started. Raises SpecError for what only rendering can know."""
    assert prepared.compiled is not None
    plan = compile_plan(prepared.compiled, resolved, prepared.identity, catalog.schemas, store_path=store_path(catalog), evaluate=evaluate)
    check_plan(plan)
    timeout = parse_count(plan.termination.get("timeout"))
    if timeout is not None and elapsed >= timeout:
        raise SpecError("DeadlineExceeded", f"it took longer than its timeout of {timeout} s", "termination.timeout")
    name = names.pod_name(body["metadata"]["name"], prepared.identity.uuid, number)
    rendered = render_pod(
        plan,
        owner=names.owner_reference(body),
        pod_name=name,
        settings=settings,
        deadline=None if timeout is None else timeout - elapsed,
        catalog=catalog,
    )
    return Attempt(plan, name, rendered, render_lineage(plan))


def parse_count(value: object) -> int | None:
    """A whole number of seconds or retries as the file or a template gave it; None where there is none."""
    return None if value is None or isinstance(value, bool) else int(float(str(value)))
