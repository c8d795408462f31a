"""GET and PATCH of one run: reads return what was written."""

import io
import json
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient
from tests.support.builders import JOB, child_of, parent_of, pipeline
from tests.support.running_run import RUN, UUID, operation

from opstrand.core.limits import OUTPUTS
from opstrand.runs.bodies import run_uuid
from opstrand.runs.memory import MemoryRuns

Api = TestClient[Any, Any]


async def stored(runs: MemoryRuns) -> dict[str, Any]:
    return dict((await runs.get("quick-start", UUID))["status"])


async def test_a_run_as_the_published_client_reads_it(api: Api) -> None:
    view = await (await api.get(RUN)).json()
    assert view["inputs"] == {"message": "test 1"}
    assert (view["uuid"], view["name"], view["owner"], view["project"]) == (
        UUID,
        "echo",
        "default",
        "quick-start",
    )
    assert (view["status"], view["kind"], view["is_managed"]) == ("running", "job", True)
    assert view["settings"] == {"namespace": "quick-start"}
    assert view["wait_time"] == 2.0


MATRIX = {
    "matrix": {"kind": "grid", "params": {"lr": {"kind": "choice", "value": [1, 2]}}},
    "component": {"inputs": [{"name": "lr", "type": "int"}], "run": {"kind": "job"}},
}


async def test_a_run_of_a_matrix_names_its_matrix_and_its_index(api: Api, runs: MemoryRuns) -> None:
    parent = parent_of("search", "ss", MATRIX, kind="matrix")
    child = child_of(parent, 1, "Succeeded", meta={"note": "kept"})
    views = []
    for body in (parent, child):
        body["metadata"]["namespace"] = "quick-start"
        await runs.put(body)
        views.append(await (await api.get(RUN.replace(UUID, run_uuid(body)))).json())
    matrix, view = views
    assert (matrix["kind"], matrix["runtime"], matrix["pipeline"]) == ("matrix", "grid", None)
    assert view["pipeline"] == {"uuid": matrix["uuid"], "name": "search", "kind": "matrix"}
    assert view["meta_info"] == {"iteration": 1, "note": "kept"}
    query = {"query": f"pipeline: {matrix['uuid']}, meta_info.iteration: 1"}
    found = await (await api.get(RUN.rpartition("/")[0], params=query)).json()
    assert [one["uuid"] for one in found["results"]] == [view["uuid"]]


async def test_a_run_of_a_dag_names_it(api: Api, runs: MemoryRuns) -> None:
    child = child_of(parent_of("flow", "r", pipeline({"name": "a", **JOB})), "a", "Running")
    child["metadata"]["namespace"] = "quick-start"
    await runs.put(child)
    view = await (await api.get(RUN.replace(UUID, run_uuid(child)))).json()
    assert (view["name"], view["meta_info"]) == ("a", {})
    assert (view["pipeline"]["name"], view["pipeline"]["kind"]) == ("flow", "dag")
    assert json.loads(view["content"])["run"]["kind"] == "job"


async def test_a_run_that_the_operator_has_not_seen_yet(api: Api, runs: MemoryRuns) -> None:
    body = {key: value for key, value in operation().items() if key != "status"}
    await runs.put(body)
    view = await (await api.get(RUN)).json()
    assert (view["uuid"], view["status"], view["inputs"], view["outputs"]) == (
        UUID,
        "created",
        {},
        {},
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"outputs": {"acc": 1}, "merge": True}, {"loss": 0.5, "acc": 1}),
        ({"outputs": {"loss": None}, "merge": True}, {"loss": None}),
        ({"outputs": {"acc": 1}}, {"acc": 1}),
        ({"outputs": {}}, {}),
        (
            {"outputs": {"a/b~c": [None, {"x": None}]}, "merge": True},
            {"loss": 0.5, "a/b~c": [None, {"x": None}]},
        ),
    ],
)
async def test_outputs_are_added_updated_and_reset(
    api: Api, runs: MemoryRuns, body: dict[str, Any], expected: Any
) -> None:
    await runs.put(operation(outputs={"loss": 0.5}))
    assert (await api.patch(RUN, json=body)).status == 200
    assert (await stored(runs))["outputs"] == expected
    assert (await (await api.get(RUN)).json())["outputs"] == expected


async def test_the_first_report_makes_its_map(api: Api, runs: MemoryRuns) -> None:
    body = operation()
    del body["status"]["outputs"]
    await runs.put(body)
    assert (await api.patch(RUN, json={"outputs": {"acc": 1}, "merge": True})).status == 200
    assert (await stored(runs))["outputs"] == {"acc": 1}


async def test_tags_description_meta_and_progress(api: Api, runs: MemoryRuns) -> None:
    await api.patch(RUN, json={"tags": ["a", "b"], "merge": True})
    await api.patch(RUN, json={"tags": ["b", "c"], "merge": True})
    await api.patch(
        RUN, json={"description": "what it is for", "meta_info": {"progress": 0.5}, "merge": True}
    )
    status = await stored(runs)
    assert status["tags"] == ["a", "b", "c"]
    assert (status["description"], status["meta"], status["progress"]) == (
        "what it is for",
        {"progress": 0.5},
        0.5,
    )
    await api.patch(RUN, json={"tags": []})
    assert (await (await api.get(RUN)).json())["tags"] == []


