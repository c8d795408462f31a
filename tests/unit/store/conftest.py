"""The databases in which every test of the store is done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from opstrand.store.opening import open_store
from opstrand.store.store import RunStore


@pytest_asyncio.fixture(loop_scope="session")
async def store(tmp_path: Path) -> AsyncIterator[RunStore]:
    opened = await open_store(f"sqlite://{tmp_path / 'runs.db'}")
    yield opened
    await opened.close()
