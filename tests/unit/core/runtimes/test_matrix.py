"""A matrix from its freeze to its end, in a world where the operator may die between any two
effects.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.builders import NOW, SETTINGS, body
from tests.support.examples import examples

from opstrand.core.compiling.prepare import prepare
from opstrand.core.decide import decide, decide_refusal, list_asks
from opstrand.core.lifecycle.actions import Claim, Create, Refusal
from opstrand.core.lifecycle.asks import Ask, Children, Get, Known, Sighting
from opstrand.core.lifecycle.snapshot import Decision, Snapshot
from opstrand.core.phase import parse_phase
from opstrand.core.pipelines.children import find_difference
from opstrand.core.templates.template import refuse

COMPONENT = {
    "inputs": [{"name": "lr", "type": "float"}, {"name": "epochs", "type": "int", "value": 1}],
    "run": {"kind": "job", "container": {"image": "busybox", "args": ["{{ lr }}"]}},
}
HYPERBAND = {
    "kind": "hyperband",
    "maxIterations": 9,
    "eta": 3,
    "resource": {"name": "epochs", "type": "int"},
    "metric": {"name": "loss", "optimization": "minimize"},
    "params": {"lr": {"kind": "uniform", "value": [0, 1]}},
}
STOP_AT = {
    "kind": "metric_early_stopping",
    "metric": "loss",
    "value": 0.5,
    "optimization": "minimize",
}
STOP_FAILED = {"kind": "failure_early_stopping", "percent": 25}


def grid(count: int, **own: Any) -> dict[str, Any]:
    values = [index / 8 for index in range(count)]
    return {"kind": "grid", "params": {"lr": {"kind": "choice", "value": values}}, **own}


class World:
    """The parent, its children by name, and how often each was created."""

    def __init__(self, matrix: Mapping[str, Any], **spec: Any) -> None:
        self.parent = body({"component": COMPONENT, "matrix": matrix, **spec})
        self.children: dict[str, dict[str, Any]] = {}
        self.created: list[str] = []
        #: The runs that the living operator process knows as its own.
        self.own: set[str] = set()
        self.writes = 0
        self.now = NOW

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.parent.get("status") or {}
        return status

    @property
    def is_over(self) -> bool:
        return parse_phase(self.status).is_final

    @property
    def states(self) -> str:
        return str(self.status["children"]["states"])

    def answer(self, ask: Ask) -> Any:
        if isinstance(ask, Children):
            return tuple(self.children[name] for name in sorted(self.children))
        assert isinstance(ask, Get | Known)
        found = self.children.get(ask.name)
        is_own = found is not None and ask.name in self.own
        return Sighting(found, found["metadata"]["uid"] if found is not None and is_own else "")

    def snapshot(self) -> Snapshot:
        prepared = prepare(self.parent, settings=SETTINGS)
        snapshot = Snapshot(self.parent, prepared, self.now, SETTINGS, refuse)
        while asks := list_asks(snapshot):
            answers = {ask: self.answer(ask) for ask in asks}
            snapshot = replace(snapshot, answers={**snapshot.answers, **answers})
        return snapshot

    def decide(self) -> Decision:
        return decide(self.snapshot())

    def step(self, die_after: int | None = None) -> Decision:
        """Decide and apply; with `die_after` only so many effects happen in this process."""
        decision = self.decide()
        effects: list[Callable[[], None]] = []
        if decision.status is not None and decision.status != self.status:
            effects.append(lambda: self._write(decision.status))
        for action in decision.actions:
            assert isinstance(action, Create | Claim)
            effects.append(lambda manifest=action.manifest: self._create(manifest))  # type: ignore[misc]
        for effect in effects[:die_after]:
            effect()
        if die_after is not None:
            self.own.clear()
        return decision

    def _write(self, status: Any) -> None:
        self.writes += 1
        self.parent = {**self.parent, "status": status}

    def _create(self, manifest: dict[str, Any]) -> None:
        name = manifest["metadata"]["name"]
        self.own.add(name)
        if name in self.children:
            assert find_difference(self.children[name], manifest) is None
            return
        self.created.append(name)
        uid = f"{len(self.created):032x}"
        self.children[name] = {**manifest, "metadata": {**manifest["metadata"], "uid": uid}}

    def params(self, name: str) -> dict[str, Any]:
        return {key: one["value"] for key, one in self.children[name]["spec"]["params"].items()}

    def set(self, name: str, phase: str, **outputs: Any) -> None:
        child = self.children[name]
        self.children[name] = {**child, "status": {"phase": phase, "outputs": outputs}}

    @property
    def alive(self) -> list[str]:
        return sorted(
            name
            for name, one in self.children.items()
            if not parse_phase(one.get("status")).is_final
        )

    def run(self, result: Callable[[dict[str, Any]], float] = lambda params: 1.0) -> None:
        """Let every child succeed, the first one by name first, until the matrix is over."""
        for _ in range(500):
            self.step()
            if self.is_over:
                return
            if parse_phase(self.status).value == "Stopping":
                for name in self.alive:
                    self.set(name, "Stopped")
            elif self.alive:
                self.set(self.alive[0], "Succeeded", loss=result(self.params(self.alive[0])))
        raise AssertionError(f"not over: {self.status}")


def test_the_first_write_freezes_the_search_and_then_creates_its_runs() -> None:
    world = World(grid(12, concurrency=4))
    decision = world.step()
    assert decision.freeze
    assert (world.status["kind"], world.status["phase"]) == ("matrix", "Running")
    assert world.states == "." * 12
    assert len(world.created) == 4
    first = world.children[world.created[0]]
    assert first["spec"] == {"component": COMPONENT, "params": {"lr": {"value": 0}}}
    assert first["metadata"]["name"].startswith("run-0-")


def test_a_grid_runs_to_its_end_with_few_writes() -> None:
    world = World(grid(12, concurrency=4))
    world.run()
    assert (world.status["phase"], world.states) == ("Succeeded", "s" * 12)
    assert sorted(world.params(name)["lr"] for name in world.created) == [n / 8 for n in range(12)]
    # No time has passed: the freeze and the end are all that is written.
    assert world.writes == 2


def test_never_more_runs_than_the_concurrency() -> None:
    world = World(grid(12, concurrency=4))
    for _ in range(40):
        world.step()
        assert len(world.alive) <= 4
        if world.alive:
            world.set(world.alive[-1], "Succeeded")
    assert world.is_over


def test_letters_are_written_every_five_seconds() -> None:
    world = World(grid(3))
    world.step()
    world.set(world.alive[0], "Running")
    assert 0 < (world.step().requeue_after or 0) <= 5
    assert world.states == "..."
    world.now += timedelta(seconds=5)
    world.step()
    assert world.states == "rww"
    assert world.step() == Decision()


def test_many_runs_are_created_in_turns() -> None:
    world = World(grid(120))
    assert world.step().requeue_after == 0
    assert len(world.created) == 20
    for _ in range(5):
        world.step()
    # As many as the settings allow for a pipeline that does not say.
    assert len(world.created) == 100


def test_a_failed_run_makes_the_matrix_fail_with_its_message() -> None:
    world = World(grid(3))
    world.step()
    for name in world.alive[1:]:
        world.set(name, "Succeeded")
    child = world.children[world.alive[0]]
    child["status"] = {"phase": "Failed", "reason": "OOMKilled", "message": "killed"}
    world.step()
    assert (world.status["phase"], world.status["reason"]) == ("Failed", "ChildFailed")
    assert "OOMKilled" in world.status["message"]
    assert world.status["children"]["failures"][0]["message"] == "killed"


def test_a_metric_that_is_good_enough_ends_the_matrix_as_a_success() -> None:
    world = World(grid(12, concurrency=4, earlyStopping=[STOP_AT]))
    world.run(lambda params: 1 - params["lr"])
    assert (world.status["phase"], world.status["reason"]) == ("Succeeded", "MetricReached")
    assert world.status["best"]["value"] <= 0.5
    assert "x" in world.states
    assert len(world.created) < 12
    reasons = [one["reason"] for one in world.status["history"]]
    assert reasons[-2:] == ["MetricReached", "MetricReached"]


def test_too_many_failures_end_the_matrix_as_a_failure() -> None:
    world = World(grid(12, concurrency=4, earlyStopping=[STOP_FAILED]))
    for _ in range(3):
        world.step()
        world.set(world.alive[0], "Failed")
    world.step()
    assert (world.status["phase"], world.status["reason"]) == ("Stopping", "TooManyFailed")
    for name in world.alive:
        world.set(name, "Stopped")
    world.step()
    assert (world.status["phase"], world.status["reason"]) == ("Failed", "TooManyFailed")


def test_a_stop_creates_nothing_more_and_waits_for_what_runs() -> None:
    world = World(grid(12, concurrency=4))
    world.step()
    world.parent["spec"]["control"] = {"stop": True}
    world.step()
    assert world.status["phase"] == "Stopping"
    assert world.step() == Decision()
    for name in world.alive:
        world.set(name, "Stopped")
    world.step()
    assert (world.status["phase"], world.states) == ("Stopped", "x" * 12)
    assert len(world.created) == 4


def test_hyperband_promotes_the_best_to_its_end() -> None:
    world = World(HYPERBAND)
    world.run(lambda params: params["lr"])
    assert (world.status["phase"], len(world.created)) == ("Succeeded", 22)
    epochs = sorted(world.params(name)["epochs"] for name in world.created)
    assert epochs == [1] * 9 + [3] * 8 + [9] * 5
    best = min(world.params(name)["lr"] for name in world.created)
    assert world.status["best"]["value"] == pytest.approx(best)
    assert world.status["search"]["promotions"].startswith("9<")


def test_a_promotion_is_recorded_before_its_run_is_made() -> None:
    world = World(HYPERBAND)
    world.step()
    for name in world.alive:
        world.set(name, "Succeeded", loss=world.params(name)["lr"])
    decision = world.step(die_after=1)
    assert decision.freeze
    assert len(decision.actions) == 4
    assert len(world.status["search"]["promotions"].split()) == 4
    assert len(world.created) == 17


def test_a_metric_that_no_run_reports_is_a_failure_with_its_path() -> None:
    world = World(HYPERBAND)
    for _ in range(30):
        world.step()
        for name in world.alive:
            world.set(name, "Succeeded")
    assert (world.status["phase"], world.status["reason"]) == ("Failed", "MetricMissing")
    assert world.status["message"] == "matrix.metric.name: none of 17 runs reported 'loss'"
    assert world.status["children"]["failures"][0]["reason"] == "MetricMissing"


def test_a_child_that_was_deleted_counts_as_stopped() -> None:
    world = World(grid(2))
    world.step()
    world.now += timedelta(seconds=9)
    world.step()
    assert world.states == "ww"
    gone, left = world.alive
    del world.children[gone]
    world.set(left, "Succeeded")
    world.step()
    assert (world.status["phase"], sorted(world.states)) == ("Succeeded", ["s", "x"])


def test_a_matrix_without_values_succeeds_at_once() -> None:
    world = World(grid(0))
    world.step()
    world.step()
    assert world.status["phase"] == "Succeeded"


def test_a_run_that_another_made_under_our_name_is_compared_before_it_counts() -> None:
    world = World(grid(2))
    world.step(die_after=2)
    (name,) = world.created
    world.set(name, "Succeeded")
    decision = world.decide()
    assert [type(one).__name__ for one in decision.actions] == ["Claim"]
    assert decision.status is None
    refused = decide_refusal(world.snapshot(), Refusal("taken", "made by another"))
    assert refused is not None
    assert refused.status is not None
    assert (refused.status["phase"], refused.status["reason"]) == ("Stopping", "NameConflict")


def test_a_quota_keeps_the_next_runs_waiting_and_says_so() -> None:
    world = World(grid(2))
    world.step(die_after=1)
    refused = decide_refusal(world.snapshot(), Refusal("forbidden", "exceeded quota: runs"))
    assert refused is not None
    assert refused.requeue_after == 10
    world._write(refused.status)
    assert (world.status["phase"], world.status["reason"]) == ("Running", "QuotaExceeded")
    world.now += timedelta(seconds=10)
    # It is tried again without a write, and said until nothing waits to be created.
    world.writes = 0
    world.step()
    assert (world.status["reason"], world.writes, len(world.created)) == ("QuotaExceeded", 0, 2)
    world.step()
    assert (world.status["reason"], world.status["message"]) == ("MatrixRunning", "")


@settings(max_examples=examples(60), deadline=None)
@given(
    st.integers(0, 10**9),
    st.sampled_from(
        [grid(12, concurrency=4), grid(5), HYPERBAND, grid(9, earlyStopping=[STOP_AT])]
    ),
)
def test_whenever_the_operator_dies_no_run_is_made_twice_and_none_is_lost(
    seed: int, matrix: dict[str, Any]
) -> None:
    source = random.Random(seed)
    world = World(matrix)
    for _ in range(2000):
        world.step(die_after=source.choice([None, None, 0, 1, 2, 3]))
        world.now += timedelta(seconds=source.choice([0, 0, 1, 6]))
        if world.is_over:
            break
        is_stopping = parse_phase(world.status).value == "Stopping"
        for name in world.alive:
            if source.random() < 0.3:
                ends = ["Stopped"] if is_stopping else ["Running", "Succeeded", "Succeeded"]
                world.set(name, source.choice(ends), loss=world.params(name)["lr"])
    assert world.is_over
    assert world.status["phase"] == "Succeeded"
    assert len(set(world.created)) == len(world.created)
    made = sum(letter not in "kx." for letter in world.states)
    assert made <= len(world.created)
    if "earlyStopping" not in matrix:
        assert len(world.created) == made == (22 if matrix is HYPERBAND else len(world.states))
    assert world.decide() == Decision()
