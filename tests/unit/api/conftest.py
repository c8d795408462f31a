"""The application on the loopback over runs in memory, and a run to ask about."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from opstrand.api.app import create_app
from opstrand.api.auth.callers import StaticToken
from opstrand.runs.memory import MemoryRuns

UUID = "4f0c1a2b4f0c1a2b4f0c1a2b4f0c1a2b"
RUN = f"/api/v1/default/quick-start/runs/{UUID}"


def operation(**status: Any) -> dict[str, Any]:
    """The body of a running `echo`; `status` is laid over what the freeze wrote."""
    frozen = {
        "uuid": UUID,
        "kind": "job",
        "phase": "Running",
        "pod": {"name": "echo-4f0c1a2b-0", "uid": "pod-uid", "node": "node1"},
        "inputs": {"message": "test 1"},
        "outputs": {},
        "meta": {},
        "startedAt": "2026-01-02T03:04:07Z",
        "history": [{"status": "created", "at": "2026-01-02T03:04:05Z"}, {"status": "running", "at": "2026-01-02T03:04:07Z"}],
    }
    meta = {"name": "echo", "namespace": "quick-start", "uid": "4f0c1a2b-4f0c-1a2b-4f0c-1a2b4f0c1a2b"}
    meta["creationTimestamp"] = "2026-01-02T03:04:05Z"
    return {"metadata": meta, "spec": {"component": {"run": {"kind": "job"}}}, "status": {**frozen, **status}}


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
