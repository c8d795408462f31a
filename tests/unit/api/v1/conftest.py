"""The application on the loopback over seven runs in memory, the newest last."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from opstrand.api.app import create_app
from opstrand.api.auth.callers import StaticToken
from opstrand.api.v1 import discovery
from opstrand.runs.memory import MemoryRuns
from opstrand.types import Body

PROJECT = "team"


def run(number: int, **status: Any) -> Body:
    """Return a run that was created so many seconds after the first."""
    uid = f"00000000-0000-4000-8000-{number:012}"
    metadata = {
        "name": f"run-{number}",
        "namespace": PROJECT,
        "uid": uid,
        "creationTimestamp": f"2026-01-02T03:04:{number:02}Z",
        "labels": {"parity": "odd" if number % 2 else "even"},
    }
    known = {"uuid": uid.replace("-", ""), "kind": "job", "phase": "Succeeded"}
    spec = {"component": {"run": {"kind": "job"}}}
    return {"metadata": metadata, "spec": spec, "status": {**known, **status}}


@pytest.fixture
async def runs() -> MemoryRuns:
    keeper = MemoryRuns(projects=["empty"])
    for number in range(1, 7):
        await keeper.put(run(number, outputs={"loss": None, "n": number}))
    await keeper.put(run(7, phase="Running"))
    return keeper


@pytest.fixture
async def api(runs: MemoryRuns) -> AsyncIterator[TestClient[Any, Any]]:
    server = TestServer(create_app(runs, StaticToken("secret"), resources=discovery.ROUTES))
    async with TestClient(server, headers={"Authorization": "Bearer secret"}) as client:
        yield client