async def test_a_run_names_itself_and_is_found_by_what_it_was_created_with(
    api: Api, runs: MemoryRuns
) -> None:
    assert (await api.patch(RUN, json={"name": "echo"})).status == 200
    assert "name" not in runs.bodies["quick-start", "echo"]["status"]  # the name did not change
    assert (await (await api.patch(RUN, json={"name": "the best one", "merge": True})).json())[
        "name"
    ] == "the best one"
    assert (await (await api.get(RUN)).json())["name"] == "the best one"
    listed = await (
        await api.get(RUN.rpartition("/")[0], params={"query": "name: the best one"})
    ).json()
    assert [run["name"] for run in listed["results"]] == ["the best one"]
    assert runs.bodies["quick-start", "echo"]["metadata"]["name"] == "echo"
    for wrong in ("", "x" * 251):
        assert (await api.patch(RUN, json={"name": wrong})).status == 400


@pytest.mark.parametrize(
    ("spec", "cost"),
    [
        ({}, None),
        ({"cost": 1.5}, 1.5),
        ({"cost": "2"}, 2.0),
        ({"cost": 0, "component": {"cost": 3}}, 0.0),
        ({"component": {"cost": 3}}, 3.0),
        ({"cost": "{{ params.cost }}"}, None),
        ({"cost": "nan"}, None),
        ({"cost": True}, None),
    ],
)
async def test_a_run_says_what_it_costs(
    api: Api, runs: MemoryRuns, spec: dict[str, Any], cost: float | None
) -> None:
    await runs.put({**operation(), "spec": {"component": {"run": {"kind": "job"}}, **spec}})
    assert (await (await api.get(RUN)).json())["cost"] == cost


async def test_outputs_beyond_the_budget_are_refused_with_both_sizes_and_the_run_says_so(
    api: Api, runs: MemoryRuns
) -> None:
    refused = await api.patch(RUN, json={"outputs": {"blob": "x" * OUTPUTS}, "merge": True})
    assert refused.status == 400
    detail = (await refused.json())["detail"]
    assert "262,155" in detail
    assert "262,144" in detail
    status = await stored(runs)
    assert status["outputs"] == {}
    assert [(item["type"], item["reason"]) for item in status["conditions"]] == [
        ("ReportKept", "OutputsTooLarge")
    ]
    version = (await runs.get("quick-start", UUID))["metadata"]["resourceVersion"]
    assert (
        await api.patch(RUN, json={"outputs": {"blob": "y" * OUTPUTS * 2}, "merge": True})
    ).status == 400
    # the note is written once
    assert (await runs.get("quick-start", UUID))["metadata"]["resourceVersion"] == version


NESTED = b'{"outputs": {"a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}}"


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"null", b'{"outputs": 3}', b'{"tags": "a"}', b"\xff", NESTED]
)
async def test_a_body_that_makes_no_sense_is_refused_and_changes_nothing(
    api: Api, runs: MemoryRuns, body: bytes
) -> None:
    before = await stored(runs)
    refused = await api.patch(RUN, data=body)
    assert refused.status == 400
    assert (await refused.json())["detail"]
    assert await stored(runs) == before


async def test_a_body_that_is_not_packed_as_it_says_is_refused(api: Api) -> None:
    refused = await api.patch(RUN, data=b'{"outputs": {}}', headers={"Content-Encoding": "gzip"})
    assert (refused.status, "gzip" in (await refused.json())["detail"]) == (400, True)


@pytest.mark.parametrize("path", ["", "/lineage/artifacts"])
async def test_a_report_beyond_what_is_read_is_refused_and_the_run_says_so(
    api: Api, runs: MemoryRuns, path: str
) -> None:
    method = "POST" if path else "PATCH"
    refused = await api.request(method, RUN + path, data=io.BytesIO(b" " * (2 * 1024 * 1024 + 1)))
    assert refused.status == 400  # the published client does not understand 413
    assert "2,097,152" in (await refused.json())["detail"]
    assert [(item["type"], item["reason"]) for item in (await stored(runs))["conditions"]] == [
        ("ReportKept", "TooLarge")
    ]


async def test_lineage_beyond_the_budget_is_refused_and_the_run_says_so(
    api: Api, runs: MemoryRuns
) -> None:
    artifacts = [{"name": f"a{number}", "path": "x" * 1000} for number in range(200)]
    assert (await api.post(RUN + "/lineage/artifacts", json={"artifacts": artifacts})).status == 400
    assert [item["message"].partition(" ")[0] for item in (await stored(runs))["conditions"]] == [
        "artifacts"
    ]


