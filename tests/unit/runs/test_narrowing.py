"""The store and the query on bodies select the same runs, in the same order: on any runs and any
query that the store decides.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.postgres import PostgresServer
from tests.support.stores import final_body

from opstrand.api.published.listing import Searched
from opstrand.core.names import RESTART_OF
from opstrand.errors import SpecError
from opstrand.runs.archive import Archive
from opstrand.runs.namespaces import Namespaces
from opstrand.runs.narrowing import narrow
from opstrand.runs.protocols import Listed, Search
from opstrand.runs.records import make_row
from opstrand.runs.searching import select
from opstrand.store.opening import open_store

WORDS = ("a", "A", "true", "True", "1", "0.5", "x y", "ü")
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.5, -1.5]),
    st.sampled_from(WORDS),
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.just({"k": 1}))
TIMES = st.sampled_from(
    ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-02T23:59:59Z", "2026-02-01T12:00:00Z"]
)
UUIDS = [f"{number:032x}" for number in range(3)]
FIELDS = ("outputs.v", "metrics.v", "inputs.v", "meta.v", "tags")
CONDITIONS = st.one_of(
    st.tuples(
        st.sampled_from((*FIELDS, "cache_key", "name", "status", "kind", "duration", "created_at")),
        st.sampled_from(("", "~")),
        st.one_of(
            st.sampled_from([*WORDS, "run-1", "succeeded", "failed|stopped", "nil", "a|1|true"]),
            st.sampled_from(["%a%", "a%", "%1"]),
        ),
    ),
    st.tuples(
        st.sampled_from((*FIELDS[:4], "duration")),
        st.sampled_from(("", "~")),
        st.sampled_from(["<1", "<=1", ">0", ">=-1.5", "0..2", ">=nan"]),
    ),
    st.tuples(
        st.sampled_from(("created_at", "started_at", "finished_at")),
        st.sampled_from(("", "~")),
        st.sampled_from(["<2026-01-02", ">=2026-01-02", "2026-01-01..2026-01-02", "nil"]),
    ),
    st.tuples(
        st.sampled_from(("uuid", "original", "upstream", "pipeline")),
        st.sampled_from(("", "~")),
        st.sampled_from([*UUIDS, f"{UUIDS[0]}|{UUIDS[1]}", "nil"]),
    ),
)
QUERIES = st.lists(CONDITIONS, max_size=2).map(
    lambda parts: ", ".join(f"{field}: {sign}{test}" for field, sign, test in parts)
)
SORTS = st.sampled_from(
    [None, "created_at", "-started_at,status", "name", "-duration", "kind", "-uuid", "outputs.v"]
)


@st.composite
def bodies(draw: st.DrawFn) -> list[dict[str, Any]]:
    def optional(strategy: st.SearchStrategy[Any]) -> Any:
        return draw(st.one_of(st.none(), strategy))

    made = []
    for number in range(draw(st.integers(0, 5))):
        status = {
            "startedAt": optional(TIMES),
            "finishedAt": optional(TIMES),
            "duration": optional(st.sampled_from([0, 1, 2.5])),
            "outputs": {"v": draw(VALUES)},
            "inputs": {"v": draw(VALUES)},
            "meta": {"v": draw(VALUES)},
            "cacheKey": optional(st.sampled_from(WORDS)),
            "original": optional(st.sampled_from(UUIDS).map(lambda uuid: {"uuid": uuid})),
            "tags": optional(st.lists(st.sampled_from(WORDS), max_size=2)),
            "upstream": [
                {"uuid": one} for one in draw(st.lists(st.sampled_from(UUIDS), max_size=2))
            ],
        }
        original = optional(st.sampled_from(UUIDS))
        metadata = {"annotations": {RESTART_OF: original}} if original else {}
        made.append(
            final_body(
                number,
                phase=draw(st.sampled_from(["Succeeded", "Failed", "Stopped"])),
                created=draw(TIMES),
                spec={"name": optional(st.sampled_from(WORDS))},
                metadata=metadata,
                **{key: value for key, value in status.items() if value is not None},
            )
        )
    return made


class OneNamespace:
    def __init__(self, uid: str) -> None:
        self._uid = uid

    async def get(self, *_: Any) -> dict[str, Any]:
        return {"metadata": {"uid": self._uid}}


#: Each example has a namespace of its own in the one database.
_examples = itertools.count()


def in_example(body: dict[str, Any], namespace: str) -> dict[str, Any]:
    uid = f"{namespace}-{body['metadata']['uid']}"
    return {**body, "metadata": {**body["metadata"], "uid": uid}}


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def store_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if request.param == "sqlite":
        return f"sqlite://{tmp_path_factory.mktemp('store') / 'runs.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@asynccontextmanager
async def archive_of(
    made: list[dict[str, Any]], url: str, namespace: str
) -> AsyncIterator[Archive]:
    store = await open_store(url)
    try:
        rows = [make_row(one, deleted_at=1.0, namespace_uid=namespace) for one in made]
        await store.write(rows)
        yield Archive(store, Namespaces(OneNamespace(namespace)))
    finally:
        await store.close()


def find(query: str | None, sort: str | None, limit: int = 100, offset: int = 0) -> Search:
    return Search(query, sort, offset, limit, fields=lambda run: Searched(run, "default"))


def uids(runs: Any) -> list[str]:
    return [one.run.head["metadata"]["uid"] for one in runs]


def attempt(search: Search, made: list[dict[str, Any]]) -> list[str] | None:
    """Return what the query on bodies selects; None if it is refused."""
    try:
        return uids(select(map(Listed, made), search))
    except SpecError:
        return None


@given(bodies(), QUERIES, SORTS)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_store_selects_what_the_query_on_bodies_selects(
    store_url: str, made: list[dict[str, Any]], query: str, sort: str | None
) -> None:
    namespace = f"namespace-{next(_examples)}"
    made = [in_example(one, namespace) for one in made]

    async def compare() -> None:
        async with archive_of(made, store_url, namespace) as archive:
            search = find(query, sort)
            if (expected := attempt(search, made)) is None:
                with pytest.raises(SpecError):
                    await archive.search("n", search)
                return
            found = await archive.search("n", search)
            assert found.count == len(expected)
            assert uids(found.runs) == expected

    asyncio.run(compare())


@pytest.mark.parametrize(
    ("query", "is_exact"),
    [
        ("", True),
        ("status: succeeded, metrics.loss: <0.1", True),
        ("created_at: 2026-01-01..2026-02-01", True),
        ("tags: a|b, inputs.x: ~1", True),
        ("upstream: " + UUIDS[0], True),
        (f"cache_key: {'0a' * 32}, status: succeeded, original: nil", True),
        ("metrics.loss: 0.1..0.2", False),
        ("name: %a%", False),
    ],
)
def test_frequent_queries_are_decided_in_the_store(query: str, is_exact: bool) -> None:
    assert narrow(query, None).is_exact is is_exact
