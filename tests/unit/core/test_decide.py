"""Decisions without a cluster: what is seen, what follows, and that nothing follows twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.support.builders import (
    BROKEN,
    DONE,
    EVICTED,
    JOB,
    NOW,
    RUNNING,
    SETTINGS,
    body,
    list_actions,
    list_created,
    main,
    phase,
    pod,
    see,
    started,
)

from opstrand.core.decide import decide, decide_refusal
from opstrand.core.lifecycle.actions import Refusal
from opstrand.core.lifecycle.snapshot import Decision
from opstrand.core.lifecycle.status import patch_ops
from opstrand.core.normalize import as_stored
from opstrand.core.phase import published_status
from opstrand.settings import Settings


def test_a_new_run_is_frozen_before_its_pod() -> None:
    decision = decide(see(body()))
    assert decision.freeze
    assert phase(decision) == ("Starting", "PodCreated")
    assert list_actions(decision) == ["Create Pod"]
    assert decision.status is not None
    assert decision.status["pod"] == {"name": "run-d1410a91-0"}


@pytest.mark.parametrize(
    ("spec", "metadata", "expected"),
    [
        ({"control": {"stop": True}}, {}, ("Stopped", "Stopped")),
        ({"control": {"skip": True}}, {}, ("Skipped", "Skipped")),
        ({"nonsense": 1}, {}, ("Failed", "UnknownField")),
        ({"namespace": "elsewhere"}, {}, ("Failed", "InvalidSpec")),
        ({"isApproved": False}, {}, ("Waiting", "AwaitingApproval")),
        ({"isApproved": "false"}, {}, ("Waiting", "AwaitingApproval")),
        (
            {"params": {"go": {"value": False, "contextOnly": True}}, "isApproved": "{{ go }}"},
            {},
            ("Waiting", "AwaitingApproval"),
        ),
        ({"conditions": "{{ false }}"}, {}, ("Skipped", "ConditionFalse")),
        (
            {"component": {"run": {"kind": "tfjob", "worker": {"container": {"image": "x"}}}}},
            {},
            ("Failed", "NotSupported"),
        ),
        ({}, {"labels": {"velero.io/restore-name": "r"}}, ("Stopped", "Restored")),
    ],
)
def test_what_a_run_asks_for_is_validated_before_anything_is_made(
    spec: dict[str, Any], metadata: dict[str, Any], expected: Any
) -> None:
    decision = decide(see(body(spec, **metadata)))
    assert phase(decision) == expected
    assert decision.actions == ()


SEEN = [
    ("running", {}, pod(RUNNING), ("Running", "PodRunning"), []),
    ("done", {}, pod(DONE), ("Succeeded", "Succeeded"), []),
    ("broken", {}, pod(BROKEN), ("Failed", "ContainerFailed"), []),
    (
        "broken with a retry left",
        {"termination": {"maxRetries": 1}},
        pod(BROKEN),
        ("Retrying", "ContainerFailed"),
        [],
    ),
    ("evicted is the platform's budget", {}, pod(EVICTED), ("Retrying", "Evicted"), []),
    (
        "stop while running",
        {"control": {"stop": True}},
        pod(RUNNING),
        ("Stopping", "Stopping"),
        ["Patch Pod"],
    ),
    (
        "stop that was told to the Pod already",
        {"control": {"stop": True}},
        pod(RUNNING, activeDeadlineSeconds=1),
        ("Stopping", "Stopping"),
        [],
    ),
    (
        "stop before it started",
        {"control": {"stop": True}},
        pod({}),
        ("Stopping", "Stopping"),
        ["Delete Pod"],
    ),
    (
        "a stop that came too late",
        {"control": {"stop": True}},
        pod(DONE),
        ("Succeeded", "Succeeded"),
        [],
    ),
    ("a stop that broke it", {"control": {"stop": True}}, pod(BROKEN), ("Stopped", "Stopped"), []),
]


@pytest.mark.parametrize(
    ("spec", "seen", "expected", "actions"), [row[1:] for row in SEEN], ids=[row[0] for row in SEEN]
)
def test_what_the_pod_says_decides(
    spec: dict[str, Any], seen: dict[str, Any], expected: Any, actions: list[type]
) -> None:
    operation = started(**{key: value for key, value in spec.items() if key != "control"})
    operation["spec"].update(spec)
    decision = decide(see(operation, pod=seen))
    assert phase(decision) == expected
    assert list_actions(decision) == actions


LEAVING = {
    **RUNNING,
    "conditions": [
        {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": "x",
        }
    ],
}


def test_a_pod_that_is_gone_before_its_end_was_seen_ended_for_what_was_taking_it_away() -> None:
    operation = started()
    going = pod(LEAVING)
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    seen = decide(see(operation, pod=going))
    assert phase(seen) == ("Running", "Preempted")
    gone = decide(see({**operation, "status": seen.status}, pod_is_lost=True))
    assert phase(gone) == ("Retrying", "Preempted")
    assert gone.status is not None
    assert gone.status["retries"] == {"failures": 0, "disruptions": 1}


@pytest.mark.parametrize(
    "status", [RUNNING, DONE, BROKEN, EVICTED], ids=["running", "done", "broken", "evicted"]
)
def test_the_same_again_costs_no_write(status: dict[str, Any]) -> None:
    operation = started()
    first = decide(see(operation, pod=pod(status)))
    assert first.status is not None
    again = decide(
        see({**operation, "status": first.status}, pod=pod(status), now=NOW + timedelta(minutes=1))
    )
    assert (
        again.status is None
        or patch_ops(first.status, again.status) == []
        or first.status["phase"] == "Retrying"
    )


def test_a_frozen_run_without_a_pod_gets_the_same_pod_again() -> None:
    first = decide(see(body()))
    again = decide(see(started(), now=NOW + timedelta(minutes=5)))
    assert list_created(first) == list_created(again) != []
    assert again.status is None


def test_every_attempt_reads_the_values_as_they_are_stored() -> None:
    """Keys are sorted, and 1.0 is 1: the first attempt prints what a retry will print."""
    component = {
        "inputs": [{"name": "x", "type": "dict"}, {"name": "f", "type": "float"}],
        "run": {
            "kind": "job",
            "container": {"image": "busybox", "args": ["{{ x }} {{ f }} {{ params.y.value }}"]},
        },
    }
    spec = {
        "component": component,
        "params": {
            "x": {"value": {"b": 1.0, "a": 2}},
            "f": 3.0,
            "y": {"value": {"d": 1, "c": 2}, "contextOnly": True},
        },
    }
    first = decide(see(body(spec)))
    again = decide(see(body(spec, as_stored(first.status))))
    pods = [pod for decision in (first, again) for pod in list_created(decision)]
    assert pods[0] == pods[1]
    assert pods[0]["spec"]["containers"][0]["args"] == ["{'a': 2, 'b': 1} 3.0 {'c': 2, 'd': 1}"]


def test_a_lost_pod_is_another_attempt_with_another_name() -> None:
    decision = decide(see(started(), pod_is_lost=True))
    assert phase(decision) == ("Retrying", "PodLost")
    assert decision.status is not None
    assert decision.status["pod"] == {"name": "run-d1410a91-1"}
    assert decision.requeue_after == 1.0


def test_the_timeout_is_for_the_run_and_a_later_attempt_gets_what_is_left() -> None:
    operation = started(termination={"timeout": 60, "maxRetries": 3})
    retrying = decide(see(operation, pod=pod(BROKEN)))
    assert retrying.status is not None
    decision = decide(
        see({**operation, "status": retrying.status}, now=NOW + timedelta(seconds=30))
    )
    (made,) = list_created(decision)
    assert made["spec"]["activeDeadlineSeconds"] == 60 - 50
    late = decide(see({**operation, "status": retrying.status}, now=NOW + timedelta(minutes=5)))
    assert phase(late) == ("Failed", "DeadlineExceeded")


def test_a_slow_start_is_reported_only_after_a_grace() -> None:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "no room",
    }
    young = {
        **pod({"conditions": [condition]}),
        "metadata": {**pod({})["metadata"], "creationTimestamp": "2026-01-01T11:59:59Z"},
    }
    decision = decide(see(started(), pod=young))
    assert decision.status is None
    assert decision.requeue_after == 4.0
    assert phase(decide(see(started(), pod=pod({"conditions": [condition]})))) == (
        "Starting",
        "Unschedulable",
    )


@pytest.mark.parametrize(
    ("reason", "published"),
    [
        ("PodCreated", "starting"),
        ("VolumeNotMounted", "warning"),
        ("NotReady", "warning"),
        ("InitRunning", "starting"),
    ],
)
def test_a_start_that_is_in_trouble_is_a_warning_to_the_published_client(
    reason: str, published: str
) -> None:
    assert published_status({"phase": "Starting", "reason": reason}) == published


NO_ROOM = {
    "phase": "Pending",
    "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room"}
    ],
}
NO_SCHEDULER = {"phase": "Pending"}
GATED = {
    "phase": "Pending",
    "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}],
}
WEEK = timedelta(days=7)
HALF_HOUR = timedelta(minutes=30)


@pytest.mark.parametrize(
    "state", [NO_ROOM, NO_SCHEDULER], ids=["unschedulable", "not even looked at"]
)
@pytest.mark.parametrize(
    ("deadline", "bound", "reason", "words"),
    [
        (
            None,
            WEEK,
            "Unschedulable",
            "no node took its Pod within 604800 s (OPSTRAND_NODE_PATIENCE)",
        ),
        (
            7200,
            timedelta(hours=2),
            "DeadlineExceeded",
            "no node took its Pod within 7200 s (its timeout)",
        ),
        (
            60,
            HALF_HOUR,
            "DeadlineExceeded",
            "no node took its Pod within 1800 s (OPSTRAND_START_PATIENCE, which is more than its "
            "timeout of 60 s)",
        ),
        (10**7, WEEK, "Unschedulable", "no node took its Pod within 604800 s"),
    ],
)
def test_a_node_is_not_waited_for_without_end(
    state: dict[str, Any], deadline: int | None, bound: timedelta, reason: str, words: str
) -> None:
    waiting = pod(state, **({} if deadline is None else {"activeDeadlineSeconds": deadline}))
    del waiting["spec"]["nodeName"]
    made = datetime.fromisoformat(waiting["metadata"]["creationTimestamp"])
    patient = decide(see(started(), pod=waiting, now=made + bound - timedelta(seconds=9)))
    assert (patient.actions, patient.requeue_after) == ((), 9.0)
    over = decide(see(started(), pod=waiting, now=made + bound))
    assert phase(over) == ("Failed", reason)
    assert list_actions(over) == ["Delete Pod"]
    assert over.status is not None
    assert over.status["message"].startswith(words)
    assert over.status["message"].endswith(": no room") == (state is NO_ROOM)


def test_what_a_queue_holds_back_and_what_a_node_has_is_not_counted() -> None:
    held = pod(GATED, activeDeadlineSeconds=60)
    del held["spec"]["nodeName"]
    late = NOW + 2 * WEEK
    assert phase(decide(see(started(), pod=held, now=late))) == ("Starting", "SchedulingGated")
    assert (
        decide(
            see(started(), pod=pod({"phase": "Pending"}, activeDeadlineSeconds=60), now=late)
        ).actions
        == ()
    )
    assert phase(decide(see(started(), pod=pod(RUNNING, activeDeadlineSeconds=60), now=late))) == (
        "Running",
        "PodRunning",
    )


def test_a_node_may_be_waited_for_for_ever() -> None:
    waiting = pod(NO_ROOM)
    del waiting["spec"]["nodeName"]
    seen = see(started(), pod=waiting, now=NOW + 9 * WEEK)
    decision = decide(replace(seen, settings=replace(SETTINGS, node_patience=0)))
    assert (phase(decision), decision.requeue_after) == (("Starting", "Unschedulable"), None)


def test_an_image_that_never_comes_is_given_up() -> None:
    status = {"phase": "Pending", **main(waiting={"reason": "ErrImagePull", "message": "denied"})}
    patient = decide(see(started(), pod=pod(status)))
    assert phase(patient) == ("Starting", "ImagePullFailed")
    late = decide(
        see({**started(), "status": patient.status}, pod=pod(status), now=NOW + timedelta(hours=1))
    )
    assert phase(late) == ("Failed", "ImagePullFailed")
    assert list_actions(late) == ["Delete Pod"]


def test_a_pod_that_waited_long_for_something_else_has_all_the_patience_for_its_image() -> None:
    """Hours in the scheduler's queue, or in an init step, are not hours of a registry that does not
    answer.
    """
    status = {
        "phase": "Pending",
        **main(waiting={"reason": "ErrImagePull", "message": "try again"}),
    }
    hours_later = decide(see(started(), pod=pod(status), now=NOW + timedelta(hours=5)))
    assert phase(hours_later) == ("Starting", "ImagePullFailed")
    assert hours_later.requeue_after == SETTINGS.start_patience


def test_the_next_thing_that_is_missing_is_reported_and_waited_for_in_turn() -> None:
    def misses(name: str) -> dict[str, Any]:
        return pod(
            {
                "phase": "Pending",
                **main(
                    waiting={
                        "reason": "CreateContainerConfigError",
                        "message": f'secret "{name}" not found',
                    }
                ),
            }
        )

    operation = started()
    first = decide(see(operation, pod=misses("one")))
    assert first.status is not None
    operation = {**operation, "status": first.status}
    assert (
        decide(see(operation, pod=misses("one"), now=NOW + timedelta(minutes=9))).status
        == first.status
    )
    second = decide(see(operation, pod=misses("two"), now=NOW + timedelta(minutes=10)))
    assert second.status is not None
    assert second.status["message"] == "container 'main': secret \"two\" not found"
    assert second.requeue_after is not None
    given_up = decide(
        see(
            {**operation, "status": second.status},
            pod=misses("two"),
            now=NOW + timedelta(minutes=40),
        )
    )
    assert phase(given_up) == ("Failed", "ContainerConfigError")


def test_an_init_step_that_takes_long_is_named_and_a_short_one_costs_no_write() -> None:
    def in_step(name: str, since: str) -> dict[str, Any]:
        return pod(
            {
                "phase": "Pending",
                "initContainerStatuses": [
                    {"name": name, "state": {"running": {"startedAt": since}}}
                ],
            }
        )

    operation = started()
    young = decide(see(operation, pod=in_step("fetch", "2026-01-01T11:59:55Z")))
    assert (young.status, young.requeue_after) == (None, 25.0)
    long = decide(see(operation, pod=in_step("fetch", "2026-01-01T11:59:00Z")))
    assert phase(long) == ("Starting", "InitRunning")
    assert long.status is not None
    assert long.status["message"] == "init step 'fetch' has been running since 2026-01-01T11:59:00Z"
    operation = {**operation, "status": long.status}
    assert (
        patch_ops(
            long.status,
            decide(see(operation, pod=in_step("fetch", "2026-01-01T11:59:00Z"))).status or {},
        )
        == []
    )
    short = decide(see(operation, pod=in_step("unpack", "2026-01-01T11:59:58Z")))
    assert (short.status, short.requeue_after) == (None, 28.0)
    later = decide(
        see(
            operation, pod=in_step("unpack", "2026-01-01T11:59:58Z"), now=NOW + timedelta(minutes=1)
        )
    )
    assert later.status is not None
    assert "'unpack'" in later.status["message"]
    assert phase(decide(see({**operation, "status": later.status}, pod=pod(RUNNING)))) == (
        "Running",
        "PodRunning",
    )


FOREGROUND = {"deletionTimestamp": "2026-01-01T12:00:00Z", "finalizers": ["foregroundDeletion"]}


def test_nothing_is_made_for_an_operation_that_is_being_deleted() -> None:
    """Foreground deletion deletes its Pod first: that is not a lost Pod."""
    new = decide(see(body(**FOREGROUND)))
    assert (phase(new), new.actions) == (("Stopped", "Stopped"), ())
    operation = started()
    operation["metadata"] |= FOREGROUND
    for seen in ({"pod_is_lost": True}, {"pod": pod(EVICTED)}, {}):
        decision = decide(see(operation, **seen))
        assert (phase(decision), decision.actions) == (("Stopped", "Stopped"), ())
    assert phase(decide(see(operation, pod=pod(RUNNING)))) == ("Running", "PodRunning")
    operation = started(termination={"maxRetries": 1})
    operation["metadata"] |= FOREGROUND
    assert phase(decide(see(operation, pod=pod(BROKEN)))) == ("Failed", "ContainerFailed")


def test_a_stop_is_not_taken_back_once_it_has_begun() -> None:
    operation = started()
    operation["spec"]["control"] = {"stop": True}
    stopping = decide(see(operation, pod=pod(RUNNING)))
    operation = {
        **operation,
        "status": stopping.status,
        "spec": {**operation["spec"], "control": {"stop": False}},
    }
    gone = pod({**BROKEN, "reason": "DeadlineExceeded"}, activeDeadlineSeconds=1)
    assert phase(decide(see(operation, pod=gone))) == ("Stopped", "Stopped")
    assert phase(decide(see(operation, pod_is_lost=True))) == ("Stopped", "Stopped")


def test_a_program_that_takes_a_stop_politely_was_stopped_all_the_same() -> None:
    operation = started()
    operation["spec"]["control"] = {"stop": True}
    polite = {
        **DONE,
        "phase": "Failed",
        "reason": "DeadlineExceeded",
        "startTime": "2026-01-01T11:59:40Z",
    }
    assert phase(decide(see(operation, pod=pod(polite, activeDeadlineSeconds=1)))) == (
        "Stopped",
        "Stopped",
    )


def test_a_later_attempt_that_runs_out_of_time_says_where_the_rest_went() -> None:
    operation = started(termination={"timeout": 60, "maxRetries": 3})
    retrying = decide(see(operation, pod=pod(BROKEN)))
    late = pod({**BROKEN, "reason": "DeadlineExceeded"}, activeDeadlineSeconds=10)
    last = decide(see({**operation, "status": retrying.status}, pod=late))
    assert last.status is not None
    assert (
        last.status["message"]
        == "it did not end within 10 s: what 1 earlier attempt left of the run's 60 s"
    )


REFUSALS = [
    ('pods "x" is forbidden: exceeded quota: q, requested: pods=1', ("Starting", "QuotaExceeded")),
    ('pods "x" is forbidden: insufficient quota to consume: cpu', ("Starting", "QuotaExceeded")),
    (
        'pods "x" is forbidden: failed quota: q: must specify requests.cpu for: main',
        ("Failed", "PodRefused"),
    ),
    ('pods "x" is forbidden: no PriorityClass with name high was found', ("Failed", "PodRefused")),
    (
        'pods "x" is forbidden: [maximum cpu usage per Container is 1, but limit is 2, maximum '
        "memory",
        ("Failed", "PodRefused"),
    ),
    (
        'pods "x" is forbidden: cpu max limit to request ratio per Container is 2, but provided',
        ("Failed", "PodRefused"),
    ),
    ('pods "x" is forbidden: pod rejected: RuntimeClass "x" not found', ("Failed", "PodRefused")),
    ('admission webhook "policy.test" denied the request: no', ("Failed", "PodRefused")),
    (
        "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'p' denied request: no",
        ("Failed", "PodRefused"),
    ),
    (
        'pods "x" is forbidden: error looking up service account ns/x: serviceaccount "x" not '
        "found",
        ("Starting", "ServiceAccountNotFound"),
    ),
    (
        'pods "x" is forbidden: unable to create new content in namespace ns because it is being '
        "terminated",
        ("Stopped", "NamespaceTerminating"),
    ),
    (
        'pods is forbidden: User "system:serviceaccount:a:b" cannot create resource "pods" in API '
        'group ""',
        None,
    ),
    ('pods "x" is forbidden: status unknown for quota: q, resources: pods', None),
    ('pods "x" is forbidden: not yet ready to handle request', None),
    ("<html>403</html>", None),
]


@pytest.mark.parametrize(("words", "expected"), REFUSALS)
def test_what_admission_says_is_about_the_run_unless_it_is_about_us(
    words: str, expected: tuple[str, str] | None
) -> None:
    decision = decide_refusal(see(started()), Refusal("forbidden", words))
    assert (decision and phase(decision)) == expected
    if decision is not None and decision.status is not None:
        assert decision.status["message"].startswith(words)
        assert ("which asks for 10m to 1 cpu" in decision.status["message"]) == (
            " per Container " in words
        )


def test_history_is_bounded_and_keeps_its_first_entry() -> None:
    operation = started()
    for minute in range(40):
        status = (
            pod(RUNNING)
            if minute % 2
            else pod({"phase": "Pending", **main(waiting={"reason": "ErrImagePull"})})
        )
        decision = decide(see(operation, pod=status, now=NOW + timedelta(minutes=minute / 10)))
        if decision.status is not None:
            operation = {**operation, "status": decision.status}
    history = operation["status"]["history"]
    assert len(history) == 16
    assert history[0]["status"] == "created"


def test_a_final_run_is_left_alone() -> None:
    assert decide(see(body(status={"phase": "Succeeded"}), pod=pod(BROKEN))) == Decision()


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        ({"params": {"p": {"ref": "op.a", "value": "outputs.x"}}}, "RefInvalid"),
        (
            {"joins": [{"query": "statsu: x", "params": {"p": {"value": "outputs.x"}}}]},
            "InvalidSpec",
        ),
        ({"matrix": {"kind": "iterative", "maxIterations": 2}}, "NotSupported"),
    ],
)
def test_what_is_wrong_without_a_component_is_not_said_after_waiting_for_it(
    own: dict[str, Any], reason: str
) -> None:
    operation = body()
    operation["spec"] = {"hubRef": "trainer", **own}
    assert phase(decide(see(operation))) == ("Failed", reason)


def test_patience_starts_again_with_each_thing_that_is_waited_for() -> None:
    first = decide(see(body({"isApproved": False})))
    assert first.status is not None
    operation = body()
    operation["spec"] = {"hubRef": "trainer"}
    hours_later = NOW + timedelta(hours=5)
    missing = decide(see({**operation, "status": first.status}, now=hours_later))
    assert phase(missing) == ("Waiting", "ComponentNotFound")
    assert missing.requeue_after == SETTINGS.upstream_patience
    given_up = decide(
        see(
            {**operation, "status": missing.status},
            now=hours_later + timedelta(seconds=SETTINGS.upstream_patience),
        )
    )
    assert phase(given_up) == ("Failed", "ComponentNotFound")


IN_THE_FILE = {
    "component": {
        "run": {
            **JOB["component"]["run"],
            "environment": {"annotations": {"opstrand.dev/platform-retries": "0"}},
        }
    }
}
ON_THE_OBJECT = {"annotations": {"opstrand.dev/platform-retries": "0"}}
DELETED = {
    "metadata": {**pod({})["metadata"], "deletionTimestamp": "2026-01-01T11:59:45Z"},
    "spec": {},
    "status": BROKEN,
}


@pytest.mark.parametrize(
    ("spec", "metadata"),
    [(IN_THE_FILE, {}), (JOB, ON_THE_OBJECT)],
    ids=["in the file", "on the object"],
)
@pytest.mark.parametrize(
    "what",
    [{"pod": pod(EVICTED)}, {"pod_is_lost": True}, {"pod": DELETED}],
    ids=["evicted", "lost", "deleted"],
)
@pytest.mark.parametrize(
    "termination",
    [
        {},
        {"podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "X"}]}]}},
    ],
)
def test_at_most_once_can_be_asked_for(
    spec: Any, metadata: Any, what: Any, termination: Any
) -> None:
    asked = {**spec, **({"termination": termination} if termination else {})}
    status = decide(see(body(asked, **metadata))).status
    assert status is not None
    run = body(asked, {**status, "phase": "Running"}, **metadata)
    if termination and "pod" in what:
        conditions = [{"type": "X", "status": "True"}]
        what = {
            "pod": {**what["pod"], "status": {**what["pod"]["status"], "conditions": conditions}}
        }
    assert decide(see(run, **what)).status["phase"] == "Failed"  # type: ignore[index]
    without = body(
        JOB, {key: value for key, value in run["status"].items() if key != "platformRetries"}
    )
    assert decide(see(without, **what)).status["phase"] == "Retrying"  # type: ignore[index]


@pytest.mark.parametrize("allowed", [0, 1, 3])
@pytest.mark.parametrize("max_retries", [0, 2])
def test_each_run_has_the_budget_for_disruptions_that_the_setting_says(
    allowed: int, max_retries: int
) -> None:
    """It is a budget of its own: lost Pods do not use up what the user allows for failures of the
    program.
    """
    spec = {"termination": {"maxRetries": max_retries}}
    operation, moment = started(**spec), NOW
    for number in range(allowed + 1):
        moment += timedelta(hours=1)
        lost = replace(
            see(operation, now=moment, pod_is_lost=True),
            settings=Settings(platform_retries=allowed),
        )
        decision = decide(lost)
        assert decision.status is not None
        assert decision.status["phase"] == ("Retrying" if number < allowed else "Failed"), number
        again = decide(see(body(spec, decision.status), now=moment + timedelta(hours=1)))
        operation = body(spec, again.status or decision.status)
    assert operation["status"].get("retries", {}).get("failures", 0) == 0


def test_the_objects_word_on_disruptions_wins_over_the_files_and_must_be_a_number() -> None:
    status = (
        decide(see(body(IN_THE_FILE, annotations={"opstrand.dev/platform-retries": "2"}))).status
        or {}
    )
    assert status["platformRetries"] == 2
    for wrong in ("", "-1", "1.5", "many", "11", "٣"):
        decision = decide(see(body(annotations={"opstrand.dev/platform-retries": wrong})))
        assert phase(decision) == ("Failed", "InvalidSpec")
        assert (
            'metadata.annotations["opstrand.dev/platform-retries"]'
            in (decision.status or {})["message"]
        )
