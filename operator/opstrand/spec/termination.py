"""`termination`: how long a run may last, how often it is tried, and how long it is kept.

Owns the keys. Must not decide when any of them applies.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from opstrand.spec.kubernetes.parts import Kubernetes
from opstrand.spec.scalars import OR_TEMPLATE, Whole, WholeOrText
from opstrand.spec.section import Section


class Culling(Section):
    """When an idle service ends."""

    timeout: WholeOrText | None = Field(
        None, description="Seconds without activity after which it ends.", examples=[3600]
    )


class ActivityProbe(Section):
    """How the activity of a service is read."""

    exec: Annotated[dict[str, Any], Kubernetes("ExecAction"), OR_TEMPLATE] | None = Field(
        None,
        description="A command in the container that reports it.",
        examples=[{"command": ["bash", "-c", "activity"]}],
    )
    http: Annotated[dict[str, Any], Kubernetes("HTTPGetAction"), OR_TEMPLATE] | None = Field(
        None,
        description="A page of the container that reports it.",
        examples=[{"path": "/api/status", "port": 8888}],
    )


class Termination(Section):
    """Limits of a run in time and tries.

    May be changed while the run lives; a job's timeout then counts from its next attempt on.
    """

    max_retries: Whole | None = Field(
        None,
        description=(
            "How often a failed run is tried again. Default: 0. Pods that the cluster removes, or "
            "a person deletes, have a budget of their own: the annotation "
            "opstrand.dev/platform-retries, under run.environment.annotations or on the Operation."
        ),
        examples=[2],
    )
    timeout: Whole | None = Field(
        None,
        description=(
            "Seconds after which the run is stopped as failed, from when a node has its Pod; of a "
            "service from when it serves. For a node it waits no longer than that either, or half "
            "an hour where it is less."
        ),
        examples=[3600],
    )
    ttl: Whole | None = Field(
        None,
        description="Seconds that the Pod is kept after the end. Default: a day.",
        examples=[600],
    )
    culling: Annotated[Culling, OR_TEMPLATE] | None = Field(
        None, description="When an idle service ends.", examples=[{"timeout": 3600}]
    )
    probe: Annotated[ActivityProbe, OR_TEMPLATE] | None = Field(
        None,
        description="How the activity of a service is read.",
        examples=[{"http": {"path": "/", "port": 80}}],
    )
    pod_failure_policy: (
        Annotated[dict[str, Any], Kubernetes("PodFailurePolicy"), OR_TEMPLATE] | None
    ) = Field(
        None,
        description="Kubernetes' rules by which exit codes count as failures.",
        examples=[
            {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]}
        ],
    )
