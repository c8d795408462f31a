"""`events`: what an operation waits for besides its dependencies.

Owns the keys and the list of kinds. Must not watch anything.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from opstrand.spec.problems import describe, fail
from opstrand.spec.scalars import OR_TEMPLATE, Text
from opstrand.spec.section import Section

EventKind = Literal[
    "run_status_created",
    "run_status_resuming",
    "run_status_on_schedule",
    "run_status_compiled",
    "run_status_queued",
    "run_status_scheduled",
    "run_status_starting",
    "run_status_initializing",
    "run_status_running",
    "run_status_processing",
    "run_status_stopping",
    "run_status_failed",
    "run_status_stopped",
    "run_status_succeeded",
    "run_status_skipped",
    "run_status_warning",
    "run_status_unschedulable",
    "run_status_upstream_failed",
    "run_status_retrying",
    "run_status_unknown",
    "run_status_done",
    "run_approved_actor",
    "run_invalidated_actor",
    "run_new_artifacts",
    "connection_git_commit",
    "connection_dataset_version",
    "connection_registry_image",
    "alert_info",
    "alert_warning",
    "alert_critical",
    "model_version_new_metric",
    "project_custom_event",
    "org_custom_event",
]


def _validate_ref(value: Any) -> Any:
    if isinstance(value, str) and not _REF.fullmatch(value):
        raise fail(
            "RefInvalid",
            f"expected ops.NAME, runs.UUID or connections.NAME, found {describe(value)}",
        )
    return value


_REF = re.compile(r"(ops|runs|connections)\.[^.\s]+")


class Event(Section):
    """One source of events, and the kinds that count."""

    ref: Annotated[Text, BeforeValidator(_validate_ref), OR_TEMPLATE] = Field(
        description="Where from: `ops.NAME`, `runs.UUID` or `connections.NAME`.",
        examples=["ops.train"],
    )
    kinds: list[Annotated[EventKind, OR_TEMPLATE]] = Field(
        description="The events that start the operation.", examples=[["run_status_succeeded"]]
    )
