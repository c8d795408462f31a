"""Operations that start when a sibling reaches a status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.support.builders import JOB

from opstrand.core.compiling.compile import compile_operation
from opstrand.core.pipelines.events import KINDS, check_events, find_happened
from opstrand.core.pipelines.letters import Child, Children
from opstrand.core.pipelines.progress import progress, read_graph
from opstrand.spec.polyaxonfile import parse_operation


def happened(kind: str, letter: str, child: Child | None = None) -> str:
    return find_happened(frozenset({kind}), letter, child)


@pytest.mark.parametrize(
    ("kind", "letters"),
    [
        ("created", "-++++++++"),
        ("queued", "-++++++++"),
        ("starting", "--+++++!!"),
        ("running", "---++++!!"),
        ("succeeded", "----+!!!!"),
        ("failed", "----!+!!!"),
        ("stopped", "----!!+!!"),
        ("skipped", "----!!!+!"),
        ("upstream_failed", "----!!!!+"),
        ("done", "----+++++"),
    ],
)
def test_a_later_status_makes_up_for_an_earlier_one(kind: str, letters: str) -> None:
    runs = [
        (".", None),
        ("w", Child("w")),
        ("r", Child("r")),
        ("r", Child("r", is_running=True)),
        *((letter, None) for letter in "sfxku"),
    ]
    signs = {"yes": "+", "not yet": "-", "never": "!"}
    assert "".join(signs[happened(kind, *run)] for run in runs) == letters


def test_one_of_several_kinds_is_enough() -> None:
    assert find_happened(frozenset({"failed", "running"}), "f", None) == "yes"


def waiting(*kinds: str, **own: Any) -> Any:
    event = {"ref": "ops.a", "kinds": [f"run_status_{kind}" for kind in kinds]}
    operations: list[Mapping[str, Any]] = [
        {"name": "a", **JOB},
        {"name": "b", **JOB, "events": [event], **own},
    ]
    written = {"component": {"run": {"kind": "dag", "operations": operations}}}
    return read_graph(compile_operation(parse_operation(written)).nodes)


def test_an_operation_starts_beside_the_one_whose_start_it_waits_for() -> None:
    graph = waiting("running")
    assert progress(graph, Children(".."), {}).start == (0,)
    assert progress(graph, Children("r."), {0: Child("r")}).start == ()
    assert progress(graph, Children("r."), {0: Child("r", is_running=True)}).start == (1,)


def test_the_trigger_does_not_ask_how_an_event_s_operation_ended() -> None:
    assert progress(waiting("done"), Children("f."), {}).start == (1,)
    assert progress(waiting("failed"), Children("f."), {}).start == (1,)
    named = waiting("done", dependencies=["a"])
    assert progress(named, Children("f."), {}).children.states == "fu"


def test_what_can_no_longer_happen_is_not_waited_for() -> None:
    step = progress(waiting("failed"), Children("s."), {})
    assert step.children.states == "su"
    assert step.is_over


def test_events_of_others_than_siblings_and_of_other_kinds_are_refused_by_name() -> None:
    written = [
        {"ref": "runs.0", "kinds": ["run_status_done"]},
        {"ref": "ops.a", "kinds": ["run_status_done", "run_new_artifacts"]},
        {"ref": "ops.a", "kinds": list(KINDS)},
    ]
    problems = list(check_events(written, "events"))
    assert [one.path for one in problems] == ["events[0].ref", "events[1].kinds"]
    assert "'run_new_artifacts'" in problems[1].message
