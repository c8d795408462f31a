"""The databases in which every test of the store is done: SQLite and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.support.postgres import PostgresServer, serve_postgres

from opstrand.store.opening import open_store
from opstrand.store.store import RunStore


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    yield from serve_postgres()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite://{tmp_path / 'runs.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest_asyncio.fixture(loop_scope="session")
async def store(store_url: str) -> AsyncIterator[RunStore]:
    opened = await open_store(store_url)
    yield opened
    await opened.close()
