"""A table of Pod statuses and what each means for the run."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstrand.core.diagnosis.diagnose import observe_pod
from opstrand.core.diagnosis.observation import Fault, State
from opstrand.core.diagnosis.pending import find_broken_sidecar


def pod(status: dict[str, Any] | None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": spec, "status": status}


def main(**state: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "main", "image": "app:1", "state": state}]}


def ended(code: int, **fields: Any) -> dict[str, Any]:
    return main(
        terminated={
            "exitCode": code,
            "finishedAt": "2026-01-01T00:00:05Z",
            "startedAt": "2026-01-01T00:00:00Z",
            **fields,
        }
    )


def waiting(reason: str, message: str = "words") -> dict[str, Any]:
    return {"phase": "Pending", **main(waiting={"reason": reason, "message": message})}


def disrupted(reason: str) -> dict[str, Any]:
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": reason,
        "message": "taken away",
    }
    return {"phase": "Failed", "conditions": [condition], **ended(137)}


def leaving(reason: str, **status: Any) -> dict[str, Any]:
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": reason,
        "message": "taken away",
    }
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
INIT = [
    {"name": "opstrand-init", "state": {"terminated": {"exitCode": 1, "message": "no such host"}}}
]
SIDECAR = [{"name": "proxy", "state": {"terminated": {"exitCode": 137}}}]
FORGOTTEN = {
    "phase": "Failed",
    "initContainerStatuses": [
        {
            "name": "step",
            "state": {
                "terminated": {
                    "exitCode": 137,
                    "reason": "ContainerStatusUnknown",
                    "message": "could not be located",
                }
            },
        }
    ],
}
GATED = [
    {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "blocked"}
]
WORDS = (
    "0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient nvidia.com/gpu, 1 Insufficient "
    "ephemeral-storage."
)
UNSCHEDULABLE = [
    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": WORDS}
]
NO_CLAIM = [
    {
        **UNSCHEDULABLE[0],
        "message": '0/1 nodes are available: persistentvolumeclaim "data" not found. not found',
    }
]

TABLE = [
    ("nothing known yet", pod(None), State.PENDING, "", Fault.NONE, ""),
    (
        "null lists",
        pod({"containerStatuses": None, "conditions": None}),
        State.PENDING,
        "",
        Fault.NONE,
        "",
    ),
    (
        "running",
        pod({"phase": "Running", **main(running={"startedAt": "x"})}),
        State.RUNNING,
        "PodRunning",
        Fault.NONE,
        "",
    ),
    (
        "exit 0",
        pod({"phase": "Succeeded", **ended(0)}),
        State.SUCCEEDED,
        "Succeeded",
        Fault.NONE,
        "",
    ),
    (
        "exit 0 while sidecars still run",
        pod({"phase": "Running", **ended(0)}),
        State.SUCCEEDED,
        "Succeeded",
        Fault.NONE,
        "",
    ),
    (
        "containers pruned",
        pod({"phase": "Succeeded"}),
        State.SUCCEEDED,
        "Succeeded",
        Fault.NONE,
        "",
    ),
    (
        "exit 3 and the Pod not over",
        pod({"phase": "Running", **ended(3)}),
        State.RUNNING,
        "PodRunning",
        Fault.NONE,
        "",
    ),
    (
        "not started, not over",
        pod({"phase": "Running", **ended(128, reason="StartError")}),
        State.PENDING,
        "",
        Fault.NONE,
        "",
    ),
    (
        "exit 3",
        pod({"phase": "Failed", **ended(3, message="boom\n")}),
        State.FAILED,
        "ContainerFailed",
        Fault.USER,
        "exit code 3: boom",
    ),
    (
        "out of memory",
        pod({"phase": "Failed", **ended(137, reason="OOMKilled")}),
        State.FAILED,
        "OOMKilled",
        Fault.USER,
        "memory",
    ),
    (
        "deadline",
        pod({"phase": "Failed", "reason": "DeadlineExceeded", **ended(143)}),
        State.FAILED,
        "DeadlineExceeded",
        Fault.USER,
        "",
    ),
    (
        "evicted",
        pod({"phase": "Failed", "reason": "Evicted", "message": "low disk"}),
        State.FAILED,
        "Evicted",
        Fault.PLATFORM,
        "low disk",
    ),
    (
        "drained",
        pod(disrupted("EvictionByEvictionAPI")),
        State.FAILED,
        "Evicted",
        Fault.PLATFORM,
        "taken away",
    ),
    (
        "preempted",
        pod(disrupted("PreemptionByScheduler")),
        State.FAILED,
        "Preempted",
        Fault.PLATFORM,
        "taken away",
    ),
    (
        "node lost",
        pod(disrupted("DeletionByTaintManager")),
        State.FAILED,
        "NodeLost",
        Fault.PLATFORM,
        "taken away",
    ),
    (
        "beyond its own limit",
        pod({"phase": "Failed", "reason": "Evicted", "message": BEYOND}),
        State.FAILED,
        "Evicted",
        Fault.USER,
        "2Mi",
    ),
    (
        "its node is silent",
        pod({"phase": "Running", "conditions": SILENT, **RUNS}),
        State.RUNNING,
        "NodeNotReady",
        Fault.NONE,
        "answer",
    ),
    (
        "refused by its node",
        pod({"phase": "Failed", "reason": "OutOfcpu"}),
        State.FAILED,
        "NodeRefused",
        Fault.PLATFORM,
        "OutOfcpu",
    ),
    (
        "its node was restarted",
        pod({"phase": "Failed", **ended(255, reason="Unknown")}),
        State.FAILED,
        "NodeLost",
        Fault.PLATFORM,
        "255",
    ),
    (
        "its node was restarted in init",
        pod(FORGOTTEN),
        State.FAILED,
        "NodeLost",
        Fault.PLATFORM,
        "could not be located",
    ),
    (
        "held back",
        pod({"conditions": GATED}, schedulingGates=[{"name": "q/x"}]),
        State.PENDING,
        "SchedulingGated",
        Fault.NONE,
        "by q/x",
    ),
    (
        "a registry that is away",
        pod(waiting("RegistryUnavailable")),
        State.PENDING,
        "ImagePullFailed",
        Fault.USER,
        "app:1",
    ),
    (
        "init step failed",
        pod({"phase": "Failed", "initContainerStatuses": INIT}),
        State.FAILED,
        "InitFailed",
        Fault.USER,
        "no such host",
    ),
    (
        "image pull",
        pod(waiting("ImagePullBackOff", "denied")),
        State.PENDING,
        "ImagePullFailed",
        Fault.USER,
        "app:1",
    ),
    (
        "missing secret",
        pod(waiting("CreateContainerConfigError")),
        State.PENDING,
        "ContainerConfigError",
        Fault.USER,
        "words",
    ),
    (
        "no node accepts it",
        pod({"conditions": UNSCHEDULABLE}),
        State.PENDING,
        "Unschedulable",
        Fault.NONE,
        "Insufficient cpu",
    ),
    (
        "no such claim",
        pod({"conditions": NO_CLAIM}),
        State.PENDING,
        "VolumeNotMounted",
        Fault.USER,
        '"data" not found',
    ),
    ("being created", pod(waiting("ContainerCreating")), State.PENDING, "", Fault.NONE, ""),
]


@pytest.mark.parametrize(
    ("status", "state", "reason", "fault", "words"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_a_pod_means(
    status: dict[str, Any], state: State, reason: str, fault: Fault, words: str
) -> None:
    seen = observe_pod(status)
    assert (seen.state, seen.reason, seen.fault) == (state, reason, fault)
    assert words in seen.message


@pytest.mark.parametrize(
    ("state", "seen"),
    [(RUNS, State.RUNNING), ({}, State.PENDING)],
    ids=["running", "not running yet"],
)
def test_a_pod_that_is_taken_away_and_has_not_ended_says_why(
    state: dict[str, Any], seen: State
) -> None:
    going = pod(leaving("DeletionByTaintManager", **state), nodeName="n1")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    found = observe_pod(going)
    assert (found.state, found.reason, found.fault) == (seen, "NodeLost", Fault.PLATFORM)
    assert (
        found.message == "node 'n1' is lost: taken away; its Pod ends when the node is back, "
        "or its Node object is deleted"
    )


def test_a_pod_that_no_node_takes_says_what_is_short_and_how_much_of_it_was_asked_for() -> None:
    found = observe_pod(
        pod(
            {"conditions": UNSCHEDULABLE},
            **asking(cpu="64", **{"nvidia.com/gpu": "8", "memory": "1Gi"}),
        )
    )
    asked = (
        "asks for cpu: 64 (main), 1 (proxy); asks for nvidia.com/gpu: 8 (main); asks for "
        "ephemeral-storage: 1Gi (step)"
    )
    assert found.message == f"{asked}; {WORDS}"


def test_an_end_in_an_init_step_names_the_step() -> None:
    def after(**end: Any) -> dict[str, Any]:
        steps = [
            {"name": "fine", "state": {"terminated": {"exitCode": 0}}},
            {"name": "slow", "state": {"terminated": {"exitCode": 137, **end}}},
        ]
        return {"phase": "Failed", "initContainerStatuses": steps, **waiting("PodInitializing")}

    spec: dict[str, Any] = {
        "activeDeadlineSeconds": 9,
        "initContainers": [{"name": "slow", "resources": {"limits": {"memory": "1Mi"}}}],
    }
    late = observe_pod(pod({**after(), "phase": "Failed", "reason": "DeadlineExceeded"}, **spec))
    assert (late.reason, late.message) == (
        "DeadlineExceeded",
        "init step 'slow' did not end within 9 s",
    )
    greedy = observe_pod(pod({**after(reason="OOMKilled"), "phase": "Failed"}, **spec))
    assert (greedy.reason, greedy.message) == (
        "OOMKilled",
        "init step 'slow' used more memory than its limit of 1Mi",
    )


@pytest.mark.parametrize("code", [0, 137])
def test_the_init_step_that_ran_at_the_deadline_is_named_however_it_ended(code: int) -> None:
    waiting = {"waiting": {"reason": "PodInitializing"}}
    states = {
        "quick": {"terminated": {"exitCode": 0}},
        "slow": {"terminated": {"exitCode": code}},
        "later": waiting,
    }
    late = {
        "phase": "Failed",
        "reason": "DeadlineExceeded",
        "initContainerStatuses": [{"name": name, "state": state} for name, state in states.items()],
        "containerStatuses": [{"name": "main", "state": waiting}],
    }
    spec: dict[str, Any] = {
        "activeDeadlineSeconds": 9,
        "initContainers": [{"name": name} for name in states],
    }
    assert observe_pod(pod(late, **spec)).message == "init step 'slow' did not end within 9 s"


def test_a_container_that_never_started_began_with_its_pod() -> None:
    never = ended(128, reason="StartError", message="no such file") | {
        "phase": "Failed",
        "startTime": "2026-01-01T00:00:00Z",
    }
    never["containerStatuses"][0]["state"]["terminated"]["startedAt"] = "1970-01-01T00:00:00Z"
    assert observe_pod(pod(never)).started_at == "2026-01-01T00:00:00Z"


PYTHON = (
    'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\n    raise '
    "ValueError('no')\nValueError: no such column: 'x'"
)
JAVA = (
    "Exception in thread main java.lang.RuntimeException: gone\n\tat a.B.c(B.java:1)\nCaused by: "
    "java.io.IOException: full\n\tat a.B.d"
)
DD = "dd: error writing '/full/a': No space left on device\n1+0 records in\n0+0 records out"


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (PYTHON, "exit code 1: ValueError: no such column: 'x'; its last lines:"),
        (JAVA, "exit code 1: Caused by: java.io.IOException: full; its last lines:"),
        (DD, "exit code 1: dd: error writing '/full/a': No space left on device"),
        ("epoch 1\nepoch 2\nbye", "exit code 1: bye; its last lines:"),
        ("bye", "exit code 1: bye"),
    ],
    ids=["python", "java", "dd", "nothing telling", "one line"],
)
def test_the_first_line_of_a_failure_explains_and_the_others_follow(words: str, first: str) -> None:
    message = observe_pod(pod({"phase": "Failed", **ended(1, message=words)})).message
    assert message.splitlines()[0] == first
    assert message.endswith(words)


def test_out_of_memory_names_the_limit_or_says_that_there_is_none() -> None:
    killed = {"phase": "Failed", **ended(137, reason="OOMKilled")}
    limited = {"containers": [{"name": "main", "resources": {"limits": {"memory": "40Mi"}}}]}
    assert (
        observe_pod(pod(killed, **limited)).message
        == "the container used more memory than its limit of 40Mi"
    )
    assert (
        observe_pod(pod(killed)).message
        == "the container has no memory limit, and its node ran out of memory"
    )


def test_a_sidecar_that_is_killed_after_main_is_no_failed_init_step() -> None:
    spec = {"initContainers": [{"name": "proxy", "restartPolicy": "Always"}]}
    status = {"phase": "Failed", "initContainerStatuses": SIDECAR, **ended(2)}
    assert observe_pod(pod(status, **spec)).reason == "ContainerFailed"


OFF = {"exitCode": 2, "message": "no upstream"}
SPEC: dict[str, Any] = {
    "initContainers": [{"name": "proxy", "restartPolicy": "Always"}],
    "nodeName": "n1",
}


@pytest.mark.parametrize(
    "states",
    [
        {
            "state": {
                "terminated": {"exitCode": 128, "reason": "StartError", "message": "no such file"}
            }
        },
        {
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {
                "terminated": {"exitCode": 128, "reason": "StartError", "message": "no such file"}
            },
        },
        {
            "state": {"running": {"startedAt": "x"}},
            "lastState": {
                "terminated": {"exitCode": 128, "reason": "StartError", "message": "no such file"}
            },
        },
    ],
    ids=["just ended", "waits to be started again", "is being tried again"],
)
def test_a_sidecar_that_never_comes_up_is_one_trouble_however_often_it_is_tried(
    states: dict[str, Any],
) -> None:
    found = observe_pod(
        pod(
            {
                "phase": "Pending",
                "initContainerStatuses": [{"name": "proxy", "started": False, **states}],
            },
            **SPEC,
        )
    )
    assert (found.state, found.reason, found.fault) == (
        State.PENDING,
        "ContainerFailed",
        Fault.USER,
    )
    assert (
        found.message
        == "sidecar 'proxy' does not come up, and main waits for it: could not start: no such file"
    )


def test_a_sidecar_that_is_down_beside_a_main_that_runs_keeps_no_run_waiting() -> None:
    proxy = {
        "name": "proxy",
        "started": False,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": OFF},
    }
    found = find_broken_sidecar(
        pod({"phase": "Running", "initContainerStatuses": [proxy], **RUNS}, **SPEC)
    )
    assert found is not None
    assert found.message == "sidecar 'proxy' is down: exit code 2: no upstream"


def test_a_sidecar_that_came_up_may_end_as_it_likes() -> None:
    proxy = {
        "name": "proxy",
        "started": True,
        "state": {"running": {}},
        "lastState": {"terminated": {"exitCode": 1}},
    }
    assert (
        observe_pod(pod({"phase": "Pending", "initContainerStatuses": [proxy]}, **SPEC)).reason
        == ""
    )


def beside_proxy(status: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Add a container that a webhook injected."""
    proxy = {"name": "istio-proxy", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
    return {
        **status,
        "phase": "Running",
        "containerStatuses": [*status["containerStatuses"], proxy],
        **fields,
    }


def test_an_end_beside_an_injected_container_counts_though_the_pod_goes_on() -> None:
    failed = observe_pod(pod(beside_proxy(ended(3, message="boom"))))
    assert (failed.state, failed.reason, failed.message) == (
        State.FAILED,
        "ContainerFailed",
        "exit code 3: boom",
    )
    assert observe_pod(pod(beside_proxy(ended(0)))).state is State.SUCCEEDED


@pytest.mark.parametrize(
    ("spec", "fields", "metadata"),
    [
        ({"activeDeadlineSeconds": 5}, {"startTime": "2026-01-01T00:00:00Z"}, {}),
        (
            {},
            {
                "conditions": [
                    {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}
                ]
            },
            {},
        ),
        ({}, {}, {"deletionTimestamp": "2026-01-01T00:00:30Z"}),
    ],
    ids=["deadline", "eviction", "deletion"],
)
def test_a_pod_that_is_being_ended_is_validated_when_all_of_it_is_over(
    spec: Any, fields: Any, metadata: Any
) -> None:
    seen = pod(beside_proxy(ended(143), **fields), **spec)
    seen["metadata"] |= metadata
    assert observe_pod(seen).state is State.RUNNING


def test_a_polite_end_at_a_deadline_is_no_success() -> None:
    spec = {"activeDeadlineSeconds": 5}
    late = {**ended(0), "startTime": "2026-01-01T00:00:00Z"}
    assert observe_pod(pod({**late, "phase": "Running"}, **spec)).state is State.RUNNING
    over = observe_pod(pod({**late, "phase": "Failed", "reason": "DeadlineExceeded"}, **spec))
    assert (over.state, over.reason, over.message) == (
        State.FAILED,
        "DeadlineExceeded",
        "it did not end within 5 s",
    )
    # It ended by itself within the second in which its deadline passed.
    assert observe_pod(pod({**late, "phase": "Succeeded"}, **spec)).state is State.SUCCEEDED
    early = {
        **late,
        "startTime": "2026-01-01T00:00:01Z",
        "phase": "Failed",
        "reason": "DeadlineExceeded",
    }
    assert observe_pod(pod(early, **spec)).state is State.SUCCEEDED, (
        "its sidecars took until the deadline, main did not"
    )


def told(reason: str, message: str, time: str) -> dict[str, Any]:
    return {"reason": reason, "message": message, "lastTimestamp": time}


def test_of_several_volumes_that_are_missing_the_same_is_reported_until_it_is_there() -> None:
    first, second = (
        ("FailedMount", 'volume "a": not found'),
        ("FailedMount", 'volume "b": not found'),
    )
    creating = pod(waiting("ContainerCreating"), nodeName="n1")
    for times in (("00:00:01", "00:00:05"), ("00:00:30", "00:00:05"), ("00:02:00", "00:02:30")):
        events = [told(*first, f"2026-01-01T{times[0]}Z"), told(*second, f"2026-01-01T{times[1]}Z")]
        assert observe_pod(creating, events).message == 'volume "a": not found'
    mended = [told(*first, "2026-01-01T00:00:05Z"), told(*second, "2026-01-01T00:05:00Z")]
    assert observe_pod(creating, mended).message == 'volume "b": not found'


def test_a_node_that_cannot_make_a_network_says_so_and_is_waited_for() -> None:
    events = [told("FailedCreatePodSandBox", "network: no addresses left", "2026-01-01T00:00:05Z")]
    found = observe_pod(pod(waiting("ContainerCreating"), nodeName="n1"), events)
    assert (found.reason, found.fault) == ("PlatformError", Fault.NONE)
    assert found.message == "its node cannot make the Pod: network: no addresses left"


field_names = ("phase", "reason", "message", "startTime")


@given(
    st.dictionaries(st.sampled_from(field_names), st.none() | st.text(max_size=10)),
    st.booleans(),
    st.booleans(),
)
def test_no_pod_makes_it_raise(fields: dict[str, Any], nulls: bool, emptied: bool) -> None:
    lists = {
        name: None if nulls else []
        for name in ("containerStatuses", "initContainerStatuses", "conditions")
    }
    containers = [{"name": "main", "state": None}, {"name": "main"}] if emptied else []
    observe_pod(pod({**fields, **lists}))
    observe_pod(pod({**fields, "containerStatuses": containers}))


COLLECTOR = {"initContainers": [{"name": "opstrand-collector", "restartPolicy": "Always"}]}


def collected(code: int | None, **terminated: Any) -> list[dict[str, Any]]:
    """Return the status of a collector that ended with this code; None: it runs."""
    state = {"running": {}} if code is None else {"terminated": {"exitCode": code, **terminated}}
    return [{"name": "opstrand-collector", "state": state}]


@pytest.mark.parametrize(
    ("phase", "collector", "state", "reason"),
    [
        ("Running", collected(None), State.COLLECTING, "Collecting"),
        ("Running", [], State.COLLECTING, "Collecting"),
        ("Running", collected(0), State.SUCCEEDED, "Succeeded"),
        ("Succeeded", collected(0), State.SUCCEEDED, "Succeeded"),
        ("Succeeded", [], State.SUCCEEDED, "Succeeded"),
        ("Succeeded", collected(1, message="a: bad"), State.FAILED, "ArtifactsNotCollected"),
        ("Running", collected(137), State.FAILED, "ArtifactsNotCollected"),
    ],
)
def test_a_run_has_succeeded_when_its_files_are_stored(
    phase: str, collector: list[dict[str, Any]], state: State, reason: str
) -> None:
    status = {"phase": phase, "initContainerStatuses": collector, **ended(0)}
    seen = observe_pod(pod(status, **COLLECTOR))
    assert (seen.state, seen.reason) == (state, reason)
    assert seen.finished_at == "2026-01-01T00:00:05Z"
    assert ("a: bad" in seen.message) == ("message" in str(collector))


def test_a_program_that_failed_has_failed_whatever_its_collector_did() -> None:
    status = {"phase": "Failed", "initContainerStatuses": collected(1), **ended(3)}
    assert observe_pod(pod(status, **COLLECTOR)).reason == "ContainerFailed"
