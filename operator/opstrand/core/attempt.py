"""One attempt of a run, complete: its plan, its Pod, what it leaves in the lineage.

The meeting point of the two halves of the core: values (resolve, plan) and Kubernetes (pod). Must not decide whether to start it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opstrand.core import names
from opstrand.core.init_steps import render_lineage
from opstrand.core.plan import Plan, compile_plan
from opstrand.core.pod import Rendered, render_pod
from opstrand.core.prepare import Prepared
from opstrand.core.resolve import Resolved
from opstrand.core.template import Evaluate
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
    left: int | None = None,
) -> Attempt:
    """The attempt of this number, with `left` seconds to live. Raises SpecError for what only rendering can know."""
    assert prepared.compiled is not None
    plan = compile_plan(prepared.compiled, resolved, prepared.identity, evaluate=evaluate)
    name = names.pod_name(body["metadata"]["name"], prepared.identity.uuid, number)
    rendered = render_pod(plan, owner=names.owner_reference(body), pod_name=name, settings=settings, deadline=left)
    return Attempt(plan, name, rendered, render_lineage(plan))
