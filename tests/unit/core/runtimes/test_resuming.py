"""A run that is over runs again when its number grows: once, as the same run."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.builders import (
    BROKEN,
    JOB,
    NOW,
    RUNNING,
    SETTINGS,
    body,
    list_actions,
    list_created,
    phase,
    pod,
    see,
    started,
)

from opstrand.core.decide import decide
from opstrand.core.lifecycle.conditions import get_condition
from opstrand.core.lifecycle.resume import make_control
from opstrand.core.lifecycle.snapshot import Decision, stamp
from opstrand.core.phase import published_status
from opstrand.core.planning.connections import Catalog

OLD = "2026-01-01T10:00:00.000000Z"
FAILED = {
    "phase": "Failed",
    "reason": "ContainerFailed",
    "startedAt": OLD,
    "finishedAt": "2026-01-01T10:00:30.000000Z",
    "duration": 30,
    "elapsed": "30s",
    "retries": {"failures": 2, "disruptions": 1},
    "outputs": {"loss": 0.5},
}


def over(control: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return a run that has failed, and was then given this `control`."""
    made = started()
    made["metadata"]["generation"] = 2
    made["status"] = {**made["status"], **FAILED, **changes}
    made["spec"] = {**made["spec"], **({} if control is None else {"control": control})}
    return made


def after(before: dict[str, Any], decision: Decision) -> dict[str, Any]:
    assert decision.status is not None
    return {**before, "status": decision.status}


def ended_pod() -> dict[str, Any]:
    return pod(BROKEN)


def test_a_resumed_job_gets_another_attempt_of_the_same_run() -> None:
    before = over({"resume": 1})
    decision = decide(see(before, pod=ended_pod()))
    status = decision.status or {}
    assert (phase(decision), published_status(status)) == (("Resuming", "Resuming"), "resuming")
    assert decision.requeue_after == 0
    assert {key: status.get(key) for key in ("attempt", "resume", "pod", "uuid", "resumedAt")} == {
        "attempt": 1,
        "resume": 1,
        "pod": {"name": "run-d1410a91-1"},
        "uuid": before["status"]["uuid"],
        "resumedAt": stamp(NOW),
    }
    assert status["retries"] == {"failures": 0, "disruptions": 0}
    assert (status["outputs"], status["startedAt"]) == ({"loss": 0.5}, OLD)
    assert status.keys().isdisjoint({"finishedAt", "duration", "elapsed"})
    found = {one["type"]: one["status"] for one in status["conditions"]}
    assert (found["Finished"], found["Succeeded"], found["Ready"]) == ("False", "Unknown", "False")
    following = decide(see(after(before, decision)))
    assert phase(following) == ("Starting", "PodCreated")
    assert [one["metadata"]["name"] for one in list_created(following)] == ["run-d1410a91-1"]


@pytest.mark.parametrize(
    ("control", "known", "is_resumed"),
    [
        ({"resume": 1}, {}, True),
        ({"resume": 1}, {"resume": 1}, False),
        ({"resume": 2}, {"resume": 1}, True),
        ({"resume": 1}, {"resume": 2}, False),
        ({"resume": 0}, {}, False),
        ({"round": 1}, {"resume": 5}, True),
        ({"round": 1}, {"round": 1}, False),
        ({"resume": 2**31}, {}, False),
        ({"resume": True}, {}, False),
        ({"resume": "1"}, {}, False),
        ({}, {}, False),
    ],
)
def test_each_larger_number_resumes_once(
    control: dict[str, Any], known: dict[str, int], is_resumed: bool
) -> None:
    decision = decide(see(over(control, **known), pod=ended_pod()))
    assert (phase(decision)[0] == "Resuming" if decision.status else False) == is_resumed


