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


def leaving(reason: str, **status: Any) -> dict[str, Any]:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "taken away"}
    return {"phase": "Running", "conditions": [condition], **status}


def asking(**resources: str) -> dict[str, Any]:
    return {
        "containers": [{"name": "main", "resources": {"requests": resources}}],
        "initContainers": [
            {"name": "proxy", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}},
            {"name": "step", "resources": {"requests": {"cpu": "10m", "ephemeral-storage": "1Gi"}}},
        ],
    }


RUNS = main(running={"startedAt": "x"})
SILENT = [{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "True"}]
BEYOND = "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. "
INIT = [{"name": "opstrand-init", "state": {"terminated": {"exitCode": 1, "message": "no such host"}}}]
SIDECAR = [{"name": "proxy", "state": {"terminated": {"exitCode": 137}}}]
WORDS = "0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient nvidia.com/gpu, 1 Insufficient ephemeral-storage."
UNSCHEDULABLE = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": WORDS}]
NO_CLAIM = [{**UNSCHEDULABLE[0], "message": '0/1 nodes are available: persistentvolumeclaim "data" not found. not found'}]

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
    ("out of memory", pod({"phase": "Failed", **ended(137, reason="OOMKilled")}), State.FAILED, "OOMKilled", Fault.USER, "memory"),
    ("deadline", pod({"phase": "Failed", "reason": "DeadlineExceeded", **ended(143)}), State.FAILED, "DeadlineExceeded", Fault.USER, ""),
    ("evicted", pod({"phase": "Failed", "reason": "Evicted", "message": "low disk"}), State.FAILED, "Evicted", Fault.PLATFORM, "low disk"),
    ("drained", pod(disrupted("EvictionByEvictionAPI")), State.FAILED, "Evicted", Fault.PLATFORM, "taken away"),
    ("preempted", pod(disrupted("PreemptionByScheduler")), State.FAILED, "Preempted", Fault.PLATFORM, "taken away"),
    ("node lost", pod(disrupted("DeletionByTaintManager")), State.FAILED, "NodeLost", Fault.PLATFORM, "taken away"),
    ("beyond its own limit", pod({"phase": "Failed", "reason": "Evicted", "message": BEYOND}), State.FAILED, "Evicted", Fault.USER, "2Mi"),
    ("its node is silent", pod({"phase": "Running", "conditions": SILENT, **RUNS}), State.RUNNING, "NodeNotReady", Fault.NONE, "answer"),
    ("refused by its node", pod({"phase": "Failed", "reason": "OutOfcpu"}), State.FAILED, "ContainerFailed", Fault.PLATFORM, "OutOfcpu"),
    ("init step failed", pod({"phase": "Failed", "initContainerStatuses": INIT}), State.FAILED, "InitFailed", Fault.USER, "no such host"),
    ("image pull", pod(waiting("ImagePullBackOff", "denied")), State.PENDING, "ImagePullFailed", Fault.USER, "app:1"),
    ("missing secret", pod(waiting("CreateContainerConfigError")), State.PENDING, "ContainerConfigError", Fault.USER, "words"),
    ("no node takes it", pod({"conditions": UNSCHEDULABLE}), State.PENDING, "Unschedulable", Fault.NONE, "Insufficient cpu"),
    ("no such claim", pod({"conditions": NO_CLAIM}), State.PENDING, "VolumeNotMounted", Fault.USER, '"data" not found'),
    ("being created", pod(waiting("ContainerCreating")), State.PENDING, "", Fault.NONE, ""),
]


@pytest.mark.parametrize(("status", "state", "reason", "fault", "words"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_pod_means(status: dict[str, Any], state: State, reason: str, fault: Fault, words: str) -> None:
    seen = observe_pod(status)
    assert (seen.state, seen.reason, seen.fault) == (state, reason, fault)
    assert words in seen.message


@pytest.mark.parametrize(("state", "seen"), [(RUNS, State.RUNNING), ({}, State.PENDING)], ids=["running", "not running yet"])
def test_a_pod_that_is_taken_away_and_has_not_ended_says_why(state: dict[str, Any], seen: State) -> None:
    going = pod(leaving("DeletionByTaintManager", **state), nodeName="n1")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    found = observe_pod(going)
    assert (found.state, found.reason, found.fault) == (seen, "NodeLost", Fault.PLATFORM)
    assert found.message == "node 'n1' is lost: taken away; its Pod ends when the node is back, or its Node object is deleted"


def test_a_pod_that_no_node_takes_says_what_is_short_and_how_much_of_it_was_asked_for() -> None:
    found = observe_pod(pod({"conditions": UNSCHEDULABLE}, **asking(cpu="64", **{"nvidia.com/gpu": "8", "memory": "1Gi"})))
    asked = "asks for cpu: 64 (main), 1 (proxy); asks for nvidia.com/gpu: 8 (main); asks for ephemeral-storage: 1Gi (step)"
    assert found.message == f"{asked}; {WORDS}"


def test_an_end_in_an_init_step_names_the_step() -> None:
    def after(**end: Any) -> dict[str, Any]:
        steps = [
            {"name": "fine", "state": {"terminated": {"exitCode": 0}}},
            {"name": "slow", "state": {"terminated": {"exitCode": 137, **end}}},
        ]
        return {"phase": "Failed", "initContainerStatuses": steps, **waiting("PodInitializing")}

    spec: dict[str, Any] = {"activeDeadlineSeconds": 9, "initContainers": [{"name": "slow", "resources": {"limits": {"memory": "1Mi"}}}]}
    late = observe_pod(pod({**after(), "phase": "Failed", "reason": "DeadlineExceeded"}, **spec))
    assert (late.reason, late.message) == ("DeadlineExceeded", "init step 'slow' did not end within 9 s")
    greedy = observe_pod(pod({**after(reason="OOMKilled"), "phase": "Failed"}, **spec))
    assert (greedy.reason, greedy.message) == ("OOMKilled", "init step 'slow' used more memory than its limit of 1Mi")


def test_a_container_that_never_started_began_with_its_pod() -> None:
    never = ended(128, reason="StartError", message="no such file") | {"phase": "Failed", "startTime": "2026-01-01T00:00:00Z"}
    never["containerStatuses"][0]["state"]["terminated"]["startedAt"] = "1970-01-01T00:00:00Z"
    assert observe_pod(pod(never)).started_at == "2026-01-01T00:00:00Z"


def test_out_of_memory_names_the_limit_or_says_that_there_is_none() -> None:
    killed = {"phase": "Failed", **ended(137, reason="OOMKilled")}
    limited = {"containers": [{"name": "main", "resources": {"limits": {"memory": "40Mi"}}}]}
    assert observe_pod(pod(killed, **limited)).message == "the container used more memory than its limit of 40Mi"
    assert observe_pod(pod(killed)).message == "the container has no memory limit, and its node ran out of memory"


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
