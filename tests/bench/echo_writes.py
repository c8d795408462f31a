"""Records what one run of the echo writes, as our own core decides it, so that the bare loop writes
the same bytes under another name.

Owns playing the life of one run without a cluster. Must not write anything to one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from opstrand.core.compiling.prepare import prepare
from opstrand.core.decide import decide
from opstrand.core.lifecycle.snapshot import Snapshot
from opstrand.core.lifecycle.status import patch_ops
from opstrand.core.pipelines.children import render_child
from opstrand.core.resolving.refs import Ref
from opstrand.settings import Settings
from tests.bench.write_loop import NAME, UID
from tests.support.builders import answer, list_created
from tests.support.kubelet_stand_in import ended, running

_SETTINGS = Settings()


def record_writes(operation: Mapping[str, Any]) -> dict[str, str]:
    """Return the JSON texts by purpose: `freeze`, `pod`, `running`, `final`, `waiting` for a run
    that refers to another, and `child` for the run as a pipeline creates it.
    """
    metadata = {
        "name": NAME,
        "namespace": "bench",
        "uid": UID,
        "generation": 1,
        "resourceVersion": "1",
    }
    body = {**operation, "metadata": {**metadata, "creationTimestamp": "2026-01-01T00:00:00Z"}}
    waiting = {
        **body,
        "spec": {
            **body["spec"],
            "params": {"message": {"ref": "ops.up-99999", "value": "outputs.acc"}},
        },
    }
    freeze = _decide(body)
    (pod,) = list_created(freeze)
    frozen = {**body, "status": freeze.status}
    moment = "2026-01-01T00:00:01Z"
    stored = {**pod, "metadata": {**pod["metadata"], "uid": UID, "creationTimestamp": moment}}
    run = _decide(frozen, {**stored, "status": running(moment)})
    lived = {**frozen, "status": run.status}
    end = _decide(lived, {**stored, "status": ended(0, moment)})
    writes = {
        "waiting": patch_ops(None, _decide(waiting).status or {}),
        "freeze": [{"op": "add", "path": "/status", "value": freeze.status}],
        "pod": pod,
        "running": patch_ops(frozen["status"], run.status or {}),
        "final": patch_ops(lived["status"], end.status or {}),
        "child": render_child(body, "o0000", {"name": "o0000", **body["spec"]}),
    }
    return {name: json.dumps(write) for name, write in writes.items()}


def _decide(body: Any, pod: Any = None) -> Any:
    prepared = prepare(body, settings=_SETTINGS)
    refs: dict[Ref, Any] = dict.fromkeys(prepared.refs)
    snapshot = Snapshot(body, prepared, datetime.now(UTC), _SETTINGS, _refuse, refs)
    return decide(answer(snapshot, pod=pod))


def _refuse(source: str, values: Mapping[str, Any]) -> Any:
    raise AssertionError("the echo has no template that needs a worker")
