"""The graph of runs: directions, depth, and that circles and lost runs do no harm."""

from __future__ import annotations

from typing import Any

import pytest

from opstrand.cli.lineage import Graph, find_downstream


def run(name: str, *upstream: str) -> dict[str, Any]:
    edges = [{"uuid": one, "name": one, "kind": "run", "values": {"p": "outputs.x"}} for one in upstream]
    return {"metadata": {"name": name, "uid": name}, "status": {"phase": "Succeeded", "upstream": edges}}


RUNS = [run("a"), run("b", "a"), run("c", "b", "gone"), run("d", "c"), run("alone")]
GRAPH = Graph.of(RUNS)


@pytest.mark.parametrize(
    ("up", "down", "depth", "names"),
    [(True, False, 9, "abc gone"), (False, True, 9, "cd"), (True, True, 1, "bcd gone"), (True, True, 9, "abcd gone")],
)
def test_what_is_around_a_run(up: bool, down: bool, depth: int, names: str) -> None:
    letters, _, gone = names.partition(" ")
    assert set(GRAPH.around("c", up=up, down=down, depth=depth).names) == {*letters, *([gone] if gone else [])}


def test_the_tree() -> None:
    assert GRAPH.around("c", up=True, down=True, depth=9).as_tree("c").splitlines() == [
        "c (Succeeded)",
        "|<- b (Succeeded)  p = outputs.x",
        "|  `<- a (Succeeded)  p = outputs.x",
        "`<- gone (gone)  p = outputs.x",
        "`-> d (Succeeded)  p = outputs.x",
    ]


def test_a_circle_ends() -> None:
    circle = Graph.of([run("x", "y"), run("y", "x")]).around("x", up=True, down=True, depth=1000)
    assert len(circle.as_tree("x").splitlines()) == 5


def test_downstream() -> None:
    assert [one["metadata"]["name"] for one in find_downstream(RUNS[0], RUNS)] == ["b"]


def test_dot_quotes_what_a_name_may_hold() -> None:
    assert '"a\\"b" [label="a\\"b (Succeeded)"];' in Graph.of([run('a"b')]).as_dot()
