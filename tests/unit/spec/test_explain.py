"""Help on fields, made of the models."""

from __future__ import annotations

import pytest

from opstrand.errors import SpecError
from opstrand.spec.explain import FieldHelp, explain
from opstrand.spec.operation import Operation
from opstrand.spec.shape import fields_of


@pytest.mark.parametrize(
    ("path", "kind", "default"),
    [
        ("termination.maxRetries", "whole number or template", "0"),
        ("trigger", "all_succeeded | all_failed | all_done | one_succeeded | one_failed | one_done or template", "all_succeeded"),
        ("run.init[0].file.content", "text", "required"),
        ("run.init.file", "mapping or template", ""),
        ("component.inputs.name", "text", "required"),
        ("run", "mapping with a kind", ""),
        ("run.dag.operations.dependencies", "list of text or template", ""),
        ("matrix.grid.numRuns", "whole number", ""),
        ("run.container.env", "list of Kubernetes EnvVar", ""),
        ("env", "mapping of names to text", ""),
        ("mount", "list of text or mapping", ""),
    ],
)
def test_a_field_says_what_it_takes(path: str, kind: str, default: str) -> None:
    found = explain(path)
    assert (found.type, found.default) == (kind, default)
    assert found.meaning


def test_the_root_lists_every_key_with_its_meaning() -> None:
    assert dict(explain("").fields) == {key: info.description for key, (_, info) in fields_of(Operation).items()}


def test_an_unknown_field_names_the_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean 'image'") as caught:
        explain("run.container.imag")
    assert caught.value.problems[0].path == "run.container.imag"


def test_every_path_that_is_listed_can_be_explained() -> None:
    todo, seen = [""], 0
    while todo:
        path = todo.pop()
        found = explain(path)
        assert isinstance(found, FieldHelp)
        seen += 1
        if path.count(".") < 2:
            todo += [f"{path}.{name}".removeprefix(".") for name, _ in found.fields]
    assert seen > 1000
