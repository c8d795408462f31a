"""The runs below a pipeline, and their places in its file."""

from __future__ import annotations

from tests.support.builders import JOB, child_of, parent_of, pipeline

from opstrand.core import names
from opstrand.core.packed import LARGE, is_large, pack
from opstrand.runs.descendants import find_descendants, is_pipeline
from opstrand.runs.protocols import Listed
from opstrand.types import Body


def dag(name: str, *keys: str, **more: str) -> Body:
    operations = ({"name": key, **JOB} for key in keys)
    return parent_of(name, "." * len(keys), {**pipeline(*operations), **more})


DAG = dag("p", "a", "b", "grid")


def places(pipeline: Body, *runs: Body) -> dict[str, tuple[int, ...]]:
    def made_by(uid: str) -> list[Listed]:
        return [Listed(run) for run in runs if names.controller_uid(run) == uid]

    return {one.name: one.place for one in find_descendants(pipeline, made_by)}


def test_a_place_is_the_index_in_the_file_whichever_runs_there_are() -> None:
    a, b = child_of(DAG, "a"), child_of(DAG, "b")
    assert places(DAG, b) == {"b": (1,)}
    assert places(DAG, b, DAG, a) == {"a": (0,), "b": (1,)}


def test_the_runs_of_inner_pipelines_are_named_by_all_that_leads_to_them() -> None:
    grid = child_of(DAG, "grid", "Running", kind="matrix", children={"states": "..."})
    deep = child_of(grid, 2)
    assert places(DAG, child_of(DAG, "a"), grid, deep) == {"a": (0,), "grid/2": (2, 2)}


def test_what_the_file_does_not_name_comes_last() -> None:
    patched = child_of(DAG, "patched")
    name = patched["metadata"]["name"]
    assert places(DAG, child_of(DAG, "b"), patched) == {"b": (1,), name: (3,)}


def test_runs_of_others_are_not_below_it() -> None:
    other = dag("q", "a")
    assert places(DAG, child_of(other, "a"), other) == {}


def test_a_large_pipeline_is_read_from_its_whole_file() -> None:
    large = dag("p", "a", "b", description="x" * 2 * LARGE)
    packed = pack(large)
    assert is_large(packed)
    assert is_pipeline(packed)
    assert places(packed, child_of(large, "b")) == {"b": (1,)}
