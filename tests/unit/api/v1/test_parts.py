"""What the pages ask of a run besides the run itself: its members, lineage, content, series and
actions.
"""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from tests.support.builders import JOB, child_of, parent_of, pipeline

from opstrand.core.names import run_uuid
from opstrand.runs.memory import MemoryRuns

RUNS = "/apis/runs.opstrand.dev/v1alpha1/namespaces/team/runs"
Client = TestClient[Any, Any]
FIRST, SECOND = ({"name": name, **JOB} for name in ("first", "second"))


async def get(api: Client, path: str) -> tuple[int, Any]:
    async with api.get(f"{RUNS}/{path}") as answer:
        return answer.status, await answer.json()


async def ask(api: Client, path: str, body: Any = None) -> tuple[int, Any]:
    async with api.post(f"{RUNS}/{path}", json=body or {}) as answer:
        return answer.status, await answer.json()


async def test_a_pipeline_has_every_operation_also_one_without_a_run(
    api: Client, runs: MemoryRuns
) -> None:
    flow = parent_of("flow", "s.", pipeline(FIRST, {**SECOND, "dependencies": ["first"]}))
    made = child_of(flow, "first", "Succeeded", duration=3, outputs={"n": 1})
    for body in (flow, made):
        body["metadata"] |= {"namespace": "team", "creationTimestamp": "2026-01-01T12:00:00Z"}
        await runs.put(body)
    status, found = await get(api, "flow/members")
    assert status == 200
    first, second = found["items"]
    assert first["uuid"] == run_uuid(made["metadata"]["uid"])
    assert (first["letter"], first["phase"], first["outputs"]) == ("s", "Succeeded", {"n": 1})
    assert (second["letter"], second["phase"]) == (".", "not created")
    assert second["upstreams"] == ["first"]
    assert "uuid" not in second


async def test_a_job_has_no_members(api: Client) -> None:
    assert (await get(api, "run-1/members"))[1]["items"] == []


async def test_lineage_goes_both_ways_to_a_depth(api: Client, runs: MemoryRuns) -> None:
    """run-1 -> run-2 -> run-3; what run-1 took values from is gone."""
    for upstream, number in ((0, 1), (1, 2), (2, 3)):
        body = runs.bodies["team", f"run-{number}"]
        edge = {
            "uuid": f"{upstream:032}" if not upstream else uuid_of(runs, upstream),
            "name": f"run-{upstream}",
            "kind": "run",
            "values": {"x": "outputs.n"},
        }
        await runs.put({**body, "status": {**body["status"], "upstream": [edge]}})
    _, near = await get(api, "run-2/lineage?depth=1")
    assert {one["name"] for one in near["runs"]} == {"run-1", "run-2", "run-3"}
    assert [one["values"] for one in near["edges"]] == [{"x": "outputs.n"}] * 2
    _, far = await get(api, "run-3/lineage?depth=10")
    names = {one["name"]: one.get("phase") for one in far["runs"]}
    assert names == {
        "run-0": None,
        "run-1": "Succeeded",
        "run-2": "Succeeded",
        "run-3": "Succeeded",
    }
    assert far["isCut"] is False


def uuid_of(runs: MemoryRuns, number: int) -> str:
    return str(runs.bodies["team", f"run-{number}"]["status"]["uuid"])


async def test_the_content_is_yaml_without_what_was_added(api: Client, runs: MemoryRuns) -> None:
    body = runs.bodies["team", "run-1"]
    await runs.put({**body, "spec": {**JOB, "control": {"stop": True}}})
    _, found = await get(api, "run-1/content")
    assert found["written"].startswith("component:\n  run:\n    kind: job\n")
    assert "control" not in found["written"]
    assert "compiled_operation" in found["compiled"]


async def test_a_list_is_selected_by_the_query_language(api: Client) -> None:
    async with api.get(RUNS, params={"query": "status:running", "values": "true"}) as answer:
        [running] = (await answer.json())["items"]
    assert running["metadata"]["name"] == "run-7"
    async with api.get(RUNS, params={"query": "outputs.n:>4", "values": "true"}) as answer:
        items = (await answer.json())["items"]
    assert [one["status"]["outputs"]["n"] for one in items] == [6, 5]
    async with api.get(RUNS, params={"query": "colour:red"}) as answer:
        assert answer.status == 400
        assert "colour" in (await answer.json())["message"]


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("run-7", {"stop", "restart", "delete"}), ("run-1", {"resume", "restart", "delete"})],
)
async def test_actions_say_what_may_be_asked_now(api: Client, name: str, allowed: set[str]) -> None:
    _, found = await get(api, f"{name}/actions")
    assert {one["name"] for one in found["items"] if one["isAllowed"]} == allowed
    assert all(one["isAllowed"] or one["refusal"] for one in found["items"])


async def test_an_action_is_stored(api: Client, runs: MemoryRuns) -> None:
    assert await ask(api, "run-7/actions/stop") == (
        200,
        {"apiVersion": "runs.opstrand.dev/v1alpha1", "kind": "ActionResult", "name": "stop"},
    )
    assert runs.bodies["team", "run-7"]["spec"]["control"] == {"stop": True}
    _, again = await ask(api, "run-1/actions/restart")
    _, made = await get(api, again["uuid"])
    assert made["metadata"]["annotations"]["opstrand.dev/restart-of"] == uuid_of(runs, 1)
    assert (await ask(api, "run-2/actions/resume"))[0] == 200
    assert runs.bodies["team", "run-2"]["spec"]["control"]["resume"] == 1
    assert (await ask(api, "run-1/actions/delete"))[0] == 200
    assert ("team", "run-1") not in runs.bodies


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("run-1/actions/stop", "stop: The run has ended."),
        ("run-7/actions/skip", "skip: The run has started."),
        ("run-7/actions/approve", "approve: The run waits for no approval."),
        ("run-7/actions/launch", "action: 'launch' is none"),
    ],
)
async def test_an_action_that_means_nothing_is_refused(api: Client, path: str, words: str) -> None:
    status, answer = await ask(api, path)
    assert status == 400
    assert words in answer["message"]
