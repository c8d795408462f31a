"""What follows from an end: the rules of a podFailurePolicy, the Pod's time to live, messages
without secrets.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.support.builders import BROKEN, NOW, RUNNING, phase, pod, see, started

from opstrand.core.decide import decide
from opstrand.core.diagnosis.diagnose import observe_pod
from opstrand.core.diagnosis.observation import Fault, State
from opstrand.core.diagnosis.pod_status import is_being_made
from opstrand.core.lifecycle.retry import Failure, Spent, classify_failure, spend
from opstrand.core.runtimes.job_end import delete_pod, stop_pod

EVICTION = Failure({"main": 143}, {"DisruptionTarget": "True", "Ready": "False"})


def codes(operator: str, *values: int, name: str | None = None) -> dict[str, Any]:
    return {
        "operator": operator,
        "values": list(values),
        **({"containerName": name} if name else {}),
    }


@pytest.mark.parametrize(
    ("rules", "failure", "verdict"),
    [
        ([], Failure({"main": 1}, {}), None),
        (
            [{"action": "FailJob", "onExitCodes": codes("In", 42)}],
            Failure({"main": 42}, {}),
            "FailJob",
        ),
        ([{"action": "FailJob", "onExitCodes": codes("In", 42)}], Failure({"main": 1}, {}), None),
        (
            [{"action": "FailJob", "onExitCodes": codes("NotIn", 1, 2)}],
            Failure({"main": 3}, {}),
            "FailJob",
        ),
        (
            [{"action": "FailJob", "onExitCodes": codes("NotIn", 1, 2)}],
            Failure({"opstrand-init": 0, "main": 2}, {}),
            None,
        ),
        (
            [{"action": "FailJob", "onExitCodes": codes("In", 42, name="main")}],
            Failure({"opstrand-init": 42}, {}),
            None,
        ),
        (
            [{"action": "FailJob", "onExitCodes": codes("In", 42, name="polyaxon-main")}],
            Failure({"main": 42}, {}),
            "FailJob",
        ),
        (
            [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}],
            EVICTION,
            "Ignore",
        ),
        (
            [{"action": "Ignore", "onPodConditions": [{"type": "Ready", "status": "True"}]}],
            EVICTION,
            None,
        ),
        (
            [
                {"action": "Count", "onExitCodes": codes("In", 143)},
                {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget"}]},
            ],
            EVICTION,
            "Count",
        ),
    ],
)
def test_the_first_rule_that_matches_wins(
    rules: list[dict[str, Any]], failure: Failure, verdict: str | None
) -> None:
    assert classify_failure({"rules": rules}, failure) == verdict


@pytest.mark.parametrize(
    ("verdict", "fault", "after"),
    [
        ("FailJob", Fault.PLATFORM, None),
        ("Ignore", Fault.USER, Spent(1, 1)),
        ("Count", Fault.PLATFORM, None),
        (None, Fault.PLATFORM, Spent(1, 1)),
        (None, Fault.USER, None),
    ],
)
def test_what_a_verdict_costs(verdict: str | None, fault: Fault, after: Spent | None) -> None:
    assert spend(Spent(1, 0), fault, verdict, max_retries=1, max_disruptions=3) == after


def test_ignored_failures_end_too() -> None:
    spent, count = Spent(), 0
    while (
        following := spend(spent, Fault.USER, "Ignore", max_retries=0, max_disruptions=0)
    ) is not None:
        spent, count = following, count + 1
    assert count == 9


def test_a_policy_that_fails_the_run_leaves_no_retry() -> None:
    policy = {"rules": [{"action": "FailJob", "onExitCodes": codes("In", 1)}]}
    run = started(termination={"maxRetries": 5, "podFailurePolicy": policy})
    assert phase(decide(see(run, pod=pod(BROKEN)))) == ("Failed", "ContainerFailed")


# --- the Pod's time to live -----------------------------------------------------------------------


def ended(**termination: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    run = started(termination=termination) if termination else started()
    seen = {**pod(BROKEN)}
    seen["metadata"] = {**seen["metadata"], "ownerReferences": [{"uid": run["metadata"]["uid"]}]}
    decision = decide(see(run, pod=seen))
    assert decision.status is not None
    return {**run, "status": decision.status}, seen


@pytest.mark.parametrize(
    ("termination", "seconds"), [({"ttl": 30}, 30), ({"ttl": 0}, 0), ({}, 24 * 3600)]
)
def test_a_pod_stays_for_its_time_and_then_goes(termination: dict[str, Any], seconds: int) -> None:
    run, seen = ended(**termination)
    finished = NOW - timedelta(seconds=10)
    run["status"] = {**run["status"], "attempt": 2, "pod": {"name": "run-d1410a91-2"}}
    seen["metadata"]["name"] = "run-d1410a91-2"
    earlier = {**seen, "metadata": {**seen["metadata"], "name": "run-d1410a91-0"}}
    stranger = {
        **seen,
        "metadata": {**seen["metadata"], "name": "run-d1410a91-1", "ownerReferences": []},
    }
    before = decide(
        see(run, pod=seen, now=finished + timedelta(seconds=seconds) - timedelta(seconds=1))
    )
    assert (before.actions, before.requeue_after) == ((), 1.0)
    after = decide(
        see(
            run,
            pod=seen,
            earlier_pods=(earlier, stranger),
            now=finished + timedelta(seconds=seconds),
        )
    )
    assert after.actions == (delete_pod(seen), delete_pod(earlier))
    assert after.status is None


@pytest.mark.parametrize(
    ("changed", "retries"),
    [
        ({"maxRetries": 1}, True),
        ({"maxRetries": "{{ tries }}"}, False),
        ({"maxRetries": -1}, False),
        ({"maxRetries": "many"}, False),
        (None, False),
    ],
)
def test_what_is_said_of_retries_while_the_run_lives_counts(
    changed: dict[str, Any] | None, retries: bool
) -> None:
    run = started()
    run = {**run, "spec": {**run["spec"], "termination": changed}}
    decision = decide(see(run, pod=pod(BROKEN)))
    assert phase(decision)[0] == ("Retrying" if retries else "Failed")
    kept = {**run, "spec": {**run["spec"], "patchStrategy": "isnull"}}
    assert phase(decide(see(kept, pod=pod(BROKEN))))[0] == "Failed"


def test_a_pods_time_to_live_may_be_changed_after_the_end() -> None:
    run, seen = ended(ttl=3600)
    changed = {**run, "spec": {**run["spec"], "termination": {"ttl": 5}}}
    assert decide(see(run, pod=seen, now=NOW)).actions == ()
    assert decide(see(changed, pod=seen, now=NOW)).actions == (delete_pod(seen),)


def test_the_end_is_looked_at_again_when_the_pods_time_is_over() -> None:
    """There may be no event of the Pod or the run before that."""
    run = started(termination={"ttl": 30})
    decision = decide(see(run, pod=pod(BROKEN)))
    assert decision.requeue_after == 20.0, "it ended ten seconds ago"
    assert decide(see(started(termination={"ttl": 0}), pod=pod(BROKEN))).requeue_after == 0.0


@pytest.mark.parametrize("code", [0, 1])
def test_an_injected_container_does_not_outlive_main(code: int) -> None:
    end = {
        "exitCode": code,
        "startedAt": "2026-01-01T11:59:40Z",
        "finishedAt": "2026-01-01T11:59:50Z",
    }
    containers = [
        {"name": "main", "state": {"terminated": end}},
        {"name": "proxy", "state": {"running": {}}},
    ]
    seen = pod({"phase": "Running", "containerStatuses": containers})
    run = started()
    seen["metadata"] = {**seen["metadata"], "ownerReferences": [{"uid": run["metadata"]["uid"]}]}
    decision = decide(see(run, pod=seen))
    assert decision.requeue_after == 0.0
    over = {**run, "status": decision.status}
    assert decide(see(over, pod=seen)).actions == stop_pod(seen)
    assert decide(see(over, pod={**seen, "spec": {"activeDeadlineSeconds": 1}})).actions == ()
    again = decide(see(started(termination={"maxRetries": 1}), pod=seen))
    assert again.actions == (stop_pod(seen) if code else ()), "before another attempt begins"


# --- messages -------------------------------------------------------------------------------------


def test_a_failed_program_does_not_tell_the_secrets_of_its_variables() -> None:
    end = {"exitCode": 1, "message": "cannot log in as bob with swordfish"}
    status = {
        "phase": "Failed",
        "containerStatuses": [{"name": "main", "state": {"terminated": end}}],
    }
    spec = {
        "containers": [
            {
                "name": "main",
                "env": [
                    {"name": "DB_PASSWORD", "value": "swordfish"},
                    {"name": "USER", "value": "bob"},
                ],
            }
        ]
    }
    assert (
        observe_pod({"status": status, "spec": spec}).message
        == "exit code 1: cannot log in as bob with ***"
    )


# --- a Pod that hangs, a Pod that a person deleted ------------------------------------------------

CREATING = {
    "phase": "Pending",
    "initContainerStatuses": [
        {"name": "opstrand-init", "state": {"waiting": {"reason": "PodInitializing"}}}
    ],
    "containerStatuses": [{"name": "main", "state": {"waiting": {"reason": "PodInitializing"}}}],
}
MOUNT = {
    "reason": "FailedMount",
    "message": 'MountVolume.SetUp failed for volume "s" : secret "absent" not found',
    "lastTimestamp": "2",
}


def test_a_volume_that_cannot_be_mounted_is_reported_from_the_pods_events() -> None:
    run = started()
    hanging = pod(CREATING)
    assert is_being_made(hanging)
    assert not is_being_made(pod(RUNNING))
    assert not is_being_made({**hanging, "spec": {}})
    quiet = decide(see(run, pod=hanging))
    assert (quiet.status, quiet.requeue_after) == (None, 15.0)
    decision = decide(
        see(
            run,
            pod=hanging,
            pod_events=({**MOUNT, "message": "older", "lastTimestamp": "1"}, MOUNT),
        )
    )
    assert phase(decision) == ("Starting", "VolumeNotMounted")
    assert decision.status is not None
    assert 'secret "absent" not found' in decision.status["message"]
    late = decide(
        see(
            {**run, "status": decision.status},
            pod=hanging,
            pod_events=(MOUNT,),
            now=NOW + timedelta(hours=1),
        )
    )
    assert phase(late) == ("Failed", "VolumeNotMounted")


@pytest.mark.parametrize(
    ("code", "finished", "reason"),
    [
        (143, "2026-01-01T12:00:01Z", "PodDeleted"),
        (137, "2026-01-01T12:00:30Z", "PodDeleted"),
        (1, "2026-01-01T12:00:01Z", "PodDeleted"),
        (1, "2026-01-01T11:50:00Z", "ContainerFailed"),
        (143, "2026-01-01T11:50:00Z", "ContainerFailed"),
    ],
)
def test_a_pod_that_a_person_deleted(code: int, finished: str, reason: str) -> None:
    end = {"exitCode": code, "finishedAt": finished}
    status = {
        "phase": "Failed",
        "containerStatuses": [{"name": "main", "state": {"terminated": end}}],
    }
    metadata = {
        "name": "p",
        "deletionTimestamp": "2026-01-01T12:00:30Z",
        "deletionGracePeriodSeconds": 30,
    }
    seen = observe_pod({"metadata": metadata, "status": status})
    assert (seen.state, seen.reason) == (State.FAILED, reason)
    assert seen.fault is (Fault.PLATFORM if reason == "PodDeleted" else Fault.USER)


LEAVING = {
    "name": "p",
    "deletionTimestamp": "2026-01-01T12:00:30Z",
    "deletionGracePeriodSeconds": 30,
}


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (
            {
                "initContainerStatuses": [
                    {"name": "fetch", "state": {"terminated": {"exitCode": 143}}}
                ]
            },
            "PodDeleted",
        ),
        ({}, "PodDeleted"),
        ({"reason": "OutOfcpu"}, "NodeRefused"),
    ],
    ids=["in an init step", "before anything began", "that its node had refused before"],
)
def test_a_pod_that_a_person_deleted_before_main_began(status: dict[str, Any], reason: str) -> None:
    seen = observe_pod({"metadata": LEAVING, "status": {"phase": "Failed", **status}})
    assert (seen.state, seen.reason, seen.fault) == (State.FAILED, reason, Fault.PLATFORM)
