"""Which run a text names: as kubectl and `-o name` write it, or by a beginning."""

from __future__ import annotations

from typing import Any

import pytest

from opstrand.cli.cluster.lookup import choose, strip_type
from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.output.format import name_of
from opstrand.spec.crd.write import operation_crd

RUNS: list[dict[str, Any]] = [
    {"metadata": {"name": "train", "uid": "abc4" + "0" * 28}},
    {"metadata": {"name": "test", "uid": "f" * 32}},
]


def test_what_o_name_prints_names_the_run() -> None:
    assert [strip_type(name_of(run)) for run in RUNS] == ["train", "test"]


def test_every_name_that_the_crd_gives_the_type_is_understood() -> None:
    spec = operation_crd()["spec"]
    names = spec["names"]
    words = [names["singular"], names["plural"], *names["shortNames"], names["kind"]]
    for word in words:
        for end in ("", f".{spec['group']}", f".v1.{spec['group']}"):
            assert strip_type(f"{word}{end}/train") == "train"


@pytest.mark.parametrize(
    ("text", "path"),
    [("flow/train", "flow/train"), ("op/flow/train", "flow/train"), ("a/b/0", "a/b/0")],
)
def test_a_pipeline_and_its_operation_name_a_run(text: str, path: str) -> None:
    assert strip_type(text) == path


@pytest.mark.parametrize("text", ["op/", "/train", "op/a/", "a//b", "op.other.dev/train"])
def test_another_type_names_no_run(text: str) -> None:
    with pytest.raises(CliError, match="expected NAME, ") as caught:
        strip_type(text)
    assert caught.value.code is ExitCode.NOT_FOUND


@pytest.mark.parametrize(
    ("text", "found"),
    [("tr", "train"), ("te", "test"), ("abc4", "train"), ("ABC4", "train"), ("test", "test")],
)
def test_a_unique_beginning_is_enough(text: str, found: str) -> None:
    assert choose(text, RUNS, "p")["metadata"]["name"] == found


@pytest.mark.parametrize(
    ("text", "code"),
    [("t", ExitCode.USAGE), ("abc", ExitCode.NOT_FOUND), ("", ExitCode.NOT_FOUND)],
)
def test_what_is_shared_or_too_short_names_none(text: str, code: ExitCode) -> None:
    with pytest.raises(CliError) as caught:
        choose(text, RUNS, "p")
    assert caught.value.code is code
