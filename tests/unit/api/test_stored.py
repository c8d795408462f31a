"""The operator's questions to the API, over HTTP and a store: who asks and who answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer
from tests.support.stores import NAMESPACE_UID, deleted_row, final_body

from opstrand.api.app import create_app
from opstrand.api.auth.callers import StaticToken
from opstrand.api.stored import make_routes
from opstrand.controller.store_client import StoreClient
from opstrand.controller.store_reader import NoStore, Question, QuestionRefused
from opstrand.core.packed import from_parcel
from opstrand.core.resolving.stored import StoredRun, StoredRuns
from opstrand.errors import PlatformError
from opstrand.kube.errors import NotFound
from opstrand.kube.protocol import Page
from opstrand.runs.archive import Archive
from opstrand.runs.archiver import Archiver
from opstrand.runs.keeper import KeptRuns
from opstrand.runs.live import ClusterRuns
from opstrand.runs.memory import MemoryRuns
from opstrand.runs.namespaces import Namespaces
from opstrand.settings import Settings
from opstrand.store.opening import open_store
from opstrand.store.store import RunStore


class Cluster:
    """An API server with one namespace and the Operation number 1, once it answers."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.uid = NAMESPACE_UID

    async def get(self, resource: Any, namespace: str | None, name: str) -> dict[str, Any]:
        if namespace is None and name == "n":
            return {"metadata": {"uid": self.uid, "creationTimestamp": "2025-01-01T00:00:00Z"}}
        raise NotFound(name, status=404)

    async def list(self, *_: Any, **__: Any) -> tuple[list[Any], str]:
        return [{"metadata": {"name": "n"}}], "1"

    async def pages(self, *_: Any, **__: Any) -> AsyncIterator[Page]:
        await self.answers.wait()
        yield Page([final_body(1, metadata={"uid": f"{1:032x}"})], "1")

    async def watch(
        self, *_: Any, on_open: Callable[[], None], **__: Any
    ) -> AsyncIterator[tuple[str, Any]]:
        on_open()
        await asyncio.Event().wait()
        yield "", None


class Asked:
    """Both sides: the API over a cluster and a store, and the operator's client of it."""

    def __init__(
        self, cluster: Cluster, store: RunStore, server: TestServer, client: StoreClient
    ) -> None:
        self.cluster, self.store, self.server, self.client = cluster, store, server, client

    async def ask(self, question: Question, namespace: str = "n") -> list[dict[str, Any]]:
        found = await self.client.ask(namespace, question)
        return [from_parcel(one) or {} for one in found]

    async def numbers(self, question: Question, namespace: str = "n") -> list[int]:
        found = await self.ask(question, namespace)
        return [int(one["status"]["uuid"], 16) for one in found]


@pytest_asyncio.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    cluster, store = Cluster(), await open_store(f"sqlite://{tmp_path / 'runs.db'}")
    namespaces = Namespaces(cluster)
    live: Any = ClusterRuns(cluster)  # type: ignore[arg-type]
    runs = KeptRuns(live, Archive(store, namespaces), Archiver(store, namespaces, cluster))
    watching = asyncio.create_task(runs.keep_watching())
    app = create_app(runs, StaticToken("secret"), resources=make_routes(runs))
    async with TestServer(app) as server, open_client(server, tmp_path) as client:
        yield Asked(cluster, store, server, client)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    await store.close()


def open_client(server: TestServer, folder: Path, token: str = "secret") -> StoreClient:
    file = folder / f"token-{token}"
    file.write_text(f"{token}\n")
    return StoreClient(Settings(api_url=str(server.make_url("/")), api_token=str(file)))


async def start(asked: Asked) -> None:
    asked.cluster.answers.set()
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(PlatformError):
                await asked.ask(StoredRun(f"{99:032x}"))
                return
            await asyncio.sleep(0.01)


async def test_a_run_is_found_wherever_it_is(asked: Asked) -> None:
    spec = {"name": "train", "component": {"run": {"container": {"args": ["x" * 9999]}}}}
    notes = {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "y" * 9999}}
    row = deleted_row(2, spec=spec, metadata=notes, outputs={"loss": 0.25})
    await asked.store.write([row])
    await start(asked)
    uuid = row.uuid
    (found,) = await asked.ask(StoredRun(uuid))
    assert (found["metadata"]["name"], found["spec"]["name"]) == ("run-2", "train")
    assert found["status"]["outputs"] == {"loss": 0.25}
    assert len(str(found)) < 2000, "only what is read of an upstream"
    assert await asked.numbers(StoredRun(f"{1:032x}")) == [1]
    assert await asked.numbers(StoredRun(f"{3:032x}")) == []
    assert await asked.numbers(StoredRun(uuid), "other") == []


