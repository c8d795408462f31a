"""A list of runs unpacks the large runs of its page, and only those others that a query needs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer
from tests.support.running_run import operation
from tests.support.unpacking import record_unpacked

from opstrand.api.app import create_app
from opstrand.api.auth.callers import StaticToken
from opstrand.api.published.listing import Searched
from opstrand.core.names import RESTART_OF
from opstrand.core.packed import LARGE, is_large
from opstrand.runs.index import Index
from opstrand.runs.memory import MemoryRuns
from opstrand.runs.protocols import Listed
from opstrand.types import Body

RUNS = "/api/v1/default/quick-start/runs"
COUNT = 80
SORTS = (
    "",
    "name",
    "-name",
    "created_at",
    "-updated_at",
    "status",
    "kind",
    "runtime",
    "duration",
    "wait_time",
    "pipeline",
    "controller",
    "original",
    "cloning_kind",
    "uuid",
    "pending",
)


def large(number: int) -> dict[str, Any]:
    """Return a run whose body is packed.

    Some have no name of their own, some a long one, some belong to a pipeline.
    """
    body = operation(uuid=f"{number:032x}", inputs={"n": number, "text": "x" * 2 * LARGE})
    body["metadata"] |= {
        "name": f"run-{number:03}",
        "uid": f"{number:032x}",
        "resourceVersion": str(number + 1),
    }
    body["metadata"]["creationTimestamp"] = f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z"
    name = {
        0: None,
        1: f"named-{COUNT - number}",
        2: "long" * 100 + str(number),
        3: "too long" * 200 + str(number),
    }[number % 4]
    if name is not None:
        body["spec"]["name"] = name
    if number % 5 == 0:
        owner = {
            "apiVersion": "opstrand.dev/v1",
            "kind": "Operation",
            "name": "p",
            "uid": "9" * 32,
            "controller": True,
        }
        body["metadata"]["ownerReferences"] = [owner]
    return body


class IndexedRuns(MemoryRuns):
    """Lists runs from the index, as the API does in a cluster."""

    def __init__(self, index: Index) -> None:
        super().__init__(projects=["quick-start"])
        self._index = index

    async def list(self, project: str) -> Sequence[Listed]:
        return self._index.list(project)

    async def get(self, project: str, uuid: str, *, newest: bool = False) -> Body:
        body = self._index.find(project, uuid)
        assert body is not None
        return body


@pytest.fixture
def index() -> Index:
    index = Index()
    for number in range(COUNT):
        index.put(large(number))
    assert all(is_large(run.head) for run in index.list("quick-start"))
    return index


@pytest_asyncio.fixture(loop_scope="session")
async def listed(index: Index) -> AsyncIterator[TestClient[Any, Any]]:
    app = create_app(IndexedRuns(index), StaticToken("secret"))
    async with TestClient(TestServer(app), headers={"Authorization": "Token secret"}) as client:
        yield client


@pytest.fixture
def unpacked(index: Index, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record the sizes of all that is unpacked from now on."""
    return record_unpacked(monkeypatch)


@pytest.mark.parametrize("limit", [5, 20])
@pytest.mark.parametrize("sort", ["-created_at", "status", "-updated_at", "kind", "uuid"])
async def test_a_page_unpacks_its_own_runs(
    listed: TestClient[Any, Any], unpacked: list[int], sort: str, limit: int
) -> None:
    found = await (
        await listed.get(RUNS, params={"limit": str(limit), "offset": "40", "sort": sort})
    ).json()
    assert (found["count"], len(found["results"])) == (COUNT, limit)
    long_names = COUNT // 4  # names are compared if all else is equal
    assert len(unpacked) <= limit + long_names
    assert all(len(run["inputs"]["text"]) == 2 * LARGE for run in found["results"])


async def test_what_is_there_is_asked_without_unpacking(
    listed: TestClient[Any, Any], unpacked: list[int]
) -> None:
    assert (await listed.get("/api/v1/default/quick-start")).status == 200
    assert (await listed.get(RUNS, params={"query": "status: no-such", "limit": "5"})).status == 200
    assert unpacked == []


async def test_a_query_by_what_is_packed_finds_it(listed: TestClient[Any, Any]) -> None:
    found = await (await listed.get(RUNS, params={"query": "inputs.n: 7"})).json()
    assert [run["inputs"]["n"] for run in found["results"]] == [7]


def test_what_a_watch_repeats_is_not_unpacked(index: Index, unpacked: list[int]) -> None:
    assert [index.put(large(number)) for number in range(COUNT)] == [False] * COUNT
    assert unpacked == []
    assert index.put_newest(large(3)) == large(3)


async def test_restarts_of_a_run_are_found_without_unpacking_others(
    listed: TestClient[Any, Any], index: Index, unpacked: list[int]
) -> None:
    restarted = large(7)
    restarted["metadata"] |= {"annotations": {RESTART_OF: f"{3:032x}"}, "resourceVersion": "1000"}
    index.put(restarted)
    found = await (await listed.get(f"{RUNS}/{3:032x}/lineage/clones")).json()
    assert [run["uuid"] for run in found["results"]] == [f"{7:032x}"]
    assert len(unpacked) <= 3


@pytest.mark.parametrize("field", [field for field in SORTS if field])
def test_a_field_that_is_read_from_the_head_is_that_of_the_whole(index: Index, field: str) -> None:
    for run in index.list("quick-start"):
        assert Searched(run, "default").read(field) == Searched(Listed(run.whole), "default").read(
            field
        )


@pytest.mark.parametrize("sort", SORTS)
async def test_a_list_of_large_runs_is_that_of_the_same_runs_unpacked(
    listed: TestClient[Any, Any], sort: str
) -> None:
    plain = MemoryRuns(projects=["quick-start"])
    for number in range(COUNT):
        await plain.put(large(number))
    app = create_app(plain, StaticToken("secret"))
    async with TestClient(TestServer(app), headers={"Authorization": "Token secret"}) as other:
        query = {"sort": sort.lstrip("-") and sort, "limit": "30"}
        lists = [await (await client.get(RUNS, params=query)).json() for client in (listed, other)]
    assert lists[0] == lists[1]
