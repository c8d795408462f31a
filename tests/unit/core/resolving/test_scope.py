"""What `ops.NAME` and `dag` mean inside a pipeline."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.builders import JOB, SETTINGS, body, operation, see

from opstrand.core import names
from opstrand.core.identity import read_identity
from opstrand.core.packed import LARGE, pack
from opstrand.core.pipelines.children import render_child
from opstrand.core.resolving.refs import Ref
from opstrand.core.resolving.resolve import Resolved, resolve
from opstrand.core.resolving.scope import check_sibling, find_pipeline, sibling_name
from opstrand.core.resolving.upstream import read_upstream
from opstrand.errors import SpecError

DAG = body(status={"kind": "dag"}, name="nightly", uid="dag-uid")


def child(parent: Any = DAG, key: str = "b", uid: str = "b-uid", **made: Any) -> dict[str, Any]:
    manifest = render_child(parent, key, {"name": key, **JOB}, **made)
    metadata = {**manifest["metadata"], "uid": uid, "resourceVersion": "1"}
    return {**manifest, "metadata": metadata}


def find_in(*bodies: dict[str, Any]) -> Any:
    return {one["metadata"]["uid"]: one for one in bodies}.get


def test_the_pipeline_of_a_child_is_its_owner() -> None:
    assert find_pipeline(child(), find_in(DAG)) is DAG
    assert find_pipeline(DAG, find_in(DAG)) is None
    assert find_pipeline(child(), find_in()) is None


def test_the_runs_of_a_matrix_belong_to_the_pipeline_around_it() -> None:
    matrix = {**child(key="search", uid="matrix-uid"), "status": {"kind": "matrix"}}
    assert find_pipeline(child(matrix, "0"), find_in(DAG, matrix)) is DAG


def test_the_nearest_pipeline_counts() -> None:
    inner = {**child(key="inner", uid="inner-uid"), "status": {"kind": "dag"}}
    assert find_pipeline(child(inner), find_in(DAG, inner)) is inner


def test_owners_in_a_circle_lead_nowhere() -> None:
    loop = {**child(uid="dag-uid"), "status": {"kind": "job"}}
    assert find_pipeline(loop, find_in(loop)) is None


def test_a_sibling_is_the_run_that_the_pipeline_made() -> None:
    sibling, ref = child(key="a", uid="a-uid"), Ref("ops", "a")
    assert sibling["metadata"]["name"] == sibling_name(DAG, "a")
    assert check_sibling(sibling, DAG, child(), ref) is sibling
    foreign = {**sibling, "metadata": {**sibling["metadata"], "ownerReferences": []}}
    assert check_sibling(foreign, DAG, child(), ref) is None
    assert check_sibling(None, DAG, child(), ref) is None


@pytest.mark.parametrize(
    "annotation", ["", "{", "[]", "3", '{"a": 3}', '{"a": "running"}', "[" * 9999]
)
def test_an_odd_annotation_stands_for_no_run(annotation: str) -> None:
    odd = child()
    odd["metadata"]["annotations"] = {names.WITHOUT_RUN: annotation}
    assert check_sibling(None, DAG, odd, Ref("ops", "a")) is None


def test_a_run_of_no_pipeline_has_no_siblings_by_annotation() -> None:
    forged = body(annotations={names.WITHOUT_RUN: '{"a": "skipped"}'})
    assert check_sibling(None, DAG, forged, Ref("ops", "a")) is None


def ask(value: str, status: str, **own: Any) -> Any:
    """Return what a param reads of the operation `a`, which ended so without a run."""
    here, ref = child(without_run={"a": status}), Ref("ops", "a")
    found = check_sibling(None, DAG, here, ref)
    assert found is not None
    compiled = operation(params={"x": {"ref": "ops.a", "value": value, "contextOnly": True}}, **own)
    identity = read_identity({**here}, SETTINGS)
    resolved = resolve(compiled, identity, {ref: read_upstream(found, SETTINGS)})
    assert isinstance(resolved, Resolved)
    return resolved.inputs["x"], resolved.edges


@pytest.mark.parametrize("status", ["skipped", "upstream_failed", "stopped"])
def test_of_an_operation_without_a_run_the_status_and_the_name_are_known(status: str) -> None:
    assert ask("globals.status", status) == (status, ())
    assert ask("globals.name", status) == ("a", ())


@pytest.mark.parametrize(
    "value",
    ["globals", "globals.uuid", "globals.created_at", "inputs.x", "outputs", "artifacts", "io"],
)
@pytest.mark.parametrize(
    ("status", "reason"), [("skipped", "UpstreamSkipped"), ("upstream_failed", "UpstreamFailed")]
)
def test_everything_else_of_it_is_missing_at_once(value: str, status: str, reason: str) -> None:
    with pytest.raises(SpecError) as caught:
        ask(value, status, trigger="all_done")
    assert caught.value.reason == reason


def test_a_child_is_not_independent() -> None:
    assert read_identity(DAG, SETTINGS).is_independent
    assert not read_identity({**child()}, SETTINGS).is_independent
    assert see(child()).prepared


def test_a_large_child_keeps_what_says_whose_it_is() -> None:
    large = child(without_run={"a": "skipped"})
    large["spec"] = {**large["spec"], "description": "x" * LARGE}
    head = pack(large)
    assert "description" not in head["spec"]
    assert find_pipeline(head, find_in(DAG)) is DAG
    assert check_sibling(None, DAG, head, Ref("ops", "a")) is not None
    for label in (names.PIPELINE, names.CONTROLLER, names.OP):
        assert head["metadata"]["labels"][label] == large["metadata"]["labels"][label]
