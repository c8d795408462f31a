"""References: which are accepted, what each value form gives, and joins over what a query finds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.conformance.vectors import classify, load, same, select, wanted

from opstrand.core.compiling.compile import compile_operation
from opstrand.core.identity import Identity
from opstrand.core.operation import CompiledOperation
from opstrand.core.resolving.joins import check_matrix, parse_joins
from opstrand.core.resolving.refs import Ref, Upstream, collect_refs
from opstrand.core.resolving.resolve import Resolved, resolve
from opstrand.errors import SpecError
from opstrand.spec.polyaxonfile import parse_operation

FILE = load("refs")
FIXTURE, GLOBALS = FILE["fixture"], FILE["fixtureGlobals"]
ME = Identity("f" * 32, "down", "demo", is_independent=False)
UP = Upstream(
    uuid=FIXTURE["uuid"],
    name=FIXTURE["name"],
    phase="Succeeded",
    globals=GLOBALS,
    inputs=FIXTURE["inputs"],
    outputs=FIXTURE["outputs"],
    artifacts=tuple(FIXTURE["artifacts"]),
    done=True,
    frozen=True,
)
DAG_UUID = FILE["fixtureDag"]["uuid"]
DAG = Upstream(
    uuid=DAG_UUID,
    name="pipe",
    phase="Running",
    globals={
        **{
            key: value.replace(FIXTURE["uuid"], DAG_UUID) if isinstance(value, str) else value
            for key, value in GLOBALS.items()
        },
        "name": "pipe",
        "status": "running",
        "finished_at": None,
        "project_uuid": "a" * 32,
    },
    inputs={"lr": 0.1, "zero": 0, "empty": "", "no": False, "nested": {"a": [1]}},
    frozen=True,
)
REFS = {"runs": f"runs.{FIXTURE['uuid']}", "ops": "ops.up", "dag": "dag"}
UPSTREAMS: dict[Ref, Upstream | None] = {
    Ref("runs", FIXTURE["uuid"]): UP,
    Ref("ops", "up"): UP,
    Ref("dag"): DAG,
}


def compile_params(
    params: Mapping[str, Any], inputs: Any = (), **operation: Any
) -> CompiledOperation:
    component = {
        "kind": "component",
        "inputs": list(inputs),
        "run": {"kind": "job", "container": {"image": "busybox"}},
    }
    return compile_operation(
        parse_operation(
            {"kind": "operation", "params": params, "component": component, **operation}
        )
    )


def validate_one(vector: Mapping[str, Any]) -> bool:
    """Return whether the operation of a static vector is accepted, without looking at any run."""
    try:
        compiled = compile_params(
            {"p": vector["param"]}, vector.get("inputs", ()), **vector.get("operation", {})
        )
        collect_refs(compiled)
        parse_joins(compiled)
        found = resolve(compiled, ME, {}, project=[])
        assert not isinstance(found, Resolved) or not compiled.params["p"].ref
    except SpecError:
        return False
    return not check_matrix(compiled.matrix)


@pytest.mark.parametrize("vector", select("refs", "refs-s"))
def test_static(vector: dict[str, Any]) -> None:
    found = validate_one(vector)
    assert any(found == expected["accepted"] for expected in wanted(vector))


def read_vector(vector: Mapping[str, Any]) -> dict[str, Any]:
    param = {"ref": REFS[vector["ref"]], "value": vector["value"]}
    inputs = [{"name": "p", "type": vector["type"]}] if "type" in vector else []
    try:
        found = resolve(compile_params({"p": param}, inputs), ME, UPSTREAMS)
    except SpecError as error:
        return {"error": classify(error)}
    assert isinstance(found, Resolved)
    assert [edge.values for edge in found.edges] == [{"p": _text_of(vector["value"])}]
    return {"value": found.inputs["p"]}


def _text_of(value: Any) -> str:
    if isinstance(value, str):
        return value.strip("{} ")
    return json.dumps(
        {("files" if key == "file" else key): entries for key, entries in value.items()}
    )


@pytest.mark.parametrize("vector", select("refs", "refs-r"))
def test_value_forms(vector: dict[str, Any]) -> None:
    found = read_vector(vector)
    expected = vector["expect"]
    if str(expected.get("value", "")).startswith("<the pipeline's"):
        section, _, name = vector["value"].partition(".")
        assert section == "globals"
        expected = {
            "value": DAG.globals[name] if name else {key: DAG.globals[key] for key in GLOBALS}
        }
    assert found.get("error") == expected.get("error")
    assert same(found.get("value"), expected.get("value"))


RUNS = [
    Upstream(
        uuid=f"{index}" * 32,
        name=f"j{index}",
        phase="Succeeded",
        globals={
            **GLOBALS,
            "uuid": f"{index}" * 32,
            "name": f"j{index}",
            "created_at": f"2026-01-01T10:0{index}:00+00:00",
        },
        inputs={"lr": index},
        outputs={"loss": 0.5 * index, **({"only": 1} if index == 0 else {})},
        artifacts=({"name": "model", "path": "outputs/model"},),
        done=True,
        frozen=True,
    )
    for index in range(2)
]


def fill(value: Any) -> Any:
    """Put the runs' real uuids into a vector."""
    text = json.dumps(value)
    for index, run in enumerate(RUNS):
        text = text.replace(f"<run{index}>", run.uuid)
    return json.loads(text)


@pytest.mark.parametrize("vector", select("refs", "refs-j"))
def test_joins(vector: dict[str, Any]) -> None:
    join = fill(vector["join"])
    others = [replace(RUNS[0], uuid="9" * 32, name="other"), *RUNS]
    compiled = compile_params(
        {}, joins=[{**join, "params": {"q": {"value": vector["value"], "contextOnly": True}}}]
    )
    found = resolve(compiled, ME, {}, project=others)
    assert isinstance(found, Resolved)
    assert same(found.inputs["q"], fill(vector["expect"]["value"]))
    chosen = [run.uuid for run in RUNS][:: -1 if join["sort"].startswith("-") else 1][
        join.get("offset") or 0 :
    ][: join.get("limit") or None]
    assert [(edge.uuid, edge.kind) for edge in found.edges] == [(uuid, "join") for uuid in chosen]
