"""`ref: dag` through the real runtime: a pipeline starts, makes a run of its operation, and that
run reads the value of its pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.support.builders import SETTINGS
from tests.support.memory_cluster import MemoryCluster
from tests.unit.conformance.vectors import CLASSES, load, same, select, wanted

from opstrand.core.resolving.upstream import read_upstream
from opstrand.types import Manifest

DAG = load("refs")["fixtureDag"]
INPUTS = {"lr": 0.1, "zero": 0, "empty": "", "no": False, "nested": {"a": [1]}}
TYPES = {"lr": "float", "zero": "int", "empty": "str", "no": "bool", "nested": "dict"}


def write_pipeline(param: Mapping[str, Any], inputs: Any = ()) -> dict[str, Any]:
    """Return a pipeline with the fixture's inputs, whose one operation has this param `p`."""
    run = {"kind": "job", "container": {"image": "busybox", "command": ["true"]}}
    reader = {
        "name": "reader",
        "params": {"p": dict(param)},
        "component": {"inputs": list(inputs), "run": run},
    }
    declared = [{"name": name, "type": TYPES[name], "value": one} for name, one in INPUTS.items()]
    return {"component": {"inputs": declared, "run": {"kind": "dag", "operations": [reader]}}}


async def run_pipeline(spec: Mapping[str, Any]) -> tuple[dict[str, Any], Manifest]:
    """Return what its operation read, or the error, and the pipeline."""
    with MemoryCluster() as cluster:
        await cluster.create(DAG["name"], spec, uid=DAG["uuid"])
        await cluster.settle()
        status = cluster.status(DAG["name"])
        if status["reason"] in ("PipelineRunning", "ChildFailed"):
            status = (await cluster.children(DAG["name"]))["reader"]["status"]
        if status["phase"] == "Failed":
            return {"error": CLASSES.get(status["reason"], status["reason"])}, {}
        assert status["phase"] == "Starting", status
        return {"value": status["inputs"]["p"]}, cluster.get(DAG["name"])


OF_DAG = [one for one in select("refs", "refs-r") if one.values[0]["ref"] == "dag"]
WRITTEN = [
    one
    for one in select("refs", "refs-s")
    if isinstance(one.values[0]["param"], dict) and one.values[0]["param"].get("ref") == "dag"
]


@pytest.mark.parametrize("vector", OF_DAG)
async def test_an_operation_reads_of_its_pipeline_what_the_vector_promises(
    vector: dict[str, Any],
) -> None:
    param = {"ref": "dag", "value": vector["value"], "contextOnly": True}
    found, pipeline = await run_pipeline(write_pipeline(param))
    expected = vector["expect"]
    if str(expected.get("value", "")).startswith("<the pipeline's"):
        known = read_upstream(pipeline, SETTINGS).globals
        assert known["status"] == "running"
        _, _, name = vector["value"].partition(".")
        whole = {key: known[key] for key in load("refs")["fixtureGlobals"]}
        expected = {"value": known[name] if name else whole}
    assert found.get("error") == expected.get("error")
    assert same(found.get("value"), expected.get("value")), found


@pytest.mark.parametrize("vector", WRITTEN)
async def test_a_pipeline_refuses_a_ref_to_itself_before_anything_runs(
    vector: dict[str, Any],
) -> None:
    """What is accepted gets as far as the value, which this pipeline may not have."""
    param = vector["param"] if "inputs" in vector else {"contextOnly": True, **vector["param"]}
    found, _ = await run_pipeline(write_pipeline(param, vector.get("inputs", ())))
    is_accepted = found.get("error") not in ("schema", "undeclared")
    assert any(is_accepted == expected["accepted"] for expected in wanted(vector)), found