@pytest.mark.parametrize(
    ("generation", "known", "is_resumed"),
    [
        (1, {}, False),
        (2, {}, True),
        (1, {"resume": 1}, True),
        (1, {"observedGeneration": None}, True),
    ],
)
def test_a_number_that_the_end_saw_and_did_not_absorb_has_no_effect(
    generation: int, known: dict[str, Any], is_resumed: bool
) -> None:
    before = over({"resume": 2}, observedGeneration=1)
    before["metadata"]["generation"] = generation
    before["status"] = {
        key: value for key, value in {**before["status"], **known}.items() if value is not None
    }
    decision = decide(see(before, pod=ended_pod()))
    assert (phase(decision)[0] == "Resuming" if decision.status else False) == is_resumed


@pytest.mark.parametrize(("generation", "expected"), [(1, 3), (2, 2)])
def test_a_client_writes_a_number_that_counts(generation: int, expected: int) -> None:
    before = over({"resume": 2})
    before["metadata"]["generation"] = generation
    control = make_control(before)
    assert control == {"resume": expected}
    asked = {**before, "metadata": {**before["metadata"], "generation": 2}}
    asked["spec"] = {**asked["spec"], "control": control}
    assert phase(decide(see(asked, pod=ended_pod())))[0] == "Resuming"


def test_the_final_patch_absorbs_the_number_that_it_saw() -> None:
    running = started(control={"resume": 3})
    decision = decide(see(running, pod=ended_pod()))
    assert (phase(decision)[0], (decision.status or {})["resume"]) == ("Failed", 3)
    assert decide(see(after(running, decision), pod=ended_pod())).status is None
    early = decide(see(body({"control": {"stop": True, "resume": 2}})))
    assert (phase(early)[0], (early.status or {})["resume"]) == ("Stopped", 2)
    assert "resume" not in (decide(see(started(), pod=ended_pod())).status or {})


@pytest.mark.parametrize("order", ["stop", "skip"])
def test_an_order_that_would_end_it_again_voids_the_number(order: str) -> None:
    before = over({"resume": 1, order: True})
    decision = decide(see(before, pod=ended_pod()))
    status = decision.status or {}
    assert (status["phase"], status["resume"], status["finishedAt"]) == (
        "Failed",
        1,
        FAILED["finishedAt"],
    )
    refused = get_condition(status["conditions"], "Resumed")
    assert refused is not None
    assert (refused["status"], refused["reason"]) == ("False", "OrderStands")
    assert refused["message"] == f"control.{order} stands: remove it"
    assert decision.requeue_after == 0, "what is left to do after its end is looked at"


