"""What a run may spend on its decisions."""

from __future__ import annotations

import pytest
from tests.support.builders import body

from opstrand.controller.decision import find_version


@pytest.mark.parametrize(
    ("states", "generation", "is_new"),
    [("....", 1, False), ("r...", 1, True), ("sw..", 1, True), ("....", 2, True)],
)
def test_a_pipeline_has_an_allowance_for_each_of_its_runs(
    states: str, generation: int, is_new: bool
) -> None:
    first = body(status={"children": {"states": "...."}})
    later = body(status={"children": {"states": states}}, generation=generation)
    assert (find_version(later) != find_version(first)) == is_new


def test_the_allowance_of_any_other_run_starts_again_with_its_spec_alone() -> None:
    assert find_version(body()) == find_version(body(status={"phase": "Running"}))
