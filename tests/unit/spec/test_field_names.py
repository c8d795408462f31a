"""The names that completion offers are those that `explain` shows."""

from __future__ import annotations

import pytest

from opstrand.spec.explain import explain
from opstrand.spec.field_names import FILE, find_names, make_tree, write_tree


def test_the_file_is_what_the_models_have() -> None:
    assert FILE.read_text() == write_tree(make_tree()), "run `make crds`"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "inputs",
        "params.lr",
        "run",
        "run.container.env",
        "run.job.container",
        "runPatch.init",
        "matrix.grid.params",
        "component.run.operations.train.params",
        "termination",
    ],
)
def test_the_names_below_a_path_are_its_fields(path: str) -> None:
    assert find_names(path) == [name for name, _ in explain(path).fields]


@pytest.mark.parametrize("path", ["nothing", "run.nothing.more", "name.inside"])
def test_an_unknown_path_has_no_names(path: str) -> None:
    assert find_names(path) == []
