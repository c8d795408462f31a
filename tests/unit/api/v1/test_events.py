"""The history of metrics, as the API keeps it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from tests.support.loopback_api import keep_files

from opstrand.api.app import create_app
from opstrand.api.auth.callers import StaticToken
from opstrand.api.v1 import discovery
from opstrand.runs.memory import MemoryRuns

RUNS = "/apis/runs.opstrand.dev/v1alpha1/namespaces/team/runs"
Client = TestClient[Any, Any]
HEAD = "step|timestamp|metric"
FILES = {
    "events/metric/loss.plx": f"{HEAD}\n1|a|0.5\n2|b|nan\n3|c|0.25",
    "events/metric/acc.plx": f"{HEAD}\n|a|1",
    "resources/metric/cpu.plx": f"{HEAD}\n|a|12.5",
}


@pytest.fixture
async def logged(runs: MemoryRuns, tmp_path: Path) -> AsyncIterator[Client]:
    """Yield the API, which keeps the metrics of run-1."""
    kept = keep_files(tmp_path)
    assert kept is not None
    files = await kept.open("team", runs.bodies["team", "run-1"]["status"]["uuid"])
    for path, text in FILES.items():
        (files.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (files.folder / path).write_text(text)
    app = create_app(runs, StaticToken("secret"), files=kept, resources=discovery.ROUTES)
    async with TestClient(TestServer(app), headers={"Authorization": "Bearer secret"}) as client:
        yield client


async def read(client: Client, run: str, **query: str) -> Any:
    async with client.get(f"{RUNS}/{run}/events/metric", params=query) as answer:
        assert answer.status == 200, await answer.text()
        found = await answer.json()
    assert (found["kind"], found["apiVersion"]) == ("SeriesList", "runs.opstrand.dev/v1alpha1")
    return found["items"]


async def test_all_metrics_of_a_run(logged: Client) -> None:
    acc, loss = await read(logged, "run-1")
    assert acc == {"name": "acc", "columns": {"step": [None], "timestamp": ["a"], "metric": [1]}}
    assert loss["columns"]["metric"] == [0.5, None, 0.25]
    assert await read(logged, "run-2") == []


async def test_some_metrics_and_those_of_the_machine(logged: Client) -> None:
    found = await read(logged, "run-1", names="loss,none", sample="2")
    assert [(one["name"], one["columns"]["step"]) for one in found] == [("loss", [1, 3])]
    (cpu,) = await read(logged, "run-1", resources="true")
    assert (cpu["name"], cpu["columns"]["metric"]) == ("cpu", [12.5])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("run-1/events/metric?sample=0", 400),
        ("run-1/events/metric?sample=x", 400),
        ("run-1/events/metric?names=../x", 400),
        ("run-1/events/metric?resources=maybe", 400),
        ("no-such/events/metric", 404),
    ],
)
async def test_what_is_refused(logged: Client, path: str, status: int) -> None:
    async with logged.get(f"{RUNS}/{path}") as answer:
        assert (answer.status, (await answer.json())["kind"]) == (status, "Status")
