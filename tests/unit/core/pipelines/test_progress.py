"""A pipeline from its first operation to its end, against a model that forgets nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import JOB

from opstrand.core.compiling.compile import compile_operation
from opstrand.core.operation import Node
from opstrand.core.phase import Phase
from opstrand.core.pipelines.letters import PUBLISHED, Child, Children
from opstrand.core.pipelines.progress import Graph, Op, Step, find_end, progress, read_graph
from opstrand.errors import SpecError
from opstrand.spec.polyaxonfile import parse_operation

SERVICE = {"component": {"run": {"kind": "service", "ports": [80], "container": {"image": "a"}}}}


def read(*operations: Mapping[str, Any]) -> Graph:
    written = {"component": {"run": {"kind": "dag", "operations": list(operations)}}}
    return read_graph(compile_operation(parse_operation(written)).nodes)


def op(name: str, *dependencies: str, **own: Any) -> dict[str, Any]:
    named = {"dependencies": list(dependencies)} if dependencies else {}
    return {"name": name, **JOB, **named, **own}


def go(graph: Graph, states: str, seen: Mapping[int, Child] = {}, **options: Any) -> Step:
    return progress(graph, Children(states), seen, **options)


def named(graph: Graph, step: Step) -> list[str]:
    return [graph.ops[at].name for at in step.start]


DIAMOND = read(op("a"), op("b", "a"), op("c", "a"), op("d", "b", "c"))


@pytest.mark.parametrize(
    ("states", "after", "started"),
    [
        ("....", "....", ["a"]),
        ("r...", "r...", []),
        ("s...", "s...", ["b", "c"]),
        ("c...", "c...", ["b", "c"]),
        ("k...", "k...", ["b", "c"]),
        ("srs.", "srs.", []),
        ("sss.", "sss.", ["d"]),
        ("f...", "fuuu", []),
        ("x...", "xuuu", []),
        ("ssf.", "ssfu", []),
        ("ssss", "ssss", []),
    ],
)
def test_a_diamond(states: str, after: str, started: list[str]) -> None:
    step = go(DIAMOND, states)
    assert (step.children.states, named(DIAMOND, step)) == (after, started)
    assert step.is_over == (not started and "r" not in after)


def test_the_file_may_name_an_operation_before_its_upstream() -> None:
    graph = read(op("b", "a"), op("a"))
    assert named(graph, go(graph, "..")) == ["a"]
    assert go(graph, ".f").children.states == "uf"


def test_the_letters_of_objects_are_taken_over_but_no_end_is_undone() -> None:
    seen = {0: Child("r"), 1: Child("s", "t1"), 2: Child("w")}
    assert go(DIAMOND, "sw..", seen).children.states == "ssw."


def test_a_child_whose_object_is_gone_counts_as_stopped() -> None:
    assert go(DIAMOND, "srs.", gone={1}).children.states == "sxsu"
    assert go(DIAMOND, "sss.", gone={1}).children.states == "sss."


@pytest.mark.parametrize(
    ("concurrency", "most", "started"),
    [(None, None, 9), (3, None, 2), (1, None, 0), (100, 4, 4), (5, 3, 3)],
)
def test_no_more_start_than_there_are_slots(
    concurrency: int | None, most: int | None, started: int
) -> None:
    graph = read(*(op(f"op{n}") for n in range(10)))
    step = go(graph, "r" + "." * 9, concurrency=concurrency, most=most)
    assert step.start == tuple(range(1, 1 + started))


def test_an_operation_that_would_wait_for_a_run_without_a_slot_takes_none() -> None:
    params = {
        name: {"ref": f"ops.{name}", "value": "outputs.x", "contextOnly": True} for name in "ab"
    }
    graph = read(op("a"), op("b"), op("c", params=params, trigger="one_done"))
    assert go(graph, "s..", concurrency=1).start == (1,)
    assert go(graph, "sr.", concurrency=2).start == (2,)


def test_a_stopped_pipeline_starts_nothing_and_waits_for_what_runs() -> None:
    step = go(DIAMOND, "sr..", is_stopping=True)
    assert (step.children.states, step.start, step.is_over) == ("srxx", (), False)
    assert go(DIAMOND, "sx..", is_stopping=True).is_over


def needs(value: str, **own: Any) -> dict[str, Any]:
    param = {"ref": "ops.web", "value": value, "contextOnly": True}
    return op("client", params={"x": param}, **own)


@pytest.mark.parametrize(
    ("client", "starts"),
    [
        (needs("globals.host"), True),
        (needs("{{ globals.base_url }}", trigger="all_done"), True),
        (needs("globals.uuid"), False),
        (needs("outputs.x"), False),
        (needs("globals.host", dependencies=["web"]), False),
    ],
)
def test_the_address_of_a_service_is_there_while_it_runs(client: Any, starts: bool) -> None:
    graph = read({"name": "web", **SERVICE}, client)
    assert go(graph, "..").start == (0,)
    assert go(graph, "r.", {0: Child("r")}).start == ()
    assert bool(go(graph, "r.", {0: Child("r", is_running=True)}).start) is starts


def test_services_end_with_the_rest_of_the_pipeline() -> None:
    graph = read({"name": "web", **SERVICE}, needs("globals.host"))
    serving = {0: Child("r", is_running=True)}
    assert not go(graph, "rr", serving).leave
    assert not go(graph, "r.", serving).leave
    assert go(graph, "rs", serving).leave
    assert go(graph, "rf", serving).leave
    stopped = go(graph, "rs", {0: Child("x", "t")}, is_leaving=True)
    assert stopped.children.states == "ss"
    assert find_end(stopped.children).phase is Phase.SUCCEEDED


@pytest.mark.parametrize(
    ("states", "phase", "message"),
    [
        ("ss", Phase.SUCCEEDED, ""),
        ("sck", Phase.SUCCEEDED, "2 succeeded, 1 skipped"),
        ("sxu", Phase.SUCCEEDED, "1 succeeded, 1 stopped, 1 did not run because of an upstream"),
        ("xx", Phase.STOPPED, "all of its operations were stopped"),
        ("sfu", Phase.FAILED, "1 of 3 failed: train (OOMKilled): needs more"),
    ],
)
def test_how_a_pipeline_ends(states: str, phase: Phase, message: str) -> None:
    failure = {"op": "train", "reason": "OOMKilled", "message": "needs more"}
    children = Children(states).with_failures([failure] if "f" in states else [])
    end = find_end(children)
    assert (end.phase, end.message) == (phase, message)
    assert find_end(children, is_stopping=True).phase is Phase.STOPPED


@pytest.mark.parametrize(
    "own",
    [
        {"trigger": "{{ x }}"},
        {"skipOnUpstreamSkip": "{{ x }}"},
        {"dependencies": ["{{ x }}"]},
    ],
)
def test_what_decides_about_a_start_is_no_template(own: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="write the value") as caught:
        read(op("a"), op("b", **own))
    assert [one.path for one in caught.value.problems] == [f"run.operations[1].{next(iter(own))}"]


def test_an_operation_with_an_unknown_component_is_read_as_written() -> None:
    written = {"name": "b", "hubRef": "echo", "trigger": "all_done", "skipOnUpstreamSkip": True}
    nodes = {
        "a": Node("a", "", {}),
        "b": Node("b", "", written, upstreams=frozenset({"a"})),
    }
    assert read_graph(nodes).ops[1] == Op("b", (0,), trigger="all_done", skips=True)


# -- against a model -------------------------------------------------------------------------------


@dataclass
class Model:
    """What a pipeline would do if it saw each end at once and forgot nothing.

    Each operation keeps the ends of its upstreams in the order in which they happen.
    """

    graph: Graph
    states: dict[int, str] = field(default_factory=dict)
    heard: dict[int, list[str]] = field(default_factory=dict)
    allowed: set[int] = field(default_factory=set)

    def begin(self) -> None:
        self.allowed |= {at for at, one in enumerate(self.graph.ops) if not one.upstreams}

    def end(self, at: int, status: str) -> None:
        wave = {at: status}
        while wave:
            self.states |= wave
            concerned = sorted(
                below
                for below, one in enumerate(self.graph.ops)
                if set(one.upstreams) & wave.keys()
            )
            for below in concerned:
                ends = [wave[one] for one in self.graph.ops[below].upstreams if one in wave]
                self.heard.setdefault(below, []).extend(ends)
            wave = {
                below: verdict
                for below in concerned
                if below not in self.allowed and below not in self.states
                if (verdict := self.verdict(below)) in ("skipped", "upstream_failed")
            }
            self.allowed |= {
                below
                for below in concerned
                if below not in self.states and below not in wave and self.verdict(below) == "start"
            }

    def verdict(self, at: int) -> str:
        one, heard = self.graph.ops[at], self.heard[at]
        good = {
            "succeeded": {"succeeded", "skipped"},
            "failed": {"failed"},
            "done": set(PUBLISHED.values()),
        }[one.trigger.partition("_")[2]]
        for count, status in enumerate(heard, 1):
            is_last = count == len(one.upstreams)
            if one.skips and status == "skipped":
                return "skipped"
            if one.trigger.startswith("one_") and status in good:
                return "start"
            if is_last:
                all_good = one.trigger.startswith("all_") and set(heard) <= good
                return "start" if all_good else "upstream_failed"
        return "wait"


TRIGGERS = ["all_succeeded", "all_failed", "all_done", "one_succeeded", "one_failed", "one_done"]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    size = draw(st.integers(1, 40))
    ops = []
    for at in range(size):
        upstreams = draw(st.sets(st.integers(0, at - 1), max_size=4)) if at else set()
        refs = draw(st.sets(st.sampled_from(sorted(upstreams)))) if upstreams else set()
        ops.append(
            Op(
                f"op{at}",
                tuple(sorted(upstreams)),
                frozenset(refs),
                trigger=draw(st.sampled_from(TRIGGERS)),
                skips=draw(st.booleans()),
            )
        )
    return Graph(tuple(ops), tuple(range(size)))


@given(graph=graphs(), data=st.data())
def test_a_pipeline_does_what_the_model_does(graph: Graph, data: st.DataObject) -> None:
    """Objects outlive letters: the status may be older than they are, as after a restart."""
    model = Model(graph)
    model.begin()
    children = stored = Children("." * len(graph.ops))
    objects: dict[int, Child] = {}
    concurrency = data.draw(st.integers(1, 5))
    for clock in range(len(graph.ops) + 1):
        step = progress(graph, children, objects, concurrency=concurrency)
        children = step.children
        assert not step.start or children.alive < concurrency
        for at in step.start:
            assert at not in objects, "made twice"
            assert at in model.allowed, "made before its upstreams"
            objects[at] = Child("w")
        if step.is_over:
            break
        if data.draw(st.booleans()):
            stored = children
        if data.draw(st.integers(0, 4)) == 0:
            children = stored
        alive = [at for at, child in objects.items() if child.letter in "wr"]
        assert alive, "nothing runs, and nothing starts"
        # Several may end before the next decision.
        for end in range(data.draw(st.integers(1, 3))):
            if not (alive := [at for at, child in objects.items() if child.letter in "wr"]):
                break
            at = data.draw(st.sampled_from(alive))
            letter = data.draw(st.sampled_from("sfxku"))
            objects[at] = Child(letter, f"{clock:06d}.{end}")
            model.end(at, PUBLISHED[letter])
    else:
        pytest.fail("the pipeline never ended")
    assert {at: PUBLISHED[letter] for at, letter in enumerate(children.states)} == model.states


def test_a_decision_over_two_thousand_operations_takes_less_than_50_ms() -> None:
    """The fastest of several counts: a busy machine makes the others slower, also in CPU time."""
    size = 2000
    ops = tuple(
        Op(
            f"op{at}",
            tuple(sorted({at // 2, at // 3, at - 1} - {at})) if at else (),
            skips=at % 2 > 0,
        )
        for at in range(size)
    )
    graph = Graph(ops, tuple(range(size)))
    seen = {at: Child("s", f"{at:06d}") for at in range(size // 2)}
    taken = []
    for _ in range(10):
        begun = time.process_time()
        progress(graph, Children("." * size), seen)
        taken.append(time.process_time() - begun)
    assert min(taken) < 0.050, taken