def test_a_run_whose_pipeline_has_ended_is_not_resumed() -> None:
    owner = {"apiVersion": "opstrand.dev/v1", "kind": "Operation", "name": "p", "uid": "u"}
    before = over({"resume": 1})
    before["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    ended = body(status={"phase": "Failed"}, name="p", uid="u")
    status = decide(see(before, pod=ended_pod(), operations=[ended])).status or {}
    refused = get_condition(status["conditions"], "Resumed")
    assert refused is not None
    assert refused["reason"] == "PipelineGone"
    assert "resume the pipeline, or restart this run" in refused["message"]
    live = body(status={"phase": "Running"}, name="p", uid="u")
    assert phase(decide(see(before, pod=ended_pod(), operations=[live])))[0] == "Resuming"


def test_a_pod_that_still_runs_ends_before_the_next_attempt() -> None:
    before, left = over({"resume": 1}), pod(RUNNING)
    left["metadata"]["ownerReferences"] = [{"uid": before["metadata"]["uid"]}]
    decision = decide(see(before, pod=left))
    assert (decision.status, list_actions(decision)) == (None, ["Patch Pod"])


def test_a_run_that_ended_before_its_freeze_is_looked_at_as_a_new_one() -> None:
    before = body(
        {"control": {"resume": 1}},
        {"uuid": "d" * 32, "kind": "job", "phase": "UpstreamFailed", "history": []},
    )
    decision = decide(see(before))
    assert phase(decision) == ("Resuming", "Resuming")
    frozen = decide(see(after(before, decision)))
    assert (phase(frozen)[0], frozen.freeze) == ("Starting", True)


def test_the_timeout_counts_from_the_resumption() -> None:
    before = over({"resume": 1})
    before["spec"] |= {"termination": {"timeout": 600}}
    resumed = after(before, decide(see(before, pod=ended_pod())))
    (made,) = list_created(decide(see(resumed)))
    assert made["spec"]["activeDeadlineSeconds"] == 600


LATER = "2026-01-01T11:00:00.000000Z"


@pytest.mark.parametrize(
    ("resumed", "started_at", "expected"),
    [
        (LATER, OLD, LATER),
        (OLD, LATER, LATER),
        (None, OLD, OLD),
        (LATER, None, None),
        (None, None, None),
    ],
)
def test_the_limits_count_from_the_later_of_start_and_resumption(
    resumed: str | None, started_at: str | None, expected: str | None
) -> None:
    times = {"resumedAt": resumed, "startedAt": started_at}
    status = {key: value for key, value in times.items() if value is not None}
    assert see(body(status=status)).began == expected


def test_the_wait_of_a_run_that_was_resumed_before_its_freeze_takes_nothing_of_its_timeout() -> (
    None
):
    spec = {"control": {"resume": 1}, "termination": {"timeout": 600}}
    ended = {"uuid": "d" * 32, "kind": "job", "phase": "UpstreamFailed", "history": []}
    resumed = after(body(spec), decide(see(body(spec, ended))))
    frozen = after(resumed, decide(see(resumed)))
    (made,) = list_created(decide(see(frozen, now=NOW + timedelta(seconds=500))))
    assert made["spec"]["activeDeadlineSeconds"] == 600


@pytest.mark.parametrize(
    ("data", "plugins", "attempt_is_resumed", "expected"),
    [
        ("/data", {}, True, True),
        ("/data", {}, False, False),
        ("", {}, True, False),
        ("/data", {"autoResume": False}, True, False),
        ("/data", {"collectArtifacts": False}, True, False),
    ],
)
def test_a_resumed_attempt_first_gets_the_files_of_the_earlier_ones(
    data: str, plugins: dict[str, Any], attempt_is_resumed: bool, expected: bool
) -> None:
    before = over({"resume": 1})
    before["spec"] |= {"plugins": plugins}
    resumed = after(before, decide(see(before, pod=ended_pod())))
    if not attempt_is_resumed:
        del resumed["status"]["resumedAt"]
    snapshot = see(resumed, catalog=Catalog(is_given=True))
    snapshot = replace(snapshot, settings=replace(SETTINGS, data=data))
    (made,) = list_created(decide(snapshot))
    env = {one["name"]: one.get("value") for one in made["spec"]["initContainers"][0]["env"]}
    steps = json.loads(str(env["OPSTRAND_INIT"]))["steps"]
    uuid = before["status"]["uuid"]
    fetched = [one["dirs"] for one in steps if one["kind"] == "fetch" and one["optional"]]
    assert fetched == ([[[uuid, uuid]]] if expected else [])


def test_a_service_serves_again_under_the_same_names() -> None:
    run = {"kind": "service", "ports": [80], "container": JOB["component"]["run"]["container"]}
    made = body({"component": {"run": run}, "control": {"resume": 1}})
    frozen = after(made, decide(see(made)))
    ended = {**FAILED, "phase": "Stopped", "reason": "Stopped"}
    frozen["status"] = {**frozen["status"], **ended}
    frozen["metadata"]["generation"] = 2
    decision = decide(see(frozen, deployment_is_gone=True))
    status = decision.status or {}
    assert phase(decision) == ("Resuming", "Resuming")
    # It starts once it serves.
    assert "startedAt" not in status
    following = decide(see(after(frozen, decision), deployment_is_gone=True))
    assert phase(following) == ("Starting", "PodCreated")
    assert list_actions(following) == ["Create Service", "Create Deployment"]
