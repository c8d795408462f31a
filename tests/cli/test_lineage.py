"""The graph of runs: directions and depth; cycles and lost runs do no harm."""

from __future__ import annotations

from typing import Any

import pytest

from opstrand.cli.output.describe import describe_run
from opstrand.cli.output.lineage import Graph, find_downstream


def run(name: str, *upstream: str) -> dict[str, Any]:
    edges = [
        {"uuid": one, "name": one, "kind": "run", "values": {"p": "outputs.x"}} for one in upstream
    ]
    return {
        "metadata": {"name": name, "uid": name},
        "status": {"phase": "Succeeded", "upstream": edges},
    }


RUNS = [run("a"), run("b", "a"), run("c", "b", "gone"), run("d", "c"), run("alone")]
GRAPH = Graph.of(RUNS)


@pytest.mark.parametrize(
    ("up", "down", "depth", "names"),
    [
        (True, False, 9, "abc gone"),
        (False, True, 9, "cd"),
        (True, True, 1, "bcd gone"),
        (True, True, 9, "abcd gone"),
    ],
)
def test_what_is_around_a_run(up: bool, down: bool, depth: int, names: str) -> None:
    letters, _, gone = names.partition(" ")
    assert set(GRAPH.around("c", up=up, down=down, depth=depth).names) == {
        *letters,
        *([gone] if gone else []),
    }


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
    assert circle.as_tree("x").splitlines() == [
        "x (Succeeded)",
        "`<- y (Succeeded)  p = outputs.x",
        "   `<- x (Succeeded)  p = outputs.x  (see above)",
        "`-> y (Succeeded)  p = outputs.x",
        "   `-> x (Succeeded)  p = outputs.x  (see above)",
    ]


def test_runs_that_share_their_upstreams_are_shown_with_them_once() -> None:
    """Each run joins all runs before it: the ways from the last to the first are 2 to the power of
    their number.
    """
    runs = [
        run(f"r{number}", *(f"r{earlier}" for earlier in range(number))) for number in range(40)
    ]
    lines = Graph.of(runs).around("r39", up=True, down=True, depth=99).as_tree("r39").splitlines()
    assert len(lines) == 1 + 40 * 39 // 2
    assert lines[1:3] == ["|<- r0 (Succeeded)  p = outputs.x", "|<- r1 (Succeeded)  p = outputs.x"]
    assert sum(line.endswith("(see above)") for line in lines) == sum(range(1, 38))


def test_a_long_chain_is_no_trouble() -> None:
    runs = [run("r0"), *(run(f"r{number}", f"r{number - 1}") for number in range(1, 2000))]
    assert (
        len(
            Graph.of(runs)
            .around("r1999", up=True, down=False, depth=2000)
            .as_tree("r1999")
            .splitlines()
        )
        == 2000
    )


def test_a_link_of_another_kind_says_which() -> None:
    joined = run("b", "a")
    joined["status"]["upstream"][0]["kind"] = "join"
    assert (
        Graph.of([run("a"), joined]).as_tree("a")
        == "a (Succeeded)\n`-> b (Succeeded)  p = outputs.x  [join]"
    )


def test_a_name_does_not_drive_the_terminal() -> None:
    asked = {"uuid": "b", "name": "b", "kind": "run", "values": {"p": "outputs.\x1b[2J"}}
    runs = [
        {
            "metadata": {"name": "a", "uid": "a"},
            "status": {"phase": "Succeeded", "upstream": [asked]},
        }
    ]
    graph = Graph.of(runs)
    assert "\x1b" not in graph.as_tree("a") + graph.as_dot()


def test_downstream() -> None:
    assert [one["metadata"]["name"] for one in find_downstream(RUNS[0], RUNS)] == ["b"]


def test_dot_quotes_what_a_name_may_hold() -> None:
    assert '"a\\"b" [label="a\\"b (Succeeded)"];' in Graph.of([run('a"b')]).as_dot()


def test_what_was_made_of_a_run_is_below_it_with_how() -> None:
    first = "a" * 32
    again, copy = run("again"), run("copy")
    for made in (again, copy):
        made["metadata"]["annotations"] = {"opstrand.dev/restart-of": first}
    copy["metadata"]["annotations"]["opstrand.dev/copied"] = "{}"
    copy["status"]["upstream"] = [{"uuid": first, "kind": "copy"}]
    graph = Graph.of([run(first), again, copy])
    assert graph.as_tree(first).splitlines() == [
        f"{first} (Succeeded)",
        "|-> again (Succeeded)  [restart]",
        "`-> copy (Succeeded)  [copy]",
    ]


def test_get_shows_the_original_of_a_copy_by_its_uuid() -> None:
    first = "a" * 32
    made = {
        "metadata": {"name": "copy", "namespace": "ns", "uid": "u"},
        "spec": {},
        "status": {"phase": "Running", "upstream": [{"uuid": first, "kind": "copy"}]},
    }
    shown = describe_run(made).partition("upstream:\n")[2]
    assert shown.splitlines()[1].split() == ["-", "copy", first]
