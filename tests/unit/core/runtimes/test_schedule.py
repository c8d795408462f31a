"""A schedule from its freeze to its end, in a world where the operator may die between any two
effects and the clock may be set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import NOW, SETTINGS, body

from opstrand.core import names
from opstrand.core.compiling.prepare import prepare
from opstrand.core.decide import decide, decide_refusal, list_asks
from opstrand.core.lifecycle.actions import Create, Delete, Refusal
from opstrand.core.lifecycle.asks import Ask, Children, Get, Sighting
from opstrand.core.lifecycle.snapshot import Decision, Snapshot, stamp
from opstrand.core.phase import parse_phase
from opstrand.core.templates.template import refuse
from opstrand.errors import SpecError

COMPONENT = {"run": {"kind": "job", "container": {"image": "busybox", "args": ["a"]}}}
MINUTE = timedelta(minutes=1)
MINUTELY = {"kind": "interval", "frequency": 60}
UNREAD = SpecError("InternalError", "not prepared")


class World:
    """The schedule, the runs of its ticks by name, and how often each was created."""

    def __init__(self, section: Mapping[str, Any], **spec: Any) -> None:
        self.parent = body({"component": COMPONENT, "schedule": dict(section), **spec})
        self.parent["metadata"]["creationTimestamp"] = stamp(NOW)
        self.children: dict[str, dict[str, Any]] = {}
        self.created: Counter[str] = Counter()
        self.writes = 0
        self.now = NOW
        self.settings = SETTINGS
        #: What the last decision wants: seconds until the next one; None: an event.
        self.again: float | None = None

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.parent.get("status") or {}
        return status

    @property
    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = self.status["schedule"]
        return facts

    @property
    def ticks(self) -> list[str]:
        """The ticks of all runs that were ever created."""
        return sorted(self.created)

    def answer(self, ask: Ask) -> Any:
        if isinstance(ask, Children):
            return tuple(self.children[name] for name in sorted(self.children))
        assert isinstance(ask, Get)
        return Sighting(self.children.get(ask.name))

    def snapshot(self) -> Snapshot:
        snapshot = Snapshot(self.parent, UNREAD, self.now, self.settings, refuse)
        while asks := list_asks(snapshot):
            answers = {ask: self.answer(ask) for ask in asks}
            snapshot = replace(snapshot, answers={**snapshot.answers, **answers})
        try:
            prepared: Any = prepare(self.parent, settings=self.settings)
        except SpecError as error:
            prepared = error
        return replace(snapshot, prepared=prepared)

    def step(self, die_after: int | None = None) -> Decision:
        """Decide and apply; with `die_after` only so many effects happen."""
        decision = decide(self.snapshot())
        effects: list[Callable[[], None]] = []
        if decision.status is not None and decision.status != self.status:
            effects.append(lambda: self._write(decision.status))
        for action in decision.actions:
            assert isinstance(action, Create | Delete)
            effects.append(lambda action=action: self._act(action))  # type: ignore[misc]
        for effect in effects[:die_after]:
            effect()
        self.again = decision.requeue_after
        return decision

    def _write(self, status: Any) -> None:
        self.parent = {**self.parent, "status": status}
        self.writes += 1

    def _act(self, action: Create | Delete) -> None:
        if isinstance(action, Delete):
            del self.children[action.name]
            return
        manifest: dict[str, Any] = dict(action.manifest)
        name = manifest["metadata"]["name"]
        if name not in self.children:
            self.created[manifest["metadata"]["annotations"][names.SCHEDULE_AT]] += 1
            metadata = {**manifest["metadata"], "uid": f"uid-{name}"}
            self.children[name] = {**manifest, "metadata": metadata}

    def settle(self) -> None:
        """Decide until nothing is left to do at once."""
        for _ in range(20):
            writes, created = self.writes, self.created.total()
            self.step()
            if (self.writes, self.created.total()) == (writes, created) and self.again != 0:
                return
        raise AssertionError("it does not settle")

    def end_all(self, phase: str = "Succeeded") -> None:
        for name, child in self.children.items():
            if not parse_phase(child.get("status")).is_final:
                self.children[name] = {**child, "status": {"phase": phase, "reason": phase}}

    def edit(self, **spec: Any) -> None:
        metadata = self.parent["metadata"]
        generation = int(metadata.get("generation") or 1) + 1
        self.parent = {
            **self.parent,
            "metadata": {**metadata, "generation": generation},
            "spec": {**self.parent["spec"], **spec},
        }

    def pass_time(self, span: timedelta) -> None:
        self.now += span
        self.settle()


def started(section: Mapping[str, Any], **spec: Any) -> World:
    world = World(section, **spec)
    world.settle()
    assert world.status["phase"] == "Running"
    return world


def test_a_schedule_that_waits_writes_nothing_and_asks_for_a_timer_until_its_tick() -> None:
    world = started(MINUTELY)
    assert (world.writes, world.again) == (1, 60.0)
    world.now += timedelta(seconds=20)
    decision = world.step()
    assert (decision.status == world.status, decision.actions, world.again) == (True, (), 40.0)
    snapshot = Snapshot(world.parent, UNREAD, world.now, SETTINGS, refuse)
    assert list_asks(snapshot) == [Children()]


def test_a_tick_costs_two_writes_besides_its_run() -> None:
    world = started(MINUTELY)
    world.pass_time(MINUTE)
    assert world.writes == 2
    (run,) = world.children.values()
    assert "schedule" not in run["spec"]
    assert world.facts["active"][0]["name"] == run["metadata"]["name"]
    world.end_all()
    world.settle()
    assert (world.writes, world.facts["succeeded"], world.facts["active"]) == (3, 1, [])


def test_the_newest_of_the_ticks_that_are_due_has_a_run_and_the_others_are_counted() -> None:
    world = started(MINUTELY)
    world.pass_time(10 * MINUTE)
    assert world.ticks == [stamp_of(10)]
    assert (world.facts["runs"], world.facts["missed"]) == (1, 9)


def stamp_of(minutes: int) -> str:
    return (NOW + minutes * MINUTE).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_runs_depend_on_the_past_only_if_asked() -> None:
    worlds = started(MINUTELY), started({**MINUTELY, "dependsOnPast": True})
    for world in worlds:
        world.pass_time(MINUTE)
        world.pass_time(MINUTE)
    assert [len(world.children) for world in worlds] == [2, 1]
    waiting = worlds[1]
    assert "waits for" in waiting.status["message"]
    waiting.pass_time(3 * MINUTE)
    waiting.end_all("Failed")
    waiting.settle()
    assert waiting.ticks == [stamp_of(1), stamp_of(5)]
    assert (waiting.facts["failed"], waiting.facts["missed"]) == (1, 3)


def test_it_ends_after_its_last_run_has_ended() -> None:
    world = started({**MINUTELY, "maxRuns": 1})
    world.pass_time(5 * MINUTE)
    assert (world.status["phase"], world.again) == ("Running", None)
    world.end_all()
    world.settle()
    assert (world.status["phase"], world.status["reason"]) == ("Succeeded", "ScheduleFinished")
    assert "next" not in world.facts
    assert world.status["message"] == "1 run: 1 succeeded, 0 failed, 4 missed"


def test_a_schedule_without_a_tick_ends_at_once() -> None:
    world = World({**MINUTELY, "endAt": stamp(NOW)})
    world.settle()
    assert (world.status["phase"], world.created.total()) == ("Succeeded", 0)


def test_a_suspended_schedule_makes_up_for_nothing() -> None:
    world = started(MINUTELY)
    world.edit(control={"suspend": True})
    world.settle()
    assert (world.status["reason"], world.again) == ("Suspended", None)
    world.pass_time(10 * MINUTE)
    world.edit(control={"suspend": False})
    world.settle()
    assert (world.created.total(), world.status["reason"]) == (0, "ScheduleRunning")
    world.pass_time(MINUTE)
    assert (world.ticks, world.facts["missed"]) == ([stamp_of(11)], 0)


def test_an_edit_makes_no_earlier_moment_a_tick() -> None:
    world = started({"kind": "cron", "cron": "@yearly"})
    world.now += 10 * MINUTE
    world.edit(schedule=MINUTELY)
    world.settle()
    assert (world.created.total(), world.again) == (0, 60.0)
    world.pass_time(MINUTE)
    assert world.ticks == [stamp_of(11)]


def test_a_wrong_edit_starts_no_run_until_it_is_corrected() -> None:
    world = started(MINUTELY)
    world.edit(schedule={"kind": "cron", "cron": "soon"})
    world.pass_time(10 * MINUTE)
    assert (world.status["phase"], world.status["reason"]) == ("Running", "InvalidSpec")
    assert "schedule.cron" in world.status["message"]
    world.edit(schedule=MINUTELY)
    world.settle()
    # The schedule is as it was: what was due has not been forgotten.
    assert world.ticks == [stamp_of(10)]


def test_a_status_that_someone_broke_is_read_again_from_the_spec() -> None:
    world = started(MINUTELY)
    world.pass_time(MINUTE)
    facts = {**world.facts, "written": {"kind": "cron", "cron": "nonsense"}}
    world.parent = {**world.parent, "status": {**world.status, "schedule": facts}}
    world.settle()
    assert (world.status["phase"], world.facts["written"]) == ("Running", MINUTELY)


def test_a_stop_waits_for_the_runs() -> None:
    world = started(MINUTELY)
    world.pass_time(MINUTE)
    world.edit(control={"stop": True})
    world.pass_time(5 * MINUTE)
    assert (world.status["phase"], world.created.total()) == ("Stopping", 1)
    world.end_all("Stopped")
    world.settle()
    assert world.status["phase"] == "Stopped"


def test_only_as_many_ended_runs_as_the_setting_says_are_kept() -> None:
    world = World(MINUTELY)
    world.settings = replace(SETTINGS, schedule_history=3)
    for _ in range(8):
        world.pass_time(MINUTE)
        world.end_all()
        world.settle()
    world.settle()
    kept = [
        child["metadata"]["annotations"][names.SCHEDULE_AT] for child in world.children.values()
    ]
    assert sorted(kept) == world.ticks[-3:]
    assert (world.facts["runs"], len(world.facts["results"])) == (8, 8)


def test_a_run_that_the_cluster_refuses_fails_and_the_next_one_is_tried() -> None:
    world = started(MINUTELY)
    world.now += MINUTE
    world.step(die_after=0)
    refusal = Refusal("forbidden", 'admission webhook "x" denied the request: no')
    decision = decide_refusal(world.snapshot(), refusal)
    assert decision is not None
    world._write(decision.status)
    (result,) = world.facts["results"]
    assert (result["phase"], result["reason"]) == ("Failed", "ChildRefused")
    world.pass_time(MINUTE)
    assert world.ticks == [stamp_of(2)]


def test_a_quota_holds_a_run_back_with_its_reason_until_it_is_there() -> None:
    world = started(MINUTELY)
    world.now += MINUTE
    world.step(die_after=0)
    decision = decide_refusal(world.snapshot(), Refusal("forbidden", "exceeded quota: runs"))
    assert decision is not None
    assert decision.requeue_after == 10
    world._write(decision.status)
    assert (world.status["phase"], world.status["reason"]) == ("Running", "QuotaExceeded")
    world.pass_time(timedelta(seconds=10))
    assert world.ticks == [stamp_of(1)]
    assert world.status["reason"] == "ScheduleRunning"
    assert world.status["message"].startswith("next run at ")


def test_a_foreign_object_with_the_name_of_a_run_ends_the_schedule() -> None:
    world = started(MINUTELY)
    world.now += MINUTE
    world.step(die_after=0)
    decision = decide_refusal(world.snapshot(), Refusal("taken", "it was not made for this run"))
    assert decision is not None
    world._write(decision.status)
    world.settle()
    assert (world.status["phase"], world.status["reason"]) == ("Failed", "NameConflict")


@pytest.mark.parametrize("forged", ["owner", "name"])
def test_only_runs_that_the_schedule_made_count(forged: str) -> None:
    world = started(MINUTELY)
    world.pass_time(MINUTE)
    (run,) = world.children.values()
    metadata = {**run["metadata"], "annotations": {**run["metadata"]["annotations"]}}
    metadata["annotations"][names.SCHEDULE_AT] = stamp_of(2)
    if forged == "owner":
        metadata["ownerReferences"] = [{**metadata["ownerReferences"][0], "uid": "other"}]
    metadata["name"] = "planted"
    world.children["planted"] = {**run, "metadata": metadata}
    world.settle()
    assert world.facts["runs"] == 1


# -- laws ------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["pass", "die", "end", "forth", "back"]),
        st.integers(0, 90),
        st.integers(0, 2),
    ),
    max_size=25,
)


@given(STEPS, st.booleans())
def test_no_tick_is_run_twice_whatever_dies_and_whatever_the_clock_does(
    steps: list[tuple[str, int, int]], depends: bool
) -> None:
    world = started({**MINUTELY, "dependsOnPast": depends})
    ahead = timedelta(0)
    for kind, seconds, effects in steps:
        world.now += timedelta(seconds=seconds)
        if kind == "die":
            world.step(die_after=effects)
        elif kind == "end":
            world.end_all()
            world.settle()
        elif kind == "forth" and not ahead:
            ahead = timedelta(hours=1)
            world.now += ahead
            world.settle()
        elif kind == "back":
            world.now, ahead = world.now - ahead, timedelta(0)
            world.settle()
        else:
            world.settle()
    assert set(world.created.values()) <= {1}


@given(st.lists(st.tuples(st.integers(1, 55), st.integers(0, 2)), min_size=1, max_size=40))
def test_every_tick_runs_once_if_the_operator_looks_each_minute(
    looks: list[tuple[int, int]],
) -> None:
    """However often it dies on the way."""
    world = started(MINUTELY)
    for seconds, effects in looks:
        world.now += timedelta(seconds=seconds)
        world.step(die_after=effects)
        world.settle()
    passed = int((world.now - NOW).total_seconds()) // 60
    assert world.ticks == [stamp_of(minute) for minute in range(1, passed + 1)]
    assert world.facts["missed"] == 0
    assert world.facts["runs"] == passed