async def test_a_namespace_of_the_same_name_has_none_of_the_runs_before(asked: Asked) -> None:
    await asked.store.write([deleted_row(2)])
    asked.cluster.uid = "another"
    await start(asked)
    assert await asked.numbers(StoredRun(f"{2:032x}")) == []
    assert await asked.numbers(StoredRuns("", "", 10)) == []


async def test_no_run_is_missing_before_all_of_them_are_read(asked: Asked) -> None:
    for question in (StoredRun(f"{1:032x}"), StoredRuns("", "", 10)):
        with pytest.raises(PlatformError, match="the API cannot read its store"):
            await asked.ask(question)


async def test_a_run_of_which_the_end_is_not_stored_yet_is_neither_there_nor_missing(
    asked: Asked,
) -> None:
    await start(asked)
    await asked.store.write([_row_of_a_living_run(4)])
    with pytest.raises(QuestionRefused):
        await asked.ask(StoredRun(f"{4:032x}"))


def _row_of_a_living_run(number: int) -> Any:
    from opstrand.runs.records import make_row

    return make_row(final_body(number, phase="Running"), namespace_uid=NAMESPACE_UID)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (StoredRuns("tags: a", "name", 10), [10, 11, 12]),
        (StoredRuns("tags: a", "-name", 2), [12, 11]),
        (StoredRuns("tags: a, outputs.loss: <2", "-outputs.loss", 10), [11, 10]),
        (StoredRuns("", "name", 2), [10, 11]),
        (StoredRuns("tags: none", "", 10), []),
    ],
)
async def test_a_search_has_the_first_runs_of_its_order(
    asked: Asked, question: StoredRuns, expected: list[int]
) -> None:
    rows = [
        deleted_row(number, tags=["a"], outputs={"loss": number - 10}) for number in (10, 11, 12)
    ]
    await asked.store.write([*rows, deleted_row(13, tags=["b"])])
    await start(asked)
    assert await asked.numbers(question) == expected


async def test_a_result_is_found_by_its_key(asked: Asked) -> None:
    key, facts = "0a" * 32, {"outputs": {"loss": 0.25}}
    original = {"uuid": f"{10:032x}", "name": "r10", "kind": "cache"}
    await asked.store.write(
        [
            deleted_row(10, cacheKey=key, **facts),
            deleted_row(11, cacheKey=key, original=original, **facts),
            deleted_row(12, cacheKey=key, phase="Failed", **facts),
            deleted_row(13, cacheKey="0b" * 32, **facts),
        ]
    )
    await start(asked)
    query = f"cache_key: {key}, status: succeeded, original: nil"
    question = StoredRuns(query, "-finished_at", 4)
    (found,) = await asked.ask(question)
    assert found["status"]["outputs"] == {"loss": 0.25}
    assert await asked.numbers(question) == [10]


async def test_a_large_search_is_answered_in_pages(asked: Asked) -> None:
    await asked.store.write([deleted_row(number, tags=["a"]) for number in range(1000, 1600)])
    await start(asked)
    found = await asked.numbers(StoredRuns("tags: a", "name", 5000))
    assert found == list(range(1000, 1600))
    assert await asked.numbers(StoredRuns("tags: a", "name", 550)) == found[:550]


async def test_what_cannot_be_asked_is_said_so(asked: Asked, tmp_path: Path) -> None:
    await start(asked)
    with pytest.raises(QuestionRefused):
        await asked.ask(StoredRuns("no-such-field: 1", "", 10))
    async with open_client(asked.server, tmp_path, "another") as client:
        with pytest.raises(PlatformError, match="does not accept the operator's token"):
            await client.ask("n", StoredRun("0" * 32))
        (tmp_path / "token-another").unlink()
        with pytest.raises(PlatformError, match="own token for the API cannot be read"):
            await client.ask("n", StoredRun("0" * 32))
    async with TestServer(create_app(MemoryRuns(["n"]), StaticToken("secret"))) as server:
        client = open_client(server, tmp_path)
        async with client:
            with pytest.raises(NoStore):
                await client.ask("n", StoredRun("0" * 32))
    async with client:
        with pytest.raises(PlatformError, match="the API does not answer"):
            await client.ask("n", StoredRun("0" * 32))