async def test_what_no_store_keeps_is_kept_as_its_text(api: Api, runs: MemoryRuns) -> None:
    """The published client sends these values as Python writes them. It drops a refusal, and with
    it the rest of the report.
    """
    said = (
        b'{"outputs": {"acc": 0.5, "loss": NaN, '
        b'"deep": [-Infinity, 1180591620717411303424, 9223372036854775807]}, "merge": true,'
    )
    said += b' "meta_info": {"file\\udc80": "\\udc80"}, "tags": ["\\ud83d"]}'
    assert (await api.patch(RUN, data=said)).status == 200
    status = await stored(runs)
    assert status["outputs"] == {
        "acc": 0.5,
        "loss": "nan",
        "deep": ["-inf", "1180591620717411303424", 2**63 - 1],
    }
    assert (status["meta"], status["tags"]) == ({"file\\udc80": "\\udc80"}, ["\\ud83d"])
    artifact = b'[{"name": "m", "summary": {"loss": NaN}}]'
    assert (await api.post(RUN + "/lineage/artifacts", data=artifact)).status == 201
    assert (await stored(runs))["artifacts"] == [{"name": "m", "summary": {"loss": "nan"}}]


@pytest.mark.parametrize(
    "path",
    ["/nowhere", RUN[:-1] + "0", RUN + "/nowhere", RUN.replace("quick-start", "other"), RUN[:-4]],
)
async def test_what_is_not_there_is_a_404_in_json(api: Api, path: str) -> None:
    answer = await api.get(path)
    assert answer.status == 404
    assert (await answer.json())["detail"]


async def test_artifacts_are_unique_by_name(api: Api, runs: MemoryRuns) -> None:
    env = {
        "name": "env",
        "kind": "env",
        "path": "outputs/env.json",
        "summary": {"hash": "1"},
        "is_input": False,
    }
    assert (
        await api.post(
            RUN + "/lineage/artifacts",
            json={"artifacts": [env, {"name": "data", "kind": "dir", "is_input": True}]},
        )
    ).status == 201
    assert (
        await api.post(
            RUN + "/lineage/artifacts", json={"artifacts": [{**env, "summary": {"hash": "2"}}]}
        )
    ).status == 201
    lineage = await (await api.get(RUN + "/lineage/artifacts", params={"limit": 10})).json()
    assert lineage["count"] == 2
    assert lineage["results"][0] == {**env, "summary": {"hash": "2"}, "run": UUID}
    assert (await stored(runs))["artifacts"][1] == {"name": "data", "kind": "dir", "isInput": True}
    named = await (await api.get(RUN + "/lineage/artifacts", params={"query": "name: env"})).json()
    assert [item["name"] for item in named["results"]] == ["env"]
    assert (await (await api.get(RUN + "/lineage/artifacts/data")).json())["is_input"] is True


async def test_edges_are_seen_from_both_ends(api: Api, runs: MemoryRuns) -> None:
    below = operation(
        uuid="b" * 32,
        upstream=[{"uuid": UUID, "name": "echo", "kind": "run", "values": {"p": "inputs.message"}}],
    )
    below["metadata"] = {**below["metadata"], "name": "below", "uid": "b" * 32}
    await runs.put(below)
    [up] = (await (await api.get(RUN.replace(UUID, "b" * 32) + "/lineage/upstream")).json())[
        "results"
    ]
    assert up == {
        "values": {"p": "inputs.message"},
        "kind": "run",
        "statuses": None,
        "upstream": {"uuid": UUID, "name": "echo", "kind": "job", "runtime": "job"},
    }
    [down] = (await (await api.get(RUN + "/lineage/downstream")).json())["results"]
    assert (down["downstream"]["uuid"], down["downstream"]["name"], down["values"]) == (
        "b" * 32,
        "below",
        {"p": "inputs.message"},
    )


async def test_statuses_hold_the_history_and_no_other_key(api: Api) -> None:
    view = await (await api.get(RUN + "/statuses")).json()
    assert set(view) == {"uuid", "status", "status_conditions"}
    assert [item["type"] for item in view["status_conditions"]] == ["created", "running"]


async def test_a_managed_run_cannot_say_how_it_ended(api: Api, runs: MemoryRuns) -> None:
    before = await stored(runs)
    assert (await api.post(RUN + "/statuses", json={"condition": {"type": "failed"}})).status == 201
    assert await stored(runs) == before


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": "Token wrong"}, {"Authorization": "Basic c2VjcmV0"}, {"Authorization": ""}],
)
async def test_without_the_token_nothing_is_answered(api: Api, headers: dict[str, str]) -> None:
    answer = await api.get(RUN, headers=headers)
    assert answer.status == 401
    assert "detail" in await answer.json()


@pytest.mark.parametrize("tokens", [("secret", "wrong"), ("wrong", "secret"), ("secret", "secret")])
async def test_two_tokens_are_as_good_as_none(api: Api, tokens: tuple[str, str]) -> None:
    async with aiohttp.ClientSession() as http:
        headers = [("Authorization", f"Token {token}") for token in tokens]
        answer = await http.get(api.make_url(RUN), headers=headers)
        assert answer.status == 401
        assert "sent 2 times; send it once" in (await answer.json())["detail"]


async def test_health_needs_no_token(api: Api) -> None:
    for path in ("/healthz", "/readyz", "/api/v1/installation"):
        assert (await api.get(path, headers={"Authorization": ""})).status == 200
