"""Builders of Operations, Pods, snapshots and upstreams for tests. A test gives only what it is
about.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from opstrand.core.compiling.compile import compile_operation
from opstrand.core.compiling.prepare import Prepared, prepare
from opstrand.core.decide import decide
from opstrand.core.identity import Identity
from opstrand.core.lifecycle.snapshot import Decision, Snapshot
from opstrand.core.operation import CompiledOperation
from opstrand.core.resolving.refs import Ref, Upstream
from opstrand.core.resolving.resolve import Resolved, resolve
from opstrand.core.templates.evaluation import evaluate
from opstrand.core.templates.template import Evaluate, refuse
from opstrand.errors import SpecError
from opstrand.settings import Settings
from opstrand.spec.polyaxonfile import parse_operation

ME = Identity("a" * 32, "eval", "quick-start")
UP = Ref("ops", "prep")


def operation(
    params: Mapping[str, Any] | None = None,
    inputs: Any = (),
    outputs: Any = (),
    run: Any = None,
    **own: Any,
) -> CompiledOperation:
    """Return a compiled job over a component with these declarations; `own` are the operation's
    other fields.
    """
    container = {"image": "busybox"}
    component = {
        "kind": "component",
        "inputs": list(inputs),
        "outputs": list(outputs),
        "run": {"kind": "job", "container": container, **(run or {})},
    }
    return compile_operation(
        parse_operation(
            {"kind": "operation", "params": dict(params or {}), "component": component, **own}
        )
    )


def upstream(phase: str = "Succeeded", **changes: Any) -> Upstream:
    """Return the run `prep`, which succeeded unless the test says otherwise."""
    done = phase in ("Succeeded", "Failed", "Stopped", "Skipped", "UpstreamFailed")
    facts: dict[str, Any] = {
        "inputs": {"lr": 0.1},
        "outputs": {"acc": 0.9, "loss": 0} if done else None,
        "artifacts": ({"name": "model", "path": "outputs/model"},) if done else (),
        "done": done,
        "frozen": True,
        **changes,
    }
    return Upstream(
        "b" * 32,
        "prep",
        phase,
        {"uuid": "b" * 32, "name": "prep", "status": phase.lower()},
        **facts,
    )


def values(compiled: CompiledOperation, evaluate: Evaluate = refuse) -> Resolved:
    """Return the values of an operation that needs no other run."""
    found = resolve(compiled, ME, {}, evaluate=evaluate)
    assert isinstance(found, Resolved)
    return found


NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SETTINGS = Settings()
JOB = {
    "component": {"run": {"kind": "job", "container": {"image": "busybox", "command": ["true"]}}}
}


def body(
    spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **metadata: Any
) -> dict[str, Any]:
    fixed = {
        "name": "run",
        "namespace": "ns",
        "uid": "d1410a91-4d18-4575-89b9-1926d8c23db4",
        "generation": 1,
        "resourceVersion": "1",
    }
    made = {
        "metadata": {**fixed, "creationTimestamp": "2026-01-01T11:59:00Z", **metadata},
        "spec": {**JOB, **(spec or {})},
    }
    return made if status is None else {**made, "status": status}


def see(operation: Any, **fields: Any) -> Snapshot:
    try:
        prepared: Prepared | SpecError = prepare(operation, settings=SETTINGS)
    except SpecError as error:
        prepared = error
    return Snapshot(operation, prepared, fields.pop("now", NOW), SETTINGS, refuse, **fields)


def started(**spec: Any) -> dict[str, Any]:
    """Return the body of the run after its freeze."""
    decision = decide(see(body(spec)))
    assert decision.status is not None
    return body(spec, decision.status)


def pod(status: dict[str, Any], **spec: Any) -> dict[str, Any]:
    metadata = {
        "name": "run-d1410a91-0",
        "namespace": "ns",
        "uid": "pod-uid",
        "creationTimestamp": "2026-01-01T11:59:30Z",
    }
    return {"metadata": metadata, "spec": {"nodeName": "n1", **spec}, "status": status}


def main(**state: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "main", "state": state}]}


RUNNING = {"phase": "Running", **main(running={"startedAt": "2026-01-01T11:59:40Z"})}
DONE = {
    "phase": "Succeeded",
    **main(
        terminated={
            "exitCode": 0,
            "startedAt": "2026-01-01T11:59:40Z",
            "finishedAt": "2026-01-01T11:59:50Z",
        }
    ),
}
BROKEN = {
    "phase": "Failed",
    **main(
        terminated={
            "exitCode": 1,
            "startedAt": "2026-01-01T11:59:40Z",
            "finishedAt": "2026-01-01T11:59:50Z",
        }
    ),
}
EVICTED = {"phase": "Failed", "reason": "Evicted"}


def phase(decision: Decision) -> tuple[str, str]:
    assert decision.status is not None
    return decision.status["phase"], decision.status["reason"]


def here(source: str, context: Any) -> Any:
    """Evaluate the full template language without its worker process: for tests of meaning, not of
    limits.
    """
    return evaluate(source, context)


RUN = {"kind": "job", "container": {"image": "busybox"}}


def pipeline(*operations: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"component": {"run": {"kind": "dag", "operations": list(operations), **more}}}


def nest(depth: int, shape: str, inner: Any = 1) -> bytes:
    """Return JSON with this many levels; `shape` is repeated: a list for `l`, an object for `o`."""
    kinds = [shape[level % len(shape)] for level in range(depth)]
    openings = "".join("[" if kind == "l" else '{"a}":' for kind in kinds)
    closings = "".join("]" if kind == "l" else "}" for kind in reversed(kinds))
    return f"{openings}{json.dumps(inner)}{closings}".encode()
