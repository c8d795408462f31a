"""The body of a running `echo`, as the operator writes it, and where the API serves it."""

from __future__ import annotations

from typing import Any

UUID = "4f0c1a2b4f0c1a2b4f0c1a2b4f0c1a2b"


RUN = f"/api/v1/default/quick-start/runs/{UUID}"


def operation(**status: Any) -> dict[str, Any]:
    """Return the body of a running `echo`; `status` is merged over what the freeze wrote."""
    frozen = {
        "uuid": UUID,
        "kind": "job",
        "phase": "Running",
        "pod": {"name": "echo-4f0c1a2b-0", "uid": "pod-uid", "node": "node1"},
        "inputs": {"message": "test 1"},
        "outputs": {},
        "meta": {},
        "startedAt": "2026-01-02T03:04:07Z",
        "history": [
            {"status": "created", "at": "2026-01-02T03:04:05Z"},
            {"status": "running", "at": "2026-01-02T03:04:07Z"},
        ],
    }
    meta = {
        "name": "echo",
        "namespace": "quick-start",
        "uid": "4f0c1a2b-4f0c-1a2b-4f0c-1a2b4f0c1a2b",
    }
    meta["creationTimestamp"] = "2026-01-02T03:04:05Z"
    return {
        "metadata": meta,
        "spec": {"component": {"run": {"kind": "job"}}},
        "status": {**frozen, **status},
    }
