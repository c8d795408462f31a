"""Runs for the tests of the store: bodies of Operations that are over, and their rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opstrand.runs.records import make_row
from opstrand.store.rows import Row

NAMESPACE_UID = "namespace-uid"
CREATED = "2026-01-01T00:00:00Z"


def final_body(
    number: int,
    *,
    phase: str = "Succeeded",
    version: int = 1,
    created: str = CREATED,
    spec: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    **status: Any,
) -> dict[str, Any]:
    """Return an Operation of the namespace `n`; all of it follows from the number."""
    known = {"uuid": f"{number:032x}", "phase": phase, "reason": phase, "kind": "job", **status}
    return {
        "apiVersion": "opstrand.dev/v1",
        "kind": "Operation",
        "metadata": {
            "name": f"run-{number}",
            "namespace": "n",
            "uid": f"uid-{number}",
            "resourceVersion": str(version),
            "creationTimestamp": created,
            **(metadata or {}),
        },
        "spec": dict(spec or {}),
        "status": known,
    }


def deleted_row(number: int, *, at: float = 1e9, **facts: Any) -> Row:
    """Return the row of a run whose object was deleted."""
    return make_row(final_body(number, **facts), deleted_at=at, namespace_uid=NAMESPACE_UID)
