"""Lists of runs, page by page, and single runs."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from opstrand.api.v1.listing import Wanted, read_page
from opstrand.api.v1.models import ListQuery
from opstrand.core.names import PIPELINE
from opstrand.runs.memory import MemoryRuns

ROOT = "/apis/runs.opstrand.dev/v1alpha1"
RUNS = f"{ROOT}/namespaces/team/runs"
Client = TestClient[Any, Any]


async def get(api: Client, path: str, **query: str) -> tuple[int, Any]:
    async with api.get(path, params=query) as answer:
        return answer.status, await answer.json()


async def names(api: Client, path: str = RUNS, **query: str) -> list[str]:
    status, found = await get(api, path, **query)
    assert status == 200, found
    return [one["metadata"]["name"].removeprefix("run-") for one in found["items"]]


async def test_pages_are_the_list_cut_into_parts(api: Client) -> None:
    found, more, sizes = [], "", []
    while True:
        status, page = await get(api, RUNS, limit="3", **({"continue": more} if more else {}))
        assert status == 200
        found += [one["metadata"]["name"] for one in page["items"]]
        sizes.append(len(page["items"]))
        more = page["metadata"].get("continue")
        if not more:
            break
    assert found == [f"run-{number}" for number in range(7, 0, -1)]
    assert sizes == [3, 3, 1]


async def test_a_run_that_ends_or_comes_between_two_pages_moves_no_other(
    api: Client, runs: MemoryRuns
) -> None:
    _, page = await get(api, RUNS, limit="3")
    body = runs.bodies["team", "run-5"]
    await runs.drop(("team", "run-5"))
    late = {**body["metadata"], "name": "run-9", "creationTimestamp": "2026-01-02T03:05:00Z"}
    await runs.put({**body, "metadata": late})
    more = page["metadata"]["continue"]
    assert await names(api, **{"continue": more}) == ["4", "3", "2", "1"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "7654321"),
        ({"limit": "0"}, "7654321"),
        ({"limit": "100000"}, "7654321"),
        ({"labelSelector": "parity=odd"}, "7531"),
        ({"labelSelector": "parity in (even),parity"}, "642"),
        ({"fieldSelector": "status.phase=Running"}, "7"),
        ({"labelSelector": "parity=even", "fieldSelector": "status.phase=Running"}, ""),
        ({"unknown": "ignored", "watch": "false"}, "7654321"),
    ],
)
async def test_a_list_has_what_is_asked_for(
    api: Client, query: dict[str, str], expected: str
) -> None:
    assert "".join(await names(api, **query)) == expected
    assert "".join(await names(api, f"{ROOT}/runs", **query)) == expected


async def test_the_labels_of_pipelines_are_those_of_their_runs(
    api: Client, runs: MemoryRuns
) -> None:
    """They are asked of the store, which has columns for them, and compared as labels too."""
    uid = "00000000-0000-4000-8000-000000000007"
    owner = {"apiVersion": "opstrand.dev/v1", "kind": "Operation", "name": "run-7", "uid": uid}
    for number in (1, 2):
        body = runs.bodies["team", f"run-{number}"]
        labels = {PIPELINE: uid.replace("-", ""), "odd": str(number % 2)}
        made = {**body["metadata"], "labels": labels}
        made["ownerReferences"] = [{**owner, "controller": True}]
        await runs.put({**body, "metadata": made})
    own = f"{PIPELINE}={uid.replace('-', '')}"
    assert await names(api, labelSelector=f"!{PIPELINE}") == ["7", "6", "5", "4", "3"]
    assert await names(api, labelSelector=own) == ["2", "1"]
    assert await names(api, labelSelector=f"odd=1,{own}") == ["1"]
    assert await names(api, labelSelector=f"{PIPELINE}!={uid.replace('-', '')}", limit="2") == [
        "7",
        "6",
    ]


async def test_a_selector_that_few_runs_have_makes_pages_that_are_short(runs: MemoryRuns) -> None:
    found, more, pages = [], "", 0
    while pages == 0 or more:
        query = ListQuery(more=more, label_selector="parity=even")
        page = await read_page(runs, ["team"], replace(Wanted.parse(query, "default"), most=3))
        found += [one["metadata"]["name"] for one in page.runs]
        more, pages = str(page.more or ""), pages + 1
    assert (found, pages) == (["run-6", "run-4", "run-2"], 3)


async def test_a_list_of_every_project_goes_on_from_one_to_the_next(
    api: Client, runs: MemoryRuns
) -> None:
    for number in (1, 7):
        body = runs.bodies["team", f"run-{number}"]
        await runs.put({**body, "metadata": {**body["metadata"], "namespace": f"a-{number}"}})
    found, more = [], ""
    while not found or more:
        query = {"limit": "2", **({"continue": more} if more else {})}
        _, page = await get(api, f"{ROOT}/runs", **query)
        found += [one["metadata"]["namespace"] for one in page["items"]]
        more = page["metadata"].get("continue")
    assert found == ["a-1", "a-7", *["team"] * 7]


async def test_a_changed_cursor_asks_for_nothing_else(api: Client) -> None:
    for parts in (["team"], ["team", "x", "", ""], ["team", "2026, name: a", "", ""], [1, 2, 3, 4]):
        more = base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")
        status, found = await get(api, RUNS, **{"continue": more})
        assert (status, found["reason"]) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"limit": "x"}, "limit: "),
        ({"limit": "-1"}, "limit: "),
        ({"continue": "x"}, "continue: expected what the page before gave"),
        ({"labelSelector": "a b"}, "labelSelector: 'a b' is none"),
        ({"fieldSelector": "metadata.name=a"}, "fieldSelector: 'metadata.name=a' is none"),
        ({"fieldSelector": "status.phase=running"}, "expected status.phase= and one of Created"),
        ({"watch": "true"}, "watch: "),
    ],
)
async def test_a_wrong_parameter_is_named(api: Client, query: dict[str, str], message: str) -> None:
    status, found = await get(api, RUNS, **query)
    assert (status, found["kind"], found["reason"]) == (400, "Status", "BadRequest")
    assert message in found["message"]


async def test_a_parameter_that_comes_twice_is_refused(api: Client) -> None:
    async with api.get(f"{RUNS}?limit=1&limit=2") as answer:
        assert answer.status == 400
        assert "limit: it was sent more than once" in (await answer.json())["message"]


async def test_a_list_leaves_out_the_spec_and_the_values(api: Client) -> None:
    _, found = await get(api, RUNS, limit="1", labelSelector="parity=even")
    (one,) = found["items"]
    assert "spec" not in one
    assert one["status"] == {"uuid": one["status"]["uuid"], "kind": "job", "phase": "Succeeded"}


async def test_a_run_is_found_by_uuid_and_name_and_keeps_its_nulls(api: Client) -> None:
    uid = "00000000-0000-4000-8000-000000000002"
    for name in (uid, uid.replace("-", ""), "run-2"):
        status, found = await get(api, f"{RUNS}/{name}")
        assert status == 200
        assert found["kind"] == "Run"
        assert found["metadata"]["uid"] == uid
        assert found["status"]["outputs"] == {"loss": None, "n": 2}
        assert found["spec"] == {"component": {"run": {"kind": "job"}}}


async def test_of_a_name_that_was_used_again_the_newest_run_is_found(
    api: Client, runs: MemoryRuns
) -> None:
    body = runs.bodies["team", "run-3"]
    again = {**body["metadata"], "name": "run-1", "creationTimestamp": "2026-01-02T03:06:00Z"}
    runs.bodies["team", "of-that-name"] = {**body, "metadata": again}
    _, found = await get(api, f"{RUNS}/run-1")
    assert found["metadata"]["uid"] == body["metadata"]["uid"]


@pytest.mark.parametrize(
    "path",
    [
        f"{RUNS}/no-such",
        f"{RUNS}/{'0' * 32}",
        f"{RUNS}/no-such/log",
        f"{ROOT}/namespaces/no-such/runs",
        f"{ROOT}/namespaces/NO..SUCH/runs",
        f"{ROOT}/no-such",
    ],
)
async def test_what_is_not_there_is_a_status_of_kubernetes(api: Client, path: str) -> None:
    status, found = await get(api, path)
    assert (status, found["kind"], found["reason"], found["code"]) == (
        404,
        "Status",
        "NotFound",
        404,
    )
    assert found["details"]["kind"] == "runs"


async def test_a_project_without_runs_has_an_empty_list(api: Client) -> None:
    assert await names(api, f"{ROOT}/namespaces/empty/runs") == []


@pytest.mark.parametrize("path", [RUNS, f"{RUNS}/run-7", "/apis", "/openapi/v3"])
async def test_who_has_the_answer_already_gets_none(
    api: Client, runs: MemoryRuns, path: str
) -> None:
    async with api.get(path) as answer:
        tag = answer.headers["ETag"]
    async with api.get(path, headers={"If-None-Match": tag}) as answer:
        assert (answer.status, await answer.text(), answer.headers["ETag"]) == (304, "", tag)
    body = runs.bodies["team", "run-7"]
    await runs.put({**body, "status": {**body["status"], "phase": "Failed"}})
    async with api.get(path, headers={"If-None-Match": tag}) as answer:
        assert answer.status == (200 if "team" in path else 304)


async def test_without_a_token_nothing_is_said(api: Client) -> None:
    for path in (RUNS, ROOT, "/apis", "/openapi/v2"):
        async with api.get(path, headers={"Authorization": ""}) as answer:
            assert (answer.status, (await answer.json())["reason"]) == (401, "Unauthorized")
