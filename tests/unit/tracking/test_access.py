"""A run's token against the routes: its own run even where the watch lags, and no other."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from opstrand.tracking.app import create_app
from opstrand.tracking.auth import Caller, Verb
from opstrand.tracking.memory import MemoryRuns
from opstrand.tracking.runs import Body

from .conftest import RUN, operation


class PodAuth:
    """Every token is a Pod's name in quick-start; its uid is `pod-uid`."""

    async def identify(self, token: str) -> Caller:
        return Caller(name="sa", namespace="quick-start", pod_name=token, pod_uid="pod-uid")

    async def may(self, caller: Caller, verb: Verb, project: str) -> bool:
        raise AssertionError("never asked for a run")


class LaggingRuns(MemoryRuns):
    """Knows the run as it was before the freeze until the keeper is asked."""

    async def get(self, project: str, uuid: str, *, newest: bool = False) -> Body:
        body = await super().get(project, uuid)
        return body if newest else {**body, "status": {"phase": "Created"}}


@pytest.fixture
async def lagging() -> AsyncIterator[TestClient[Any, Any]]:
    runs = LaggingRuns()
    await runs.put(operation())
    async with TestClient(TestServer(create_app(runs, PodAuth()))) as client:
        yield client


async def test_a_run_reads_and_writes_itself_before_the_watch_told_of_its_freeze(lagging: TestClient[Any, Any]) -> None:
    own = {"Authorization": "Token echo-4f0c1a2b-0"}
    assert (await (await lagging.get(RUN, headers=own)).json())["inputs"] == {"message": "test 1"}
    assert (await lagging.patch(RUN, headers=own, json={"outputs": {"a": 1}, "merge": True})).status == 200


async def test_another_run_must_not_even_learn_that_it_could_not_write(lagging: TestClient[Any, Any]) -> None:
    other = {"Authorization": "Token other-0"}
    missing = await lagging.patch(RUN[:-1] + "0", headers=other, json={})
    refused = await lagging.patch(RUN, headers=other, json={"outputs": {"a": 1}})
    assert (refused.status, await refused.read()) == (missing.status, await missing.read()) == (404, b'{"detail": "Not found."}')
    assert (await lagging.post(RUN + "/stop", headers=other)).status == 403
    assert (await lagging.get("/api/v1/default/elsewhere/runs", headers=other)).status == 404
