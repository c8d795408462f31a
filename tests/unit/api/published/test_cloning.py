"""Restart and copy, as the published client sends them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from tests.support.running_run import RUN, UUID, operation

from opstrand.runs.memory import MemoryRuns

Api = TestClient[Any, Any]
SPEC: dict[str, Any] = {
    "component": {
        "inputs": [{"name": "lr", "type": "float", "value": 0.1}],
        "run": {"kind": "job", "container": {"image": "a", "args": ["{{ lr }}"]}},
    },
    "params": {"lr": {"value": 0.2}},
    "control": {"stop": True},
}


async def put(runs: MemoryRuns, spec: dict[str, Any] = SPEC, **status: Any) -> None:
    made = operation(phase="Failed")
    made["spec"] = spec
    made["status"] |= status
    await runs.put(made)


async def clone(api: Api, runs: MemoryRuns, path: str, **body: Any) -> dict[str, Any]:
    answer = await api.post(f"{RUN}/{path}", json=body)
    assert answer.status == 201, await answer.text()
    found = await runs.get("quick-start", (await answer.json())["uuid"])
    assert found["metadata"]["annotations"]["opstrand.dev/restart-of"] == UUID
    return dict(found)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {"params": {"lr": {"value": 0.2}}}),
        ({"name": "again", "tags": ["x"]}, {"name": "again", "tags": ["x"]}),
        (
            {"content": json.dumps({"isPreset": True, "params": {"lr": {"value": 0.3}}})},
            {"params": {"lr": {"value": 0.3}}, "component": SPEC["component"]},
        ),
        (
            {
                "content": json.dumps(
                    {"component": {"run": {"kind": "job", "container": {"image": "b"}}}}
                ),
                "meta_info": {"recompile": True},
            },
            {"component": {"run": {"kind": "job", "container": {"image": "b"}}}, "params": None},
        ),
    ],
)
async def test_a_restart_has_the_same_operation_with_the_changes_over_it(
    api: Api, runs: MemoryRuns, body: dict[str, Any], expected: dict[str, Any]
) -> None:
    await put(runs)
    spec = (await clone(api, runs, "restart", **body))["spec"]
    assert {key: spec.get(key) for key in expected} == expected
    assert "control" not in spec


async def test_a_changed_param_is_validated_as_a_typed_one(api: Api, runs: MemoryRuns) -> None:
    await put(runs)
    content = json.dumps({"isPreset": True, "params": {"lr": {"value": "fast"}}})
    refusal = await api.post(RUN + "/restart", json={"content": content})
    assert refusal.status == 400
    assert "params.lr" in (await refusal.json())["detail"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (None, {}),
        ({"dirs": [UUID]}, {"dirs": [""]}),
        ({"dirs": [f"{UUID}/outputs/m"]}, {"dirs": ["outputs/m"]}),
        ({"files": [f"{UUID}/a"], "dirs": None}, {"files": ["a"]}),
    ],
)
async def test_a_copy_says_which_files_it_gets(
    api: Api, runs: MemoryRuns, asked: Any, expected: dict[str, Any]
) -> None:
    await put(runs)
    facts = {} if asked is None else {"meta_info": {"copy_artifacts": asked}}
    made = await clone(api, runs, "copy", **facts)
    assert json.loads(made["metadata"]["annotations"]["opstrand.dev/copied"]) == expected
    clones = (await (await api.get(RUN + "/lineage/clones")).json())["results"]
    assert [one["cloning_kind"] for one in clones] == ["copy"]


@pytest.mark.parametrize(
    ("kind", "asked", "expected"),
    [
        ("dag", {}, "a run of kind dag has no files of its own to copy: restart it"),
        ("job", {"dirs": [f"{'0' * 32}/outputs"]}, "expected a path after the run's uuid"),
        ("job", {"files": [f"{UUID}/../x"]}, "expected JSON with lists of paths"),
    ],
)
async def test_what_cannot_be_copied_is_refused(
    api: Api, runs: MemoryRuns, kind: str, asked: dict[str, Any], expected: str
) -> None:
    await put(runs, kind=kind)
    refusal = await api.post(RUN + "/copy", json={"meta_info": {"copy_artifacts": asked}})
    assert (refusal.status, expected in (await refusal.json())["detail"]) == (400, True)
