"""A service without a cluster: what its Pods report, and what follows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import NOW, SETTINGS, body, list_actions, phase, see

from opstrand.core.decide import decide, decide_refusal, fail
from opstrand.core.lifecycle.actions import Refusal
from opstrand.core.lifecycle.snapshot import Decision
from opstrand.core.lifecycle.status import patch_ops
from opstrand.core.planning.culling import Activity, read_activity
from opstrand.core.resolving.upstream import read_upstream

CONTAINER = {"image": "busybox", "command": ["httpd", "-f"]}
TAKEN = Refusal("taken", "something else has its name")
LONG_AGO = "2026-01-01T11:00:00Z"


def operation(run: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return body(
        {
            "component": {
                "run": {"kind": "service", "ports": [8000], "container": CONTAINER, **(run or {})}
            },
            **spec,
        }
    )


def advanced_from(made: dict[str, Any], decision: Decision) -> dict[str, Any]:
    return made if decision.status is None else {**made, "status": decision.status}


def started(run: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """Return the service after its freeze."""
    made = operation(run, **spec)
    return advanced_from(made, decide(see(made)))


def replica(status: dict[str, Any], name: str = "a", **metadata: Any) -> dict[str, Any]:
    fixed = {
        "name": f"run-d1410a91-5d-{name}",
        "namespace": "ns",
        "uid": name,
        "creationTimestamp": "2026-01-01T11:59:58Z",
        "ownerReferences": [{"kind": "ReplicaSet", "name": "run-d1410a91-5d"}],
    }
    return {"metadata": {**fixed, **metadata}, "spec": {"nodeName": "n1"}, "status": status}


def main(
    restarts: int = 0, ready: bool = False, last: dict[str, Any] | None = None, **state: Any
) -> dict[str, Any]:
    container = {
        "name": "main",
        "restartCount": restarts,
        "state": state,
        "lastState": {"terminated": last} if last else {},
    }
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"phase": "Running", "conditions": conditions, "containerStatuses": [container]}


END = {"exitCode": 3, "message": "no such table"}
SERVING = main(ready=True, running={"startedAt": LONG_AGO})
CRASHED = main(1, waiting={"reason": "CrashLoopBackOff"}, last=END)
BACK = main(1, ready=True, running={"startedAt": "2026-01-01T11:59:55Z"}, last=END)
BACK_FOR_LONG = main(1, ready=True, running={"startedAt": LONG_AGO}, last=END)
ENDED = main(0, terminated={"exitCode": 0})
SMOTHERED = main(
    2, waiting={"reason": "CrashLoopBackOff"}, last={"exitCode": 137, "reason": "OOMKilled"}
)
NO_IMAGE = main(waiting={"reason": "ImagePullBackOff", "message": "no such image"})
BAD_NAME = main(waiting={"reason": "InvalidImageName", "message": "what is this"})
UNREADY = main(running={"startedAt": LONG_AGO})
UNREADY_YET = main(running={"startedAt": "2026-01-01T11:59:50Z"})
MADE = {"phase": "Pending"}
INIT_STATUS = {
    "name": "opstrand-init",
    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
    "lastState": {"terminated": END},
}
INIT = {"phase": "Pending", "initContainerStatuses": [INIT_STATUS]}
FULL = {
    "phase": "Pending",
    "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room"}
    ],
}


def look(made: dict[str, Any], *states: dict[str, Any], **fields: Any) -> Decision:
    pods = [replica(state, name) for state, name in zip(states, "abcdef", strict=False)]
    return decide(see(made, replicas=pods, **fields))


def test_a_service_is_frozen_before_its_objects_are_made() -> None:
    decision = decide(see(operation({"replicas": 2})))
    assert decision.freeze
    assert phase(decision) == ("Starting", "PodCreated")
    assert decision.status is not None
    assert decision.status["pod"] == {}
    assert decision.status["service"] == {
        "name": "run-d1410a91",
        "host": "run-d1410a91.ns",
        "ports": [8000],
        "replicas": 2,
        "baseUrl": "/services/v1/ns/default/ns/runs/d1410a914d18457589b91926d8c23db4/8000",
    }
    assert list_actions(decision) == ["Create Service", "Create Deployment"]
    # No event reports that no Pod was made.
    assert decision.requeue_after == SETTINGS.pending_grace


SEEN = [
    ("its Pod was made a moment ago", (MADE,), ("Starting", "PodCreated"), ""),
    ("one replica serves", (SERVING,), ("Running", "PodRunning"), ""),
    ("its readiness probe has not passed yet", (UNREADY_YET,), ("Starting", "PodCreated"), ""),
    (
        "its readiness probe has not passed for long",
        (UNREADY,),
        ("Starting", "NotReady"),
        "its readiness probe does not find it ready",
    ),
    ("its image is not there", (NO_IMAGE,), ("Starting", "ImagePullFailed"), "no such image"),
    (
        "its program crashed",
        (CRASHED,),
        ("Retrying", "ContainerFailed"),
        "exit code 3: no such table; Kubernetes starts it again",
    ),
    ("its program came to an end", (ENDED,), ("Retrying", "ContainerFailed"), "its program ended"),
    ("it is too big", (SMOTHERED,), ("Retrying", "OOMKilled"), "ran out of memory"),
    (
        "its init step fails",
        (INIT,),
        ("Retrying", "InitFailed"),
        "init step 'opstrand-init' ended with exit code 3: no such table",
    ),
    (
        "it was started again a moment ago",
        (BACK,),
        ("Retrying", "ContainerFailed"),
        "no such table",
    ),
    ("it was started again and stays", (BACK_FOR_LONG,), ("Running", "PodRunning"), ""),
]


@pytest.mark.parametrize(
    ("states", "expected", "words"), [row[1:] for row in SEEN], ids=[row[0] for row in SEEN]
)
def test_what_its_pods_say_is_its_phase(states: Any, expected: Any, words: str) -> None:
    made = started()
    decision = look(made, *states)
    assert phase(decision) == expected
    assert decision.status is not None
    assert words in decision.status["message"]
    assert decision.actions == ()
    again = look({**made, "status": decision.status}, *states, now=NOW + timedelta(seconds=1))
    assert again.status is None or patch_ops(decision.status, again.status) == []


BARE = st.sampled_from([None, {}])
STATE = st.none() | st.fixed_dictionaries(
    {}, optional={"waiting": BARE, "running": BARE, "terminated": BARE}
)
STATUS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["main", "opstrand-init", None]),
        "state": STATE,
        "lastState": STATE,
        "restartCount": st.sampled_from([None, 0, 3]),
    },
)
LIST = st.none() | st.lists(STATUS, max_size=2)
READY = st.none() | st.lists(
    st.fixed_dictionaries(
        {"type": st.just("Ready")}, optional={"status": st.sampled_from(["True", "False"])}
    )
)
PARTIAL = st.fixed_dictionaries(
    {},
    optional={
        "phase": st.sampled_from(["Pending", "Running", "Failed", None]),
        "conditions": READY,
        "containerStatuses": LIST,
        "initContainerStatuses": LIST,
    },
)


@given(states=st.lists(PARTIAL, max_size=3))
def test_a_pod_whose_status_lacks_anything_is_validated_all_the_same(
    states: list[dict[str, Any]],
) -> None:
    made = started({"replicas": 2}, termination={"maxRetries": 1})
    first = look(made, *states, deployment=DEPLOYMENT)
    made = advanced_from(made, first)
    again = look(made, *states, deployment=DEPLOYMENT)
    if first.status is not None and first.status["phase"] in ("Running", "Starting"):
        assert again.status is None or patch_ops(first.status, again.status) == []


def test_a_crash_that_passed_is_looked_at_again_when_it_can_be_trusted() -> None:
    assert look(started(), BACK).requeue_after == 5.0


def test_a_probe_that_has_not_passed_yet_is_given_its_time() -> None:
    assert look(started(), UNREADY_YET).requeue_after == 20.0


def test_no_room_is_said_after_a_grace() -> None:
    made = started()
    assert phase(look(made, FULL)) == ("Starting", "PodCreated")
    assert look(made, FULL).requeue_after == SETTINGS.pending_grace - 2
    assert phase(look(made, FULL, now=NOW + timedelta(seconds=10))) == ("Starting", "Unschedulable")


def test_one_replica_that_serves_is_enough_and_what_ails_the_others_is_said() -> None:
    made = started({"replicas": 2})
    first = look(made, SERVING, MADE)
    assert phase(first) == ("Running", "PodRunning")
    made = advanced_from(made, first)
    second = look(made, SERVING, CRASHED)
    assert phase(second) == ("Running", "ContainerFailed")
    assert second.status is not None
    assert second.status["message"].startswith("1 of 2 replicas serve: exit code 3: no such table")
    made = advanced_from(made, second)
    assert phase(look(made, SERVING, UNREADY)) == ("Running", "ContainerFailed")
    assert phase(look(made, SERVING, SERVING)) == ("Running", "PodRunning")


def test_a_service_that_served_and_does_not_any_more_is_not_starting() -> None:
    made = started()
    made = advanced_from(made, look(made, SERVING))
    for state, reason in (
        (MADE, "NotReady"),
        (CRASHED, "ContainerFailed"),
        (NO_IMAGE, "ImagePullFailed"),
    ):
        decision = look(made, state)
        assert phase(decision) == ("Retrying", reason)
        assert decision.status is not None
        assert [
            one["status"] for one in decision.status["conditions"] if one["type"] == "Running"
        ] == ["False"]


def test_the_status_names_the_pod_that_serves_and_all_that_may_report() -> None:
    made = started({"replicas": 2})
    assert look(made, MADE).status == made["status"]
    made = advanced_from(made, look(made, MADE, MADE))
    assert made["status"]["pod"] == {"name": "run-d1410a91-5d-a", "uid": "a"}
    assert [one["uid"] for one in made["status"]["service"]["pods"]] == ["a", "b"]
    made = advanced_from(made, look(made, UNREADY, SERVING))
    assert made["status"]["pod"] == {"name": "run-d1410a91-5d-b", "uid": "b", "node": "n1"}
    made = advanced_from(made, look(made, SERVING, SERVING))
    assert made["status"]["pod"]["uid"] == "b"
    gone = replica(SERVING, "b", deletionTimestamp="2026-01-01T12:00:00Z")
    made = advanced_from(
        made, decide(see(made, replicas=[replica(SERVING, "a"), gone, replica(MADE, "c")]))
    )
    assert made["status"]["pod"]["uid"] == "a"
    assert [one["uid"] for one in made["status"]["service"]["pods"]] == ["a", "c"]


@pytest.mark.parametrize(
    ("retries", "state", "ends"),
    [
        (0, CRASHED, True),
        (1, CRASHED, True),
        (2, CRASHED, False),
        (1, BACK, False),
        (0, BACK_FOR_LONG, False),
        (5, SMOTHERED, False),
        (2, SMOTHERED, True),
        (0, UNREADY, False),
    ],
)
def test_max_retries_bounds_how_often_kubernetes_starts_it_again(
    retries: int, state: dict[str, Any], ends: bool
) -> None:
    decision = look(started(termination={"maxRetries": retries}), state)
    assert (phase(decision)[0] == "Stopping") == ends
    assert list_actions(decision) == (["Delete Service", "Delete Deployment"] if ends else [])


def through_the_end(made: dict[str, Any], decision: Decision) -> Decision:
    """Return what follows once all that the decision deletes is gone."""
    assert phase(decision)[0] == "Stopping"
    assert list_actions(decision) == ["Delete Service", "Delete Deployment"]
    made = advanced_from(made, decision)
    # The operator died before it deleted anything.
    assert list_actions(look(made, SERVING)) == ["Delete Service", "Delete Deployment"]
    waiting = look(made, SERVING, deployment_is_gone=True)
    assert (waiting.status, waiting.actions) == (None, ())
    return look(made, deployment_is_gone=True)


ENDS: list[tuple[str, Callable[[], tuple[dict[str, Any], Decision]], tuple[str, str], str]] = []


def ending(expected: tuple[str, str], words: str) -> Callable[[Any], Any]:
    def keep(make: Callable[[], tuple[dict[str, Any], Decision]]) -> Any:
        ENDS.append((make.__name__, make, expected, words))
        return make

    return keep


def serving(**spec: Any) -> dict[str, Any]:
    made = started(**spec)
    return advanced_from(made, look(made, SERVING))


@ending(("Stopped", "Stopped"), "on request")
def asked_to() -> tuple[dict[str, Any], Decision]:
    made = serving()
    made["spec"]["control"] = {"stop": True}
    return made, look(made, SERVING)


@ending(("Stopped", "DeadlineExceeded"), "timeout of 3600 s")
def its_time_was_over() -> tuple[dict[str, Any], Decision]:
    made = serving(termination={"timeout": 3600})
    return made, look(made, SERVING)


@ending(("Failed", "ContainerFailed"), "exit code 3: no such table")
def its_retries_were_used_up() -> tuple[dict[str, Any], Decision]:
    made = started(termination={"maxRetries": 1})
    return made, look(made, CRASHED)


@ending(("Failed", "ImagePullFailed"), "what is this")
def its_image_can_never_be() -> tuple[dict[str, Any], Decision]:
    made = started()
    return made, look(made, BAD_NAME)


@ending(("Failed", "ImagePullFailed"), "no such image")
def wait_out_a_wrong_image() -> tuple[dict[str, Any], Decision]:
    made = started()
    made = advanced_from(made, look(made, NO_IMAGE))
    return made, look(made, NO_IMAGE, now=NOW + timedelta(seconds=SETTINGS.start_patience))


@ending(
    ("Failed", "Unschedulable"),
    "no node took its Pod within 604800 s (OPSTRAND_NODE_PATIENCE): no room",
)
def no_node_took_it() -> tuple[dict[str, Any], Decision]:
    made = started(termination={"timeout": 60})
    return made, look(made, FULL, now=NOW + timedelta(days=7))


@ending(("Failed", "Unschedulable"), "no node took its Pod")
def no_scheduler_looked_at_it() -> tuple[dict[str, Any], Decision]:
    made, alone = started(), replica(MADE)
    del alone["spec"]["nodeName"]
    return made, decide(see(made, replicas=[alone], now=NOW + timedelta(days=7)))


@pytest.mark.parametrize(
    ("make", "expected", "words"), [row[1:] for row in ENDS], ids=[row[0] for row in ENDS]
)
def test_a_service_is_over_when_nothing_of_it_is_left(
    make: Any, expected: tuple[str, str], words: str
) -> None:
    made, decision = make()
    last = through_the_end(made, decision)
    assert phase(last) == expected
    assert last.status is not None
    assert words in last.status["message"]
    assert last.status["finishedAt"]


def test_the_pods_of_another_ones_deployment_are_not_waited_for() -> None:
    """They have the run's labels and are never deleted; its own are being deleted, and are waited
    for.
    """
    made = started()
    refused = decide_refusal(see(made), TAKEN)
    assert refused is not None
    made = advanced_from(made, refused)
    going = replica(SERVING, "b", deletionTimestamp="2026-01-01T12:00:30Z")
    waits = decide(see(made, replicas=[replica(SERVING, "a"), going], deployment_is_gone=True))
    assert (waits.status, waits.actions) == (None, ())
    assert phase(look(made, SERVING, deployment_is_gone=True)) == ("Failed", "NameConflict")


def test_its_time_is_counted_from_when_it_served() -> None:
    assert look(started(termination={"timeout": 3700}), SERVING).requeue_after == 0.0
    made = serving(termination={"timeout": 3700})
    assert look(made, SERVING).requeue_after == 100.0
    assert look(started(termination={"timeout": 1}), UNREADY).actions == ()


CULLED = {"culling": {"timeout": 600}, "probe": {"http": {"path": "/api/status", "port": 8000}}}


def used(minutes_ago: float) -> Activity:
    return Activity(NOW - timedelta(minutes=minutes_ago))


def test_an_idle_service_is_stopped_and_says_so() -> None:
    made = serving(termination=CULLED)
    last = through_the_end(made, look(made, SERVING, activity=used(11)))
    assert phase(last) == ("Stopped", "Culled")


def test_a_service_without_a_page_runs_and_is_never_found_idle() -> None:
    made = serving(termination={"culling": {"timeout": 60}})
    later = look(made, SERVING, now=NOW + timedelta(days=30))
    assert (later.actions, phase(later)[0]) == ((), "Running"), later


def test_a_service_in_use_is_asked_again_when_it_could_be_idle() -> None:
    assert look(serving(termination=CULLED), SERVING, activity=used(7)).requeue_after == 180.0


def test_a_probe_that_does_not_tell_is_said_and_stops_nothing() -> None:
    made = serving(termination=CULLED)
    decision = look(made, SERVING, activity=Activity(trouble="it answered 404"))
    assert phase(decision) == ("Running", "ProbeFailed")
    assert decision.requeue_after == 60.0


def test_the_activity_of_jupyter_is_read() -> None:
    told = (
        '{"connections": 0, "kernels": 1, "last_activity": "2026-01-01T11:00:00.123456Z", '
        '"started": "2026-01-01T10:00:00Z"}'
    )
    assert read_activity(told).last == datetime(2026, 1, 1, 11, 0, 0, 123456, tzinfo=UTC)
    for nonsense in ("", "[]", "{}", '{"last_activity": 5}', '{"last_activity": null}', "<html>"):
        assert read_activity(nonsense).last is None
        assert "last_activity" in read_activity(nonsense).trouble


# -- the Deployment --------------------------------------------------------------------------------

DEPLOYMENT = {
    "metadata": {
        "name": "run-d1410a91",
        "namespace": "ns",
        "uid": "d",
        "creationTimestamp": "2026-01-01T11:59:59Z",
    }
}


def failing(words: str) -> dict[str, Any]:
    return {
        **DEPLOYMENT,
        "status": {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": words}]},
    }


def test_objects_that_were_not_made_before_the_operator_died_are_made() -> None:
    decision = look(started())
    assert list_actions(decision) == ["Create Service", "Create Deployment"]
    first = decide(see(operation()))
    assert decision.actions == first.actions


REFUSED = [
    ('pods "x" is forbidden: exceeded quota: q', ("Starting", "QuotaExceeded")),
    ('pods "x" is forbidden: violates PodSecurity "restricted:latest"', ("Stopping", "PodRefused")),
    (
        'pods "x" is forbidden: error looking up service account ns/nobody',
        ("Starting", "ServiceAccountNotFound"),
    ),
    ("something else", ("Starting", "PodRefused")),
]


@pytest.mark.parametrize(("words", "expected"), REFUSED)
def test_a_deployment_that_cannot_make_pods_says_why(words: str, expected: tuple[str, str]) -> None:
    decision = look(started(), deployment=failing(words))
    assert phase(decision) == expected
    assert decision.status is not None
    assert decision.status["message"] == words
    assert decision.requeue_after is not None


def test_a_deployment_that_a_person_deleted_is_made_again_within_the_platforms_budget() -> None:
    made = serving()
    for number in range(1, SETTINGS.platform_retries + 1):
        lost = look(made, deployment_is_gone=True)
        assert phase(lost) == ("Retrying", "DeploymentLost")
        made = advanced_from(made, lost)
        assert (
            made["status"]["attempt"],
            made["status"]["pod"],
            made["status"]["service"]["pods"],
        ) == (number, {}, [])
        assert look(made, deployment_is_gone=True).actions == ()
        again = look(made, deployment_is_gone=True, now=NOW + timedelta(minutes=1))
        assert phase(again) == ("Starting", "PodCreated")
        assert list_actions(again) == ["Create Service", "Create Deployment"]
        made = advanced_from(made, again)
        made = advanced_from(made, look(made, SERVING))
    last = through_the_end(made, look(made, deployment_is_gone=True))
    assert phase(last) == ("Failed", "DeploymentLost")


def test_a_deployment_without_pods_serves_no_request_and_is_looked_at_again() -> None:
    assert look(started(), deployment=DEPLOYMENT).status is None
    made = serving()
    going = replica(SERVING, deletionTimestamp="2026-01-01T12:00:00Z")
    assert decide(see(made, deployment=DEPLOYMENT, replicas=[going])).status is None
    decision = look(made, deployment=DEPLOYMENT)
    assert phase(decision) == ("Retrying", "NotReady")
    assert decision.requeue_after == 2 * SETTINGS.pending_grace


def test_a_service_that_is_refused_goes_before_it_is_over_and_a_bug_at_its_end_is_no_circle() -> (
    None
):
    made = started()
    refused = decide_refusal(see(made), TAKEN)
    assert refused is not None
    assert (phase(refused), refused.requeue_after) == (("Stopping", "NameConflict"), 0.0)
    made = advanced_from(made, refused)
    assert phase(look(made, deployment_is_gone=True)) == ("Failed", "NameConflict")
    assert phase(fail(see(made), "InternalError", "a bug")) == (
        "Failed",
        "InternalError",
    )


def test_a_service_that_a_person_deleted_is_made_again_beside_the_replicas_that_run() -> None:
    made = serving()
    decision = look(made, SERVING, service_is_gone=True)
    assert list_actions(decision) == ["Create Service", "Create Deployment"]
    assert decision.status is None or patch_ops(made["status"], decision.status) == []
    assert look(made, SERVING).requeue_after == SETTINGS.relist_interval, (
        "nobody tells that it is gone"
    )


def test_nothing_is_made_for_a_service_that_is_being_deleted() -> None:
    made = serving()
    made["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    decision = look(made, deployment_is_gone=True)
    assert (phase(decision), list_actions(decision)) == (
        ("Stopping", "Stopping"),
        ["Delete Service", "Delete Deployment"],
    )


def test_what_came_too_late_for_a_service_that_is_over_goes() -> None:
    over = {
        **serving(),
        "status": {**serving()["status"], "phase": "Stopped", "finishedAt": "2026-01-01T12:00:00Z"},
    }
    assert list_actions(look(over, SERVING)) == ["Delete Service", "Delete Deployment"]
    assert look(over, SERVING, deployment_is_gone=True).actions == ()
    assert look(over).actions == ()


def test_a_stop_before_anything_was_made_ends_too() -> None:
    made = operation(control={"stop": True})
    assert phase(decide(see(made))) == ("Stopped", "Stopped")
    made = started()
    made["spec"]["control"] = {"stop": True}
    assert phase(look(made)) == ("Stopping", "Stopping")


# -- what a file may ask for -----------------------------------------------------------------------

WRONG = [
    ({"ports": [0]}, {}, "run.ports[0]"),
    ({"ports": [70000]}, {}, "run.ports[0]"),
    ({"ports": [80, 81, 80]}, {}, "run.ports[2]"),
    ({"ports": ["{{ 'http' }}"]}, {}, "run.ports[0]"),
    ({"replicas": -1}, {}, "run.replicas"),
    ({"replicas": 0}, {}, "run.replicas"),
    ({"environment": {"restartPolicy": "Never"}}, {}, "run.environment.restartPolicy"),
    ({}, {"podFailurePolicy": {"rules": []}}, "termination.podFailurePolicy"),
    ({}, {"culling": {"timeout": 0}, "probe": CULLED["probe"]}, "termination.culling.timeout"),
    (
        {},
        {"culling": {"timeout": 60}, "probe": {"exec": {"command": ["true"]}}},
        "termination.probe.exec",
    ),
    (
        {},
        {"culling": {"timeout": 60}, "probe": {"http": {"path": "/", "port": 9}}},
        "termination.probe.http.port",
    ),
    (
        {},
        {
            "culling": {"timeout": 60},
            "probe": {"http": {"path": "/", "port": 8000, "scheme": "HTTPS"}},
        },
        "termination.probe.http.scheme",
    ),
]


@pytest.mark.parametrize(
    ("run", "termination", "path"), WRONG, ids=[f"{row[2]} {row[0] or row[1]}" for row in WRONG]
)
def test_what_a_service_cannot_have_is_said_with_its_place(
    run: dict[str, Any], termination: dict[str, Any], path: str
) -> None:
    decision = decide(see(operation(run, termination=termination)))
    assert phase(decision)[0] == "Failed"
    assert decision.status is not None
    assert f"{path}: " in decision.status["message"]


def rendered(run: dict[str, Any], args: list[str]) -> list[str]:
    decision = decide(see(operation({**run, "container": {**CONTAINER, "args": args}})))
    assert decision.status is not None, decision
    assert decision.plan is not None, decision.status["message"]
    return list(decision.plan.container["args"])


UUID = "d1410a914d18457589b91926d8c23db4"


@pytest.mark.parametrize(
    ("run", "location"),
    [
        ({}, "services"),
        ({"rewritePath": True}, "rewrite-services"),
        ({"isExternal": True}, "external"),
        ({"isExternal": True, "rewritePath": True}, "rewrite-external"),
    ],
)
def test_a_service_knows_its_ports_and_the_path_that_a_gateway_gives_it(
    run: dict[str, Any], location: str
) -> None:
    args = ["{{ globals.ports[1] }}", "{{ globals.base_url }}", "{{ globals.base_urls[1] }}"]
    root = f"/{location}/v1/ns/default/ns/runs/{UUID}"
    assert rendered({"ports": [80, 81], **run}, args) == ["81", f"{root}/80", f"{root}/81"]


def test_a_service_without_ports_has_port_80() -> None:
    assert rendered({"ports": None}, ["{{ globals.base_url }}"]) == [
        f"/services/v1/ns/default/ns/runs/{UUID}/80"
    ]


def test_who_refers_to_a_service_gets_its_inputs_while_it_runs() -> None:
    upstream = read_upstream(started(), SETTINGS)
    assert upstream.frozen
    assert not upstream.done
