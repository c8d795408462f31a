"""Help on fields, generated from the models."""

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
        (
            "trigger",
            "all_succeeded | all_failed | all_done | one_succeeded | one_failed | one_done or "
            "template",
            "all_succeeded",
        ),
        ("run.init[0].file.content", "text", "required"),
        ("run.init.file", "mapping or template", ""),
        ("component.inputs.name", "text", "required"),
        ("run", "mapping with a kind", ""),
        ("run.dag.operations.dependencies", "list of text or template", ""),
        ("matrix.grid.numRuns", "whole number", ""),
        ("run.container.env", "list of Kubernetes EnvVar", ""),
        ("env", "mapping of names to text", ""),
        ("mount", "list of (text or mapping)", ""),
        ("params", "mapping of names to values, or to mappings with these keys", ""),
        ("runPatch", "mapping with the keys of `run`", ""),
        (
            "run.kind",
            "job | service | dag | mpijob | tfjob | pytorchjob | raycluster | daskcluster",
            "required",
        ),
        (
            "matrix.kind",
            "mapping | grid | random | bayes | hyperband | tpe | iterative",
            "required",
        ),
        ("run.service.ports", "list of whole number or template", ""),
        ("cache.sections", "list of (init | connections | containers) or template", "all"),
        ("cmd", "text or list of text", ""),
        ("schedule.startAt", "date and time or template", ""),
        ("inputs.validation.gt", "number", ""),
        ("run.container.image", "text", ""),
        ("run.container.volumeMounts.mountPath", "text", "required"),
        ("run.container.readinessProbe.periodSeconds", "whole number", ""),
        ("run.container.resources.limits", "mapping of names to quantity", ""),
        ("run.container.command", "list of text", ""),
    ],
)
def test_a_field_says_what_it_takes(path: str, kind: str, default: str) -> None:
    found = explain(path)
    assert (found.type, found.default) == (kind, default)
    assert found.meaning


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("params.lr", "mapping"),
        ("params.lr.value", "anything"),
        ("inputs.lr.type", "text"),
        ("matrix.params.lr.value", "list, mapping, or text such as 0:1:0.1"),
        ("matrix.values[0].lr", "anything"),
        ("joins[0].params.x.value", "anything"),
        ("run.workers.small.replicas", "whole number or template"),
        ("run.operations[3].component.run.init[0].file.content", "text"),
        ("runPatch.container.image", "text"),
        ("component.runPatch.environment", "mapping or template"),
        ("run.container.resources.limits.cpu", "quantity"),
        ("run.environment.labels.team", "anything"),
        ("env.LEVEL", "text"),
    ],
)
def test_a_path_that_an_error_shows_can_be_explained(path: str, kind: str) -> None:
    found = explain(path)
    assert found.type == kind
    assert found.meaning


def test_what_has_no_keys_says_so() -> None:
    with pytest.raises(SpecError, match="text has no keys, found 'first'"):
        explain("name.first")


def test_the_root_lists_every_key_with_its_meaning() -> None:
    assert dict(explain("").fields) == {
        key: info.description for key, (_, info) in fields_of(Operation).items()
    }


def test_an_unknown_field_names_the_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean 'image'") as caught:
        explain("run.container.imag")
    assert caught.value.problems[0].path == "run.container.imag"
    with pytest.raises(SpecError, match="did you mean 'type'"):
        explain("inputs.tpye")


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
