"""The graph of a pipeline: graph/dag.yaml -> graph.dot, graph.mermaid and graph.json.

`make golden` writes them; the diff is the review.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from opstrand.cli import main

HERE = Path(__file__).parent / "graph"


@pytest.mark.parametrize("form", ["dot", "mermaid", "json"])
def test_the_graph_is_as_it_was(form: str, capfd: pytest.CaptureFixture[str]) -> None:
    code = main(["render", "-f", str(HERE / "dag.yaml"), "--stage", "graph", "-o", form])
    shown = capfd.readouterr()
    assert code == 0, shown.err
    golden = HERE / f"graph.{form}"
    if os.environ.get("OPSTRAND_GOLDEN") == "write":
        golden.write_text(shown.out)
    assert shown.out == golden.read_text()


def test_every_edge_is_between_operations_of_its_level() -> None:
    levels = [json.loads((HERE / "graph.json").read_text())]
    while levels:
        level = levels.pop()
        names = {one["name"] for one in level["operations"]}
        ends = {edge[end] for edge in level["edges"] for end in ("upstream", "downstream")}
        assert ends <= names
        levels += [one for one in level["operations"] if "operations" in one]
