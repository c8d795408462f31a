"""The runs below a pipeline that are gone are found in the store, and before they are stored; many
of them take little memory, nor does a page of large ones.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.support.stores import NAMESPACE_UID, final_body

from opstrand.api.published.listing import Searched
from opstrand.core.names import API_VERSION, CONTROLLER
from opstrand.core.packed import LARGE, is_large
from opstrand.runs import archive as module
from opstrand.runs.archive import Archive
from opstrand.runs.archiver import Archiver
from opstrand.runs.bodies import run_uuid
from opstrand.runs.index import Index
from opstrand.runs.keeper import KeptRuns
from opstrand.runs.live import ClusterRuns
from opstrand.runs.namespaces import Namespaces
from opstrand.runs.protocols import Listed, Search
from opstrand.runs.records import make_row, read_body
from opstrand.store.opening import open_store
from opstrand.store.store import RunStore


class Cluster:
    """An API server with one namespace."""

    async def get(self, *_: Any) -> dict[str, Any]:
        return {"metadata": {"uid": NAMESPACE_UID, "creationTimestamp": "2025-01-01T00:00:00Z"}}


class Kept:
    """Runs of a cluster without Operations, those of a store, and those that wait for it."""

    def __init__(self, store: RunStore) -> None:
        cluster: Any = Cluster()
        self.store, namespaces = store, Namespaces(cluster)
        self.archiver = Archiver(store, namespaces, cluster)
        self.archive = Archive(store, namespaces)
        self.runs = KeptRuns(ClusterRuns(cluster), self.archive, self.archiver)

    async def put(self, *bodies: dict[str, Any]) -> None:
        await self.store.write(
            [make_row(one, deleted_at=1e9, namespace_uid=NAMESPACE_UID) for one in bodies]
        )

    async def find_below(self, body: dict[str, Any]) -> dict[str, list[int]]:
        """The numbers of the runs by the uid of what made them; checks that all are packed."""
        found = await self.runs.gone_below(body)
        heads = [one.head for listed in found.values() for one in listed]
        assert all(map(is_large, heads))
        return {
            uid: sorted(int(one.whole["status"]["uuid"], 16) for one in listed)
            for uid, listed in found.items()
        }


@pytest_asyncio.fixture(loop_scope="session")
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    opened = await open_store(f"sqlite://{tmp_path / 'runs.db'}")
    yield Kept(opened)
    await opened.close()


def run(number: int, *, by: int = 0, outermost: int = 0) -> dict[str, Any]:
    """Return a run that the pipeline with the number `by` made."""
    metadata: dict[str, Any] = {"uid": f"{number:032x}"}
    if by:
        owner = {"apiVersion": API_VERSION, "kind": "Operation", "name": f"run-{by}"}
        metadata["ownerReferences"] = [{**owner, "uid": f"{by:032x}", "controller": True}]
        metadata["labels"] = {CONTROLLER: f"{outermost or by:032x}"}
    return final_body(number, metadata=metadata)


async def test_runs_on_all_levels_are_found_in_the_store_and_before_they_are_stored(
    kept: Kept,
) -> None:
    flow, inner, other = run(1), run(2, by=1), run(9)
    await kept.put(flow, inner, run(3, by=1), run(4, by=2, outermost=1), other, run(8, by=9))
    for waiting in (run(5, by=2, outermost=1), run(6), run(7, by=9)):
        kept.archiver.dropped(waiting)
    below = {f"{1:032x}": [2, 3], f"{2:032x}": [4, 5]}
    assert await kept.find_below(flow) == below
    assert await kept.find_below(inner) == {f"{2:032x}": [4, 5]}
    assert await kept.find_below(other) == {f"{9:032x}": [7, 8]}


async def test_the_runs_of_one_request_are_bounded(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_STEP", 2)
    monkeypatch.setattr(module, "_MOST_BELOW", 3)
    await kept.put(run(1), *(run(number, by=1) for number in range(2, 5)))
    assert await kept.find_below(run(1)) == {f"{1:032x}": [2, 3, 4]}
    assert "some are left out" not in caplog.text
    await kept.put(run(5, by=1))
    assert len((await kept.find_below(run(1)))[f"{1:032x}"]) == 3
    assert "some are left out" in caplog.text


async def test_a_page_of_large_runs_is_read_in_a_thread_and_kept_packed(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set[int]()

    def read(row: Any) -> Any:
        threads.add(threading.get_ident())
        return read_body(row)

    monkeypatch.setattr(module, "read_body", read)
    bodies = {1: final_body(1, outputs={"text": "x" * 2 * LARGE}), 2: final_body(2)}
    await kept.put(*bodies.values())
    search = Search(None, None, 0, 10, lambda run: Searched(run, "default"))
    found = [one.run for one in (await kept.archive.search("n", search)).runs]
    assert {int(run_uuid(one.head), 16): one.whole for one in found} == bodies
    assert {int(run_uuid(one.head), 16): is_large(one.head) for one in found} == {1: True, 2: False}
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_a_gone_run_is_shown_in_a_list_as_a_living_one(kept: Kept) -> None:
    """A list shows nothing of what is kept beside the head of a large run, to search by it."""
    bodies = [final_body(1, outputs={"text": "x" * 2 * LARGE}), final_body(2, outputs={"a": 1})]
    await kept.put(*bodies)
    search = Search(None, "uuid", 0, 10, lambda run: Searched(run, "default"))
    gone = [one.run for one in (await kept.archive.search("n", search)).runs]
    index = Index()
    for body in bodies:
        index.put(body)
    living = index.list(bodies[0]["metadata"]["namespace"])
    assert len(gone) == 2
    assert by_uuid(gone) == by_uuid(living)


def by_uuid(runs: Sequence[Listed]) -> dict[str, Any]:
    """What a list shows of each run."""
    views = [Searched(run, "default").view() for run in runs]
    return {view["uuid"]: view for view in views}
