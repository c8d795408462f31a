"""What Pods say, as a table: the Pod's status and what it means for the run."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstrand.core.lifecycle.diagnose import Fault, State, observe_pod


def pod(status: dict[str, Any] | None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": spec, "status": status}


def main(**state: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "main", "image": "app:1", "state": state}]}


def ended(code: int, **fields: Any) -> dict[str, Any]:
    return main(terminated={"exitCode": code, "finishedAt": "2026-01-01T00:00:05Z", "startedAt": "2026-01-01T00:00:00Z", **fields})


def waiting(reason: str, message: str = "words") -> dict[str, Any]:
    return {"phase": "Pending", **main(waiting={"reason": reason, "message": message})}


def disrupted(reason: str) -> dict[str, Any]:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "taken away"}
    return {"phase": "Failed", "conditions": [condition], **ended(137)}


INIT = [{"name": "opstrand-init", "state": {"terminated": {"exitCode": 1, "message": "no such host"}}}]
SIDECAR = [{"name": "proxy", "state": {"terminated": {"exitCode": 137}}}]
UNSCHEDULABLE = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: Insufficient cpu"}]

TABLE = [
    ("nothing known yet", pod(None), State.PENDING, "", Fault.NONE, ""),
    ("null lists", pod({"containerStatuses": None, "conditions": None}), State.PENDING, "", Fault.NONE, ""),
    ("running", pod({"phase": "Running", **main(running={"startedAt": "x"})}), State.RUNNING, "PodRunning", Fault.NONE, ""),
    ("exit 0", pod({"phase": "Succeeded", **ended(0)}), State.SUCCEEDED, "Succeeded", Fault.NONE, ""),
    ("exit 0 while sidecars still run", pod({"phase": "Running", **ended(0)}), State.SUCCEEDED, "Succeeded", Fault.NONE, ""),
    ("containers pruned", pod({"phase": "Succeeded"}), State.SUCCEEDED, "Succeeded", Fault.NONE, ""),
    ("exit 3 and the Pod not over", pod({"phase": "Running", **ended(3)}), State.RUNNING, "PodRunning", Fault.NONE, ""),
    ("not started, not over", pod({"phase": "Running", **ended(128, reason="StartError")}), State.PENDING, "", Fault.NONE, ""),
    ("exit 3", pod({"phase": "Failed", **ended(3, message="boom\n")}), State.FAILED, "ContainerFailed", Fault.USER, "exit code 3: boom"),
    ("out of memory", pod({"phase": "Failed", **ended(137, reason="OOMKilled")}), State.FAILED, "OOMKilled", Fault.USER, "limit"),
    ("deadline", pod({"phase": "Failed", "reason": "DeadlineExceeded", **ended(143)}), State.FAILED, "DeadlineExceeded", Fault.USER, ""),
    ("evicted", pod({"phase": "Failed", "reason": "Evicted", "message": "low disk"}), State.FAILED, "Evicted", Fault.PLATFORM, "low disk"),
    ("drained", pod(disrupted("EvictionByEvictionAPI")), State.FAILED, "Evicted", Fault.PLATFORM, "taken away"),
    ("preempted", pod(disrupted("PreemptionByScheduler")), State.FAILED, "Preempted", Fault.PLATFORM, "taken away"),
    ("node lost", pod(disrupted("DeletionByTaintManager")), State.FAILED, "NodeLost", Fault.PLATFORM, "taken away"),
    ("refused by its node", pod({"phase": "Failed", "reason": "OutOfcpu"}), State.FAILED, "ContainerFailed", Fault.PLATFORM, "OutOfcpu"),
    ("init step failed", pod({"phase": "Failed", "initContainerStatuses": INIT}), State.FAILED, "InitFailed", Fault.USER, "no such host"),
    ("image pull", pod(waiting("ImagePullBackOff", "denied")), State.PENDING, "ImagePullFailed", Fault.USER, "app:1"),
    ("missing secret", pod(waiting("CreateContainerConfigError")), State.PENDING, "ContainerConfigError", Fault.USER, "words"),
    ("no node takes it", pod({"conditions": UNSCHEDULABLE}), State.PENDING, "Unschedulable", Fault.NONE, "Insufficient cpu"),
    ("being created", pod(waiting("ContainerCreating")), State.PENDING, "", Fault.NONE, ""),
]


@pytest.mark.parametrize(("status", "state", "reason", "fault", "words"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_pod_means(status: dict[str, Any], state: State, reason: str, fault: Fault, words: str) -> None:
    seen = observe_pod(status)
    assert (seen.state, seen.reason, seen.fault) == (state, reason, fault)
    assert words in seen.message


def test_a_sidecar_that_is_killed_after_main_is_no_failed_init_step() -> None:
    spec = {"initContainers": [{"name": "proxy", "restartPolicy": "Always"}]}
    status = {"phase": "Failed", "initContainerStatuses": SIDECAR, **ended(2)}
    assert observe_pod(pod(status, **spec)).reason == "ContainerFailed"


field_names = ("phase", "reason", "message", "startTime")


@given(st.dictionaries(st.sampled_from(field_names), st.none() | st.text(max_size=10)), st.booleans(), st.booleans())
def test_no_pod_makes_it_raise(fields: dict[str, Any], nulls: bool, emptied: bool) -> None:
    lists = {name: None if nulls else [] for name in ("containerStatuses", "initContainerStatuses", "conditions")}
    containers = [{"name": "main", "state": None}, {"name": "main"}] if emptied else []
    observe_pod(pod({**fields, **lists}))
    observe_pod(pod({**fields, "containerStatuses": containers}))
