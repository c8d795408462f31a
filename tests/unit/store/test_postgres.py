"""What is different where the store is a PostgreSQL server: it may be away, and several replicas of
the API use it.
"""

from __future__ import annotations

import asyncio

import pytest
from tests.support.postgres import PostgresServer
from tests.support.stores import NAMESPACE_UID, deleted_row

from opstrand.errors import PlatformError
from opstrand.store import migrations
from opstrand.store.migrations import MIGRATIONS, NEWEST, Migration
from opstrand.store.opening import open_store
from opstrand.store.rows import Selection

ALL = Selection(NAMESPACE_UID)


async def test_a_server_that_is_away_is_found_when_it_is_back() -> None:
    server = PostgresServer()
    try:
        server.start()
        url = server.new_database()
        server.stop()
        store = await open_store(url)
        with pytest.raises(PlatformError, match="does not work"):
            await store.write([deleted_row(1)])
        server.start()
        await store.write([deleted_row(1)])
        server.stop()
        with pytest.raises(PlatformError, match="does not work"):
            await store.count(ALL)
        server.start()
        assert await store.count(ALL) == 1
        await store.close()
    finally:
        server.close()


async def test_an_error_does_not_contain_the_password() -> None:
    store = await open_store("postgresql://user:secret@127.0.0.1:1/runs?sslmode=disable")
    with pytest.raises(PlatformError, match=r"postgresql://127\.0\.0\.1:1/runs") as raised:
        await store.count(ALL)
    assert "secret" not in str(raised.value)


async def test_replicas_that_start_together_make_one_schema(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    stores = [await open_store(url) for _ in range(3)]
    await asyncio.gather(*(one.write([deleted_row(n)]) for n, one in enumerate(stores)))
    assert [await one.count(ALL) for one in stores] == [3, 3, 3]
    for one in stores:
        await one.close()


async def test_a_step_of_the_schema_leaves_a_copy_and_a_newer_schema_is_refused(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.new_database()
    store = await open_store(url)
    await store.write([deleted_row(1)])
    await store.close()
    step = Migration(NEWEST + 1, ("ALTER TABLE runs ADD COLUMN further {text}",))
    monkeypatch.setattr(migrations, "MIGRATIONS", (*MIGRATIONS, step))
    monkeypatch.setattr(migrations, "NEWEST", step.number)
    store = await open_store(url)
    assert await store.count(ALL) == 1
    await store.close()
    monkeypatch.undo()
    copy = await open_store(f"{url}?options=-csearch_path%3Dbefore_{step.number}")
    assert await copy.count(ALL) == 1
    await copy.close()
    store = await open_store(url)
    with pytest.raises(PlatformError, match=f"has schema {NEWEST + 1}"):
        await store.count(ALL)
    await store.close()
