"""Pipelines beyond the vectors: size, cycles, all problems at once, messages that name the
operation.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import RUN, pipeline

from opstrand.core.compiling.compile import compile_operation
from opstrand.core.pipelines.graph import find_cycles, topological_stages
from opstrand.errors import SpecError
from opstrand.spec.polyaxonfile import parse_operation


def refuse(written: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(SpecError) as caught:
        compile_operation(parse_operation(written))
    return [(problem.path, problem.message) for problem in caught.value.problems]


def test_a_deep_chain_is_no_trouble() -> None:
    stages = topological_stages({f"n{i}": {f"n{i - 1}"} if i else set() for i in range(5000)})
    assert len(stages) == 5000


def test_all_problems_come_at_once_with_the_nearest_name() -> None:
    found = refuse(
        pipeline(
            {"name": "train", "run": RUN},
            {"name": "eval", "run": RUN, "dependencies": ["trian"]},
            {"name": "late", "run": RUN, "schedule": {"kind": "cron", "cron": "@daily"}},
            {"name": "used", "dagRef": "nobody"},
            {"name": "train", "run": RUN},
        )
    )
    assert [path for path, _ in found] == [
        "run.operations[2].schedule",
        "run.operations[3].dagRef",
        "run.operations[4].name",
        "run.operations[1].dependencies[0]",
    ]
    assert "did you mean 'train'" in found[3][1]


def test_a_cycle_is_shown_as_the_way_around_it() -> None:
    ((_, message),) = refuse(
        pipeline(
            {"name": "a", "run": RUN, "dependencies": ["c"]},
            {"name": "b", "run": RUN, "dependencies": ["a"]},
            {"name": "c", "run": RUN, "dependencies": ["b"]},
            {"name": "behind", "run": RUN, "dependencies": ["c"]},
        )
    )
    assert message == "the operations wait for each other: a → b → c → a"


def test_every_cycle_is_reported() -> None:
    waits = {"a": ["b"], "b": ["a"], "c": ["c"], "d": ["a", "c"]}
    problems = refuse(
        pipeline(
            *(
                {"name": name, "dependencies": upstreams, "hubRef": "x"}
                for name, upstreams in waits.items()
            )
        )
    )
    assert problems == [
        ("run.operations[0]", "the operations wait for each other: a → b → a"),
        ("run.operations[2]", "'c' depends on itself"),
    ]


def test_a_problem_in_an_inner_pipeline_has_its_whole_path() -> None:
    inner = {
        "run": {"kind": "dag", "operations": [{"name": "x", "run": RUN, "dependencies": ["outer"]}]}
    }
    ((path, _),) = refuse(pipeline({"name": "outer", "component": inner}))
    assert path == "run.operations[0].run.operations[0].dependencies[0]"


def test_a_template_in_place_of_operations_is_validated_later() -> None:
    assert (
        compile_operation(
            parse_operation({"component": {"run": {"kind": "dag", "operations": "{{ ops }}"}}})
        ).kind
        == "dag"
    )


_graphs = st.dictionaries(
    st.sampled_from("abcdefgh"), st.frozensets(st.sampled_from("abcdefgh"), max_size=3), max_size=8
)


@given(_graphs)
def test_every_graph_is_sorted_or_has_a_cycle(graph: dict[str, frozenset[str]]) -> None:
    stages = topological_stages(graph)
    placed = [name for stage in stages for name in stage]
    cycle = next(find_cycles(graph), [])
    assert (sorted(placed) == sorted(graph)) == (cycle == [])
    place = {name: index for index, stage in enumerate(stages) for name in stage}
    for name in placed:
        assert all(place[other] < place[name] for other in graph[name] if other in graph)
    for earlier, later in pairwise(cycle):
        assert earlier in graph[later]


@given(_graphs)
def test_cycles_share_no_name_and_leave_none_behind(graph: dict[str, frozenset[str]]) -> None:
    found = [cycle[1:] for cycle in find_cycles(graph)]
    on_one = [name for cycle in found for name in cycle]
    assert len(set(on_one)) == len(on_one)
    rest = {name: before - set(on_one) for name, before in graph.items() if name not in on_one}
    assert list(find_cycles(rest)) == []


def test_a_component_counts_in_every_operation_that_uses_it() -> None:
    component = {
        "name": "c",
        "inputs": [{"name": f"i{n}", "value": 1} for n in range(500)],
        "run": {"kind": "job", "container": {"image": "b"}},
    }
    run = {
        "kind": "dag",
        "components": [component],
        "operations": [{"name": f"o{n}", "dagRef": "c"} for n in range(500)],
    }
    with pytest.raises(SpecError) as caught:
        compile_operation(parse_operation({"component": {"run": run}}))
    assert [(one.reason, one.path) for one in caught.value.problems] == [
        ("TooLarge", "run.operations")
    ]
