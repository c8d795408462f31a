"""Builders of Operations, Pods, snapshots and upstreams for tests. A test gives only what it is
about.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from opstrand.controller.decision_job import read_pipeline
from opstrand.core.compiling.compile import compile_operation
from opstrand.core.compiling.prepare import Prepared, prepare
from opstrand.core.decide import decide, list_asks
from opstrand.core.identity import Identity
from opstrand.core.lifecycle.actions import Claim, Create
from opstrand.core.lifecycle.asks import (
    Ask,
    Children,
    Get,
    Known,
    Labelled,
    Pipeline,
    Probe,
    Sighting,
    Warnings,
)
from opstrand.core.lifecycle.snapshot import Decision, Snapshot
from opstrand.core.operation import CompiledOperation
from opstrand.core.pipelines.children import render_child
from opstrand.core.pipelines.letters import Children as Letters
from opstrand.core.planning.culling import Activity
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
    """Return the snapshot of this Operation, in a cluster with these `Objects`."""
    try:
        prepared: Prepared | SpecError = prepare(operation, settings=SETTINGS)
    except SpecError as error:
        prepared = error
    there = {name: fields.pop(name) for name in Objects.__annotations__ if name in fields}
    now = fields.pop("now", NOW)
    return answer(Snapshot(operation, prepared, now, SETTINGS, refuse, **fields), **there)


@dataclass(frozen=True)
class Objects:
    """What a cluster has of a run, for the answers to what its kind asks."""

    pod: Any = None
    #: A Pod with the attempt's name whose owner is not known.
    claimant: Any = None
    pod_is_lost: bool = False
    pod_events: Sequence[Any] = ()
    earlier_pods: Sequence[Any] = ()
    replicas: Sequence[Any] = ()
    deployment: Any = None
    deployment_is_gone: bool = False
    service_is_gone: bool = False
    activity: Activity | None = None
    #: Known Operations that the run controls; and further ones, by name, such as its pipeline.
    children: Sequence[Any] = ()
    operations: Sequence[Any] = ()
    #: Operations that had ended and are gone, as they were known last.
    lasts: Sequence[Any] = ()
    #: Names of Operations of which it is not known who created them.
    unknown: Sequence[str] = ()

    def answer(self, ask: Ask, body: Any) -> Any:
        """Return the answer that the operator would find."""
        if isinstance(ask, Known | Get):
            return self._find(ask)
        if isinstance(ask, Pipeline):
            return read_pipeline(SETTINGS, body)
        return {
            Labelled: tuple(self.replicas),
            Children: tuple(self.children),
            Warnings: tuple(self.pod_events),
            Probe: self.activity,
        }[type(ask)]

    def _find(self, ask: Known | Get) -> Sighting:
        if ask.kind == "Pod":
            return self._find_pod(ask.name) if isinstance(ask, Known) else Sighting(self.pod)
        if ask.kind == "Deployment":
            return self._find_deployment()
        if ask.kind == "Operation":
            return self._find_operation(ask.name)
        return Sighting(None if self.service_is_gone else {"metadata": {}})

    def _find_operation(self, name: str) -> Sighting:
        there = {one["metadata"]["name"]: one for one in (*self.children, *self.operations)}
        lasts = {one["metadata"]["name"]: one for one in self.lasts}
        found = Sighting(there.get(name), last=lasts.get(name))
        return found if name in self.unknown else replace(found, own_uid=found.uid)

    def _find_pod(self, name: str) -> Sighting:
        for earlier in self.earlier_pods:
            if earlier["metadata"]["name"] == name:
                return Sighting(earlier)
        if self.claimant is not None:
            return Sighting(self.claimant)
        uid = "" if self.pod is None else str(self.pod["metadata"].get("uid") or "")
        return Sighting(self.pod, uid, was_seen=self.pod_is_lost)

    def _find_deployment(self) -> Sighting:
        uid = ((self.deployment or {}).get("metadata") or {}).get("uid") or "deployment-uid"
        return Sighting(self.deployment, str(uid), was_seen=self.deployment_is_gone)


def answer(snapshot: Snapshot, **there: Any) -> Snapshot:
    """Return the snapshot with the answers to all that its kind asks of these `Objects`."""
    objects = Objects(**there)
    while asks := list_asks(snapshot):
        answers = {ask: objects.answer(ask, snapshot.body) for ask in asks}
        snapshot = replace(snapshot, answers={**snapshot.answers, **answers})
    return snapshot


def list_actions(decision: Decision) -> list[str]:
    """Return what a decision does, such as `Create Pod`, in its order."""
    return [
        f"{type(one).__name__} "
        f"{one.manifest['kind'] if isinstance(one, Create | Claim) else one.kind}"
        for one in decision.actions
    ]


def list_created(decision: Decision) -> list[dict[str, Any]]:
    """Return the manifests that a decision creates, in their order."""
    return [one.manifest for one in decision.actions if isinstance(one, Create)]


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


def child_of(
    parent: dict[str, Any],
    key: str | int,
    phase: str = "",
    spec: dict[str, Any] | None = None,
    **status: Any,
) -> dict[str, Any]:
    """Return the run that a pipeline made for an operation or index; "": nothing wrote its status.

    Its uid is made of its name.
    """
    given = {**({} if isinstance(key, int) else {"name": key}), **(spec or JOB)}
    made = render_child(parent, key, given)
    digits = hashlib.sha256(made["metadata"]["name"].encode()).hexdigest()
    made["metadata"] |= {
        "uid": f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:32]}",
        "creationTimestamp": "2026-01-01T12:00:00Z",
        "resourceVersion": "1",
        "generation": 1,
    }
    told = {"phase": phase, "reason": phase, "kind": "job", **status}
    return {**made, **({"status": told} if phase else {})}


def parent_of(name: str, states: str, spec: dict[str, Any], **status: Any) -> dict[str, Any]:
    """Return a pipeline that runs, with a letter for each of its runs."""
    facts = {"phase": "Running", "kind": "dag", **status}
    facts["children"] = {**Letters(states).as_dict(), **status.get("children", {})}
    digits = hashlib.sha256(name.encode()).hexdigest()
    uid = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:32]}"
    return {
        "apiVersion": "opstrand.dev/v1",
        "kind": "Operation",
        **body(spec, facts, name=name, uid=uid),
    }
