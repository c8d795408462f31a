"""Every kind of run stands behind one interface, and nothing else knows one kind from another."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import opstrand
from opstrand.core.compiling.unsupported import RUN_KINDS
from opstrand.core.phase import MARKS, is_frozen
from opstrand.core.runtimes.registry import RUNTIMES, runtime_of

ROOT = Path(opstrand.__file__).parent
#: What gathers, applies, keeps and imitates: for every kind of run alike.
SHELL = ("controller/gather.py", "controller/apply.py", "controller/cache.py", "local/kube.py")


def test_the_kinds_that_start_are_the_kinds_that_files_may_have() -> None:
    # A matrix and a schedule make runs of the kind that their file has.
    assert set(RUNTIMES) == {*RUN_KINDS, "matrix", "schedule"}
    assert all(kind == runtime.kind for kind, runtime in RUNTIMES.items())


def test_each_kind_has_a_mark_of_its_own_by_which_a_frozen_run_is_known() -> None:
    assert {one.mark for one in RUNTIMES.values()} <= {"pod", *MARKS}
    for runtime in RUNTIMES.values():
        status = {runtime.mark: {"name": "x"}}
        assert is_frozen(status)  # type: ignore[arg-type]
        assert runtime_of(status) is runtime


def test_a_run_without_a_mark_is_read_as_a_job() -> None:
    assert runtime_of({}).kind == "job"
    assert not is_frozen({})


@pytest.mark.parametrize("file", SHELL)
def test_the_shell_names_no_kind_of_run(file: str) -> None:
    tree = ast.parse((ROOT / file).read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert not {"RUNTIMES", "runtime_of"} & names
    assert not set(RUNTIMES) & {text for text in texts if isinstance(text, str)}
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name for name in imported if name and name.startswith("opstrand.core.runtimes")}
