"""A pipeline without a cluster: what its children are, and what follows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from tests.support.builders import JOB, NOW, RUNNING, body, list_actions, pod, see
from tests.support.builders import started as started_job

from opstrand.core import names
from opstrand.core.decide import decide, decide_refusal, fail
from opstrand.core.lifecycle.actions import Claim, Create, Refusal
from opstrand.core.lifecycle.snapshot import Decision
from opstrand.core.pipelines.letters import PUBLISHED
from opstrand.core.resolving.upstream import read_upstream
from opstrand.settings import Settings

UUID = "d1410a914d18457589b91926d8c23db4"
PHASES = {"w": "Waiting", "r": "Running", "s": "Succeeded", "f": "Failed", "x": "Stopped"}
TAKEN = Refusal("taken", "something else has its name")
FULL = Refusal("forbidden", "pods is forbidden: exceeded quota: counts")


def op(name: str, *dependencies: str, **own: Any) -> dict[str, Any]:
    named = {"dependencies": list(dependencies)} if dependencies else {}
    return {"name": name, **JOB, **named, **own}


def pipeline(*operations: Any, run: Any = None, **spec: Any) -> dict[str, Any]:
    written = {"kind": "dag", "operations": list(operations), **(run or {})}
    return body({"component": {"run": written}, **spec})


NO_EVENT = {"ref": "ops.a", "kinds": ["run_new_artifacts"]}
DIAMOND = (op("a"), op("b", "a"), op("c", "a"), op("d", "b", "c"))


@dataclass
class Cluster:
    """One pipeline and its children, whose phases the test sets."""

    parent: dict[str, Any]
    seconds: float = 0.0
    children: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Children of which the operator does not know that it created them.
    unknown: list[str] = field(default_factory=list)
    writes: int = 0

    def decide(self) -> Decision:
        now = NOW + timedelta(seconds=self.seconds)
        unknown = [names.child_name("run", UUID, name) for name in self.unknown]
        children = list(self.children.values())
        return decide(see(self.parent, children=children, unknown=unknown, now=now))

    def step(self) -> Decision:
        """Decide, write the status, and create what is asked for."""
        decision = self.decide()
        if decision.status is not None and decision.status != self.parent.get("status"):
            self.parent = {**self.parent, "status": decision.status}
            self.writes += 1
        for action in decision.actions:
            if isinstance(action, Create):
                self.add(action.manifest)
        return decision

    def add(self, manifest: dict[str, Any]) -> None:
        name = manifest["spec"]["name"]
        assert name not in self.children, "made twice"
        metadata = {**manifest["metadata"], "uid": f"{name}-uid", "resourceVersion": "1"}
        self.children[name] = {**manifest, "metadata": metadata}

    def set(self, **letters: str) -> None:
        for name, letter in letters.items():
            at = (NOW + timedelta(seconds=self.seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            status = {"phase": PHASES[letter], "reason": "Why", "message": f"{name} says so"}
            end = {"finishedAt": at} if letter in PUBLISHED else {}
            self.children[name] = {**self.children[name], "status": {**status, **end}}

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.parent["status"]
        return found

    @property
    def states(self) -> str:
        return str(self.status["children"]["states"])


def running(*operations: Any, **more: Any) -> Cluster:
    """Return a pipeline after its freeze and its first step."""
    cluster = Cluster(pipeline(*operations, **more))
    cluster.step()
    assert cluster.status["phase"] == "Running", cluster.status
    return cluster


def test_the_freeze_records_the_children_and_what_they_inherit() -> None:
    made = pipeline(
        *DIAMOND,
        run={
            "concurrency": "{{ width }}",
            "environment": {"labels": {"who": "{{ globals.name }}"}},
        },
        params={"width": {"value": 2, "contextOnly": True}},
        termination={"maxRetries": 1},
    )
    decision = decide(see(made))
    assert decision.status is not None
    assert decision.freeze
    assert list_actions(decision) == ["Create Operation"]
    assert decision.status["phase"] == "Running"
    assert decision.status["kind"] == "dag"
    assert decision.status["children"] == {
        "total": 4,
        "concurrency": 2,
        "summary": "0/4",
        "states": "....",
        "succeeded": 0,
        "failed": 0,
        "running": 0,
        "failures": [],
        "at": "2026-01-01T12:00:00.000000Z",
    }
    assert decision.status["inherited"] == {
        "termination": {"maxRetries": 1},
        "environment": {"labels": {"who": "run"}},
    }
    assert decision.status["inputs"] == {"width": 2}


@pytest.mark.parametrize("width", [0, -1, "x", 1.5])
def test_a_concurrency_that_is_no_count_is_refused_at_the_freeze(width: Any) -> None:
    params = {"width": {"value": width, "contextOnly": True}}
    status = decide(
        see(pipeline(op("a"), run={"concurrency": "{{ width }}"}, params=params))
    ).status
    assert status is not None
    assert (status["phase"], status["reason"]) == ("Failed", "InvalidSpec")
    assert "run.concurrency" in status["message"]


def test_nothing_is_made_of_a_file_with_a_mistake() -> None:
    for operations in (
        (op("a", "b"), op("b", "a")),
        (op("a"), op("b", "zz")),
        (op("a"), op("a")),
        (op("a"), op("b", "a", trigger="{{ x }}")),
        (op("a"), op("b", hooks=[{"hubRef": "x", "presets": ["gpu"]}])),
        (op("a"), {"name": "b", "hubRef": "x", "events": [NO_EVENT]}),
        (op("a"), op("b", events=[NO_EVENT])),
    ):
        decision = decide(see(pipeline(*operations)))
        assert decision.status is not None
        assert decision.status["phase"] == "Failed", operations
        assert not decision.actions


def test_a_diamond_takes_the_steps_of_a_diamond() -> None:
    cluster = running(*DIAMOND)
    assert list(cluster.children) == ["a"]
    cluster.set(a="s")
    cluster.step()
    assert list(cluster.children) == ["a", "b", "c"]
    cluster.set(b="s", c="r")
    cluster.step()
    assert "d" not in cluster.children
    cluster.set(c="s")
    cluster.step()
    cluster.set(d="s")
    cluster.step()
    assert (cluster.status["phase"], cluster.status["reason"]) == ("Succeeded", "Succeeded")
    assert cluster.states == "ssss"
    assert cluster.step().actions == ()


def test_letters_alone_are_written_after_a_while() -> None:
    cluster = running(*(op(f"op{n}") for n in range(9)))
    before = cluster.writes
    for number in range(8):
        cluster.set(**{f"op{number}": "s"})
        decision = cluster.step()
        assert decision.status is None
        assert 0 < (decision.requeue_after or 0) <= 5
    cluster.seconds = 5.1
    cluster.step()
    assert (cluster.writes, cluster.states) == (before + 1, "ssssssssw")
    assert cluster.step().status is None
    cluster.set(op8="s")
    assert cluster.step().status is not None
    assert cluster.writes == before + 2


def test_a_write_must_not_undo_a_newer_one() -> None:
    cluster = running(*DIAMOND)
    cluster.seconds = 6
    decision = cluster.step()
    assert decision.status is not None
    assert decision.freeze


def test_what_is_created_does_not_wait_for_letters_but_not_for_ever() -> None:
    cluster = running(*DIAMOND)
    cluster.seconds = 6
    cluster.set(a="s")
    decision = cluster.step()
    assert list_actions(decision) == ["Create Operation", "Create Operation"]
    assert (decision.status, decision.requeue_after) == (None, 0.0)
    cluster.step()
    assert cluster.states == "sww."
    cluster = running(*DIAMOND)
    cluster.seconds = 11
    cluster.set(a="s")
    decision = cluster.step()
    assert list_actions(decision) == ["Create Operation", "Create Operation"]
    assert cluster.states == "s..."


def test_letters_of_a_large_file_are_written_less_often() -> None:
    container = {"image": "b", "env": [{"name": "BULK", "value": "x" * 500_000}]}
    bulk = op("bulk", component={"run": {"kind": "job", "container": container}})
    cluster = running(bulk, op("a"))
    cluster.set(a="r")
    cluster.seconds = 14
    decision = cluster.step()
    assert decision.status is None
    assert decision.requeue_after == pytest.approx(1, abs=0.1)
    cluster.seconds = 15.1
    cluster.step()
    assert cluster.states == "wr"


def test_no_more_than_fifty_are_created_at_once() -> None:
    cluster = running(*(op(f"op{n}") for n in range(120)))
    assert cluster.status["phase"] == "Running"
    assert len(cluster.children) == 50
    assert cluster.step().requeue_after == 0.0
    assert len(cluster.children) == 100
    cluster.step()
    assert len(cluster.children) == Settings().pipeline_concurrency == 100


def test_a_child_that_another_process_made_is_compared_first() -> None:
    cluster = running(*DIAMOND)
    cluster.unknown = ["a"]
    cluster.set(a="s")
    decision = cluster.step()
    assert list_actions(decision) == ["Claim Operation"]
    (claim,) = decision.actions
    assert isinstance(claim, Claim)
    assert claim.manifest["spec"] == cluster.children["a"]["spec"]
    assert "b" not in cluster.children


def test_a_written_letter_needs_no_comparison() -> None:
    cluster = running(*DIAMOND)
    cluster.seconds = 6
    cluster.step()
    assert cluster.states == "w..."
    cluster.unknown = ["a"]
    cluster.set(a="s")
    assert list_actions(cluster.step()) == ["Create Operation", "Create Operation"]


def test_a_child_that_is_gone_counts_as_stopped_at_once() -> None:
    cluster = running(*DIAMOND)
    cluster.seconds = 6
    cluster.step()
    del cluster.children["a"]
    decision = cluster.step()
    assert decision.status is not None
    assert cluster.states == "xuuu"
    assert cluster.status["phase"] == "Succeeded"


def test_the_first_failures_are_in_the_message() -> None:
    cluster = running(op("a"), op("b"), op("c", "a"))
    cluster.set(a="f", b="s")
    cluster.step()
    assert (cluster.status["phase"], cluster.status["reason"]) == ("Failed", "ChildFailed")
    assert cluster.status["message"] == "1 of 3 failed: a (Why): a says so"
    assert cluster.states == "fsu"


def test_the_message_of_a_failure_outlives_its_object() -> None:
    cluster = running(op("a"), op("b"))
    cluster.seconds = 6
    cluster.set(a="f", b="r")
    cluster.step()
    del cluster.children["a"]
    cluster.set(b="s")
    cluster.step()
    assert cluster.status["message"] == "1 of 2 failed: a (Why): a says so"


def test_a_stop_is_written_for_the_children_to_read_and_waits_for_them() -> None:
    cluster = running(*DIAMOND)
    cluster.set(a="r")
    cluster.parent["spec"]["control"] = {"stop": True}
    decision = cluster.step()
    assert (cluster.status["phase"], cluster.status["reason"]) == ("Stopping", "Stopping")
    assert not decision.actions
    assert cluster.step().status is None
    cluster.set(a="x")
    cluster.step()
    assert (cluster.status["phase"], cluster.status["reason"]) == ("Stopped", "Stopped")
    assert cluster.states == "xxxx"


def test_a_pipeline_that_is_being_deleted_makes_nothing_more() -> None:
    cluster = running(*DIAMOND)
    cluster.parent["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    cluster.set(a="s")
    assert not cluster.step().actions


FAILURES = {"kind": "failure_early_stopping", "percent": 50}
ACCURATE = {
    "kind": "metric_early_stopping",
    "metric": "acc",
    "value": 0.9,
    "optimization": "maximize",
}


def test_enough_failures_stop_a_pipeline_which_then_has_failed() -> None:
    cluster = running(*(op(f"op{n}") for n in range(4)), run={"earlyStopping": [FAILURES]})
    cluster.set(op0="f", op1="r", op2="r", op3="r")
    cluster.step()
    assert cluster.status["phase"] == "Running"
    cluster.set(op1="f")
    cluster.step()
    assert (cluster.status["phase"], cluster.status["reason"]) == ("Stopping", "TooManyFailed")
    cluster.set(op2="x", op3="x")
    cluster.step()
    assert (cluster.status["phase"], cluster.status["reason"]) == ("Failed", "TooManyFailed")
    assert cluster.states == "ffxx"


def test_a_metric_that_is_good_enough_stops_a_pipeline_which_then_has_succeeded() -> None:
    operations = (op("a"), op("b"), op("c", "b"))
    cluster = running(*operations, run={"earlyStopping": [ACCURATE]})
    cluster.set(a="r", b="r")
    cluster.children["a"]["status"]["outputs"] = {"acc": 0.95}
    decision = cluster.step()
    assert not decision.actions
    assert (cluster.status["phase"], cluster.status["reason"]) == ("Stopping", "MetricReached")
    assert cluster.status["message"] == "stopped early: a has acc 0.95 >= 0.9"
    cluster.set(a="x", b="x")
    cluster.step()
    assert (cluster.status["phase"], cluster.states) == ("Succeeded", "xxx")


def test_a_policy_that_needs_curves_is_refused() -> None:
    early = [{**ACCURATE, "policy": {"kind": "median", "evaluationInterval": 1}}]
    status = decide(see(pipeline(op("a"), run={"earlyStopping": early}))).status
    assert status is not None
    assert status["reason"] == "NotSupported"
    assert "run.earlyStopping[0].policy" in status["message"]


def test_early_stopping_by_a_template_is_refused() -> None:
    early = [{**FAILURES, "percent": "{{ x }}"}]
    made = pipeline(op("a"), run={"earlyStopping": early}, params={"x": 3})
    status = decide(see(made)).status
    assert status is not None
    assert status["reason"] == "InvalidSpec"
    assert "run.earlyStopping[0].percent" in status["message"]


def test_an_event_of_a_sibling_is_waited_for_by_the_pipeline() -> None:
    event = {"ref": "ops.a", "kinds": ["run_status_running"]}
    cluster = running(op("a"), op("b", events=[event]))
    assert list(cluster.children) == ["a"]
    cluster.set(a="r")
    cluster.step()
    assert list(cluster.children) == ["a", "b"]
    decision = decide(see(child_of(cluster, "b"), operations=[cluster.parent]))
    assert list_actions(decision) == ["Create Pod"]


def test_a_child_whose_name_is_taken_ends_the_pipeline_and_what_runs() -> None:
    cluster = running(op("a"), op("b"))
    cluster.set(a="r", b="s")
    refused = decide_refusal(see(cluster.parent, children=cluster.children.values()), TAKEN)
    assert refused is not None
    assert refused.status is not None
    assert (refused.status["phase"], refused.status["reason"]) == ("Stopping", "NameConflict")
    cluster.parent["status"] = refused.status
    cluster.step()
    cluster.set(a="x")
    cluster.step()
    assert (cluster.status["phase"], cluster.status["reason"]) == ("Failed", "NameConflict")
    assert cluster.status["message"] == TAKEN.message


def test_a_child_that_is_refused_is_not_called_a_pod() -> None:
    cluster = running(op("a"))
    invalid = Refusal("invalid", "spec.description: Too long")
    refused = decide_refusal(see(cluster.parent, children=cluster.children.values()), invalid)
    assert refused is not None
    assert refused.status is not None
    assert (refused.status["phase"], refused.status["reason"]) == ("Stopping", "ChildRefused")


def test_a_quota_is_waited_for_with_its_reason_until_nothing_waits_to_be_created() -> None:
    cluster = Cluster(pipeline(op("a"), op("b", "a"), op("c")))
    cluster.step()
    del cluster.children["c"]
    refused = decide_refusal(see(cluster.parent, children=cluster.children.values()), FULL)
    assert refused is not None
    assert refused.requeue_after == 10.0
    cluster.parent["status"] = refused.status
    assert (cluster.status["phase"], cluster.status["reason"]) == ("Running", "QuotaExceeded")
    assert cluster.status["message"] == FULL.message
    # It is tried again without a write.
    cluster.writes = 0
    again = cluster.decide()
    assert (again.status, list_actions(again)) == (None, ["Create Operation"])
    cluster.set(a="s")
    cluster.step()
    cluster.step()
    assert (cluster.status["reason"], cluster.status["message"]) == ("PipelineRunning", "")
    assert set(cluster.children) == {"a", "b", "c"}


def test_a_bug_while_a_pipeline_stops_ends_it() -> None:
    cluster = running(op("a"))
    cluster.parent["spec"]["control"] = {"stop": True}
    cluster.step()
    decision = fail(see(cluster.parent, children=cluster.children.values()), "InternalError", "bug")
    assert decision.status is not None
    assert (decision.status["phase"], decision.status["reason"]) == ("Failed", "InternalError")


def test_a_bug_ends_a_pipeline_after_its_children() -> None:
    cluster = running(op("a"))
    decision = fail(see(cluster.parent, children=cluster.children.values()), "InternalError", "bug")
    assert decision.status is not None
    assert (decision.status["phase"], decision.status["reason"]) == ("Stopping", "InternalError")


def test_services_that_are_left_are_stopped_and_count_as_succeeded() -> None:
    web = {
        "name": "web",
        "component": {"run": {"kind": "service", "ports": [80], "container": {"image": "a"}}},
    }
    params = {"x": {"ref": "ops.web", "value": "globals.host", "contextOnly": True}}
    cluster = running(web, op("client", params=params))
    assert list(cluster.children) == ["web"]
    cluster.set(web="r")
    cluster.step()
    assert list(cluster.children) == ["web", "client"]
    cluster.set(client="s")
    cluster.step()
    assert (cluster.status["phase"], cluster.status["reason"]) == ("Processing", "ServicesLeft")
    cluster.set(web="x")
    cluster.step()
    assert (cluster.status["phase"], cluster.states) == ("Succeeded", "ss")


def test_an_operation_without_a_run_is_noted_on_the_child_that_refers_to_it() -> None:
    params = {"x": {"ref": "ops.b", "value": "globals.status", "contextOnly": True}}
    cluster = running(op("a"), op("b", "a"), op("c", params=params, trigger="all_done"))
    cluster.set(a="f")
    cluster.step()
    noted = cluster.children["c"]["metadata"]["annotations"]
    assert noted[names.WITHOUT_RUN] == '{"b": "upstream_failed"}'


def test_the_pipeline_is_an_upstream_from_its_freeze_on() -> None:
    cluster = running(op("a"), params={"x": {"value": 3, "contextOnly": True}})
    found = read_upstream(cluster.parent, Settings())
    assert found.frozen
    assert found.inputs == {"x": 3}
    assert found.globals["status"] == "running"


# -- what a child reads of its pipeline ------------------------------------------------------------


def child_of(cluster: Cluster, name: str = "a") -> dict[str, Any]:
    made = dict(cluster.children[name])
    return {**made, "metadata": {**made["metadata"], "creationTimestamp": "2026-01-01T12:00:00Z"}}


def as_pipeline(cluster: Cluster, **status: Any) -> dict[str, Any]:
    return {**cluster.parent, "status": {**cluster.status, **status}}


def test_a_child_of_a_running_pipeline_starts() -> None:
    cluster = running(op("a"))
    decision = decide(see(child_of(cluster), operations=[cluster.parent]))
    assert list_actions(decision) == ["Create Pod"]


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        ("Stopping", "its pipeline 'run' is stopping"),
        ("Processing", "its pipeline 'run' has ended"),
        ("Failed", "its pipeline 'run' has ended"),
        (None, "its pipeline 'run' is gone"),
    ],
)
def test_a_child_whose_pipeline_ends_never_starts(phase: str | None, message: str) -> None:
    cluster = running(op("a"))
    there = [] if phase is None else [as_pipeline(cluster, phase=phase)]
    decision = decide(see(child_of(cluster), operations=there))
    assert decision.status is not None
    assert (decision.status["phase"], decision.status["reason"]) == ("Stopped", "PipelineGone")
    assert decision.status["message"] == f"it never started: {message}"


def test_another_run_with_the_name_of_the_pipeline_is_not_the_pipeline() -> None:
    cluster = running(op("a"))
    other = {**cluster.parent, "metadata": {**cluster.parent["metadata"], "uid": "other"}}
    decision = decide(see(child_of(cluster), operations=[other]))
    assert decision.status is not None
    assert decision.status["reason"] == "PipelineGone"


def test_a_child_that_runs_is_stopped_with_its_pipeline() -> None:
    cluster = running(op("a"))
    made = child_of(cluster)
    frozen = decide(see(made, operations=[cluster.parent])).status
    made = {**made, "status": frozen}
    own = {**pod(RUNNING), "metadata": {**pod(RUNNING)["metadata"], "name": frozen["pod"]["name"]}}
    going = decide(see(made, pod=own, operations=[cluster.parent]))
    assert going.status is not None
    assert going.status["phase"] == "Running"
    stopping = as_pipeline(cluster, phase="Stopping")
    decision = decide(see(made, pod=own, operations=[stopping]))
    assert decision.status is not None
    assert decision.status["phase"] == "Stopping"
    assert list_actions(decision) == ["Patch Pod"]


def test_a_run_of_no_pipeline_asks_for_none() -> None:
    assert see(started_job(), operations=[]).left_by == ""
