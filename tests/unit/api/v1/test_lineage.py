"""A lineage graph costs the runs that it shows, however many and how large a project's runs are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from tests.support.unpacking import record_unpacked

from opstrand.api.app import create_app
from opstrand.api.auth.callers import StaticToken
from opstrand.api.v1 import discovery, lineage
from opstrand.core.packed import LARGE
from opstrand.runs.index import Index
from opstrand.runs.memory import MemoryRuns
from opstrand.runs.protocols import Found, Listed, Search
from opstrand.types import Body

RUNS = "/apis/runs.opstrand.dev/v1alpha1/namespaces/team/runs"
ROOT, MIDDLE, LEAVES, OTHERS = 1, range(2, 22), range(22, 42), range(42, 82)


class IndexedRuns(MemoryRuns):
    """Lists runs from the index, as the API does in a cluster."""

    def __init__(self) -> None:
        super().__init__(projects=["team"])
        self.index = Index()
        self.searches = 0

    async def list(self, project: str) -> Sequence[Listed]:
        return self.index.list(project)

    async def search(self, project: str, search: Search) -> Found:
        self.searches += 1
        return await super().search(project, search)

    async def get(self, project: str, uuid: str, *, newest: bool = False) -> Body:
        body = self.index.find(project, uuid)
        assert body is not None
        return body


def run(number: int, upstreams: Sequence[int]) -> Body:
    """Return a run whose body is packed."""
    uuid = f"{number:032x}"
    edges = [
        {"uuid": f"{one:032x}", "name": f"run-{one}", "kind": "run", "values": {"x": "outputs.n"}}
        for one in upstreams
    ]
    status = {"uuid": uuid, "kind": "job", "phase": "Succeeded", "upstream": edges}
    return {
        "metadata": {
            "name": f"run-{number}",
            "namespace": "team",
            "uid": uuid,
            "resourceVersion": str(number),
            "creationTimestamp": f"2026-01-02T03:{number // 60:02}:{number % 60:02}Z",
            "annotations": {"x": "x" * 2 * LARGE},
        },
        "spec": {"component": {"run": {"kind": "job"}}},
        "status": {**status},
    }


@pytest.fixture
def runs() -> IndexedRuns:
    """The root, 20 runs below it, and 20 more of which each took values from all of those."""
    found = IndexedRuns()
    for number in (ROOT, *OTHERS):
        found.index.put(run(number, ()))
    for number in MIDDLE:
        found.index.put(run(number, [ROOT]))
    for number in LEAVES:
        found.index.put(run(number, MIDDLE))
    return found


@pytest.fixture
def unpacked(runs: IndexedRuns, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record the sizes of all that is unpacked from now on."""
    return record_unpacked(monkeypatch)


async def read(runs: IndexedRuns, number: int, depth: int) -> Any:
    app = create_app(runs, StaticToken("secret"), resources=discovery.ROUTES)
    async with TestClient(TestServer(app), headers={"Authorization": "Bearer secret"}) as api:
        path = f"{RUNS}/{number:032x}/lineage"
        async with api.get(path, params={"depth": str(depth)}) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()


async def test_only_the_runs_of_the_graph_are_unpacked(
    runs: IndexedRuns, unpacked: list[int]
) -> None:
    found = await read(runs, ROOT, 10)
    assert len(found["runs"]) == 1 + len(MIDDLE) + len(LEAVES)
    assert len(found["edges"]) == len(MIDDLE) + len(MIDDLE) * len(LEAVES)
    assert found["isCut"] is False
    assert len(unpacked) == len(found["runs"])


async def test_a_level_is_one_search(runs: IndexedRuns) -> None:
    await read(runs, ROOT, 10)
    assert runs.searches == 3


async def test_a_full_graph_unpacks_no_more(
    runs: IndexedRuns, unpacked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineage, "_MOST", 10)
    found = await read(runs, ROOT, 10)
    assert (len(found["runs"]), found["isCut"]) == (10, True)
    assert len(unpacked) == 10


async def test_more_than_a_page_is_below(
    runs: IndexedRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineage, "_AT_A_TIME", 3)
    whole = await read(runs, ROOT, 10)
    assert (len(whole["runs"]), whole["isCut"]) == (1 + len(MIDDLE) + len(LEAVES), False)
    up = await read(runs, LEAVES[0], 2)
    assert len(up["runs"]) == 1 + len(MIDDLE) + 1
    assert all(one.get("phase") == "Succeeded" for one in up["runs"])


async def test_a_run_that_is_shown_has_its_facts_also_in_a_full_graph(
    runs: IndexedRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineage, "_MOST", 10)
    found = await read(runs, LEAVES[0], 1)
    assert [one.get("phase") for one in found["runs"]] == ["Succeeded"] * 10
