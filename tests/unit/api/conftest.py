"""The application on the loopback over runs in memory, with one run."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from tests.support.running_run import operation

from opstrand.api.app import create_app
from opstrand.api.auth.callers import StaticToken
from opstrand.runs.memory import MemoryRuns


@pytest.fixture
async def runs() -> MemoryRuns:
    keeper = MemoryRuns(projects=["quick-start"])
    await keeper.put(operation())
    return keeper


@pytest.fixture
async def api(runs: MemoryRuns) -> AsyncIterator[TestClient[Any, Any]]:
    server = TestServer(create_app(runs, StaticToken("secret")))
    async with TestClient(server, headers={"Authorization": "Token secret"}) as client:
        yield client
