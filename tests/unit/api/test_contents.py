"""`content` is what a run compiles to, `raw_content` what was sent; the cost of compiling is
bounded, and paid once.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from tests.support.running_run import RUN, operation

from opstrand.api import content_job, contents
from opstrand.api.contents import Contents
from opstrand.runs.memory import MemoryRuns
from opstrand.settings import Settings
from opstrand.workers.pool import Pool, open_pool

RUNS = "/api/v1/default/quick-start/runs"
JOB = {"kind": "job", "container": {"image": "a", "args": ["{{ message }}"]}}
SPEC = {
    "params": {"message": {"value": "x"}},
    "component": {"inputs": [{"name": "message", "type": "str"}], "run": JOB},
}
PLACED = [{"name": "message", "type": "str", "value": "x", "isOptional": True}]


def body(spec: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "quick-start"}, "spec": spec, "status": status}


@pytest.fixture
async def pool(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pool]:
    """Yield a pool with limits that a busy machine does not reach."""
    monkeypatch.setattr(contents, "_PATIENCE", 60.0)
    made = open_pool(Settings(), modules=(content_job.MODULE,))
    yield made
    made.close()


async def test_one_run_shows_both_and_a_list_shows_neither(
    api: TestClient[Any, Any], runs: MemoryRuns
) -> None:
    await runs.put({**operation(inputs={"message": "x"}), "spec": SPEC})
    view = await (await api.get(RUN)).json()
    assert json.loads(view["raw_content"]) == SPEC
    assert json.loads(view["content"]) == {
        "version": 1.1,
        "kind": "compiled_operation",
        "inputs": PLACED,
        "run": JOB,
    }
    [listed] = (await (await api.get(RUNS)).json())["results"]
    assert not {"content", "raw_content"} & listed.keys()


async def test_what_was_sent_and_started_again_shows_both(api: TestClient[Any, Any]) -> None:
    made = await (
        await api.post(
            RUNS, json={"content": json.dumps({"version": 1.1, "kind": "operation", **SPEC})}
        )
    ).json()
    again = await (await api.post(f"{RUNS}/{made['uuid']}/restart", json={})).json()
    for view in (made, again):
        assert json.loads(view["content"])["inputs"] == PLACED
        assert json.loads(view["raw_content"])["params"] == SPEC["params"]


@pytest.mark.parametrize(
    "spec",
    [
        {"params": {"a": {"value": 1}}, "component": {"run": {"kind": "jib"}}},
        {"hubRef": "unknown"},
        {},
        {"component": 3},
    ],
    ids=["invalid", "hub", "empty", "odd"],
)
async def test_what_does_not_compile_is_shown_as_it_was_sent(
    spec: dict[str, Any], pool: Pool
) -> None:
    for kept in (Contents(), Contents(pool)):
        found = await kept.read(body(spec))
        assert json.loads(found.compiled) == json.loads(found.sent) == spec


class Noting(Pool):
    """Wraps a pool and records the outcome of each job."""

    def __init__(self, pool: Pool) -> None:
        self._real = pool
        self.outcomes: list[str] = []

    async def run(self, *arguments: Any, **more: Any) -> Any:
        try:
            done = await self._real.run(*arguments, **more)
        except Exception as error:
            self.outcomes.append(type(error).__name__)
            raise
        self.outcomes.append("done")
        return done


async def test_a_large_file_is_compiled_in_a_worker_once(pool: Pool) -> None:
    large = {**SPEC, "description": "x" * 20_000}
    noting = Noting(pool)
    kept = Contents(noting)
    answers = await asyncio.gather(*(kept.read(body(large)) for _ in range(20)))
    assert all(json.loads(found.compiled)["inputs"] == PLACED for found in answers)
    assert noting.outcomes == ["done"]
    assert (
        json.loads((await kept.read(body(large, inputs={"message": "y"}))).compiled)["inputs"][0][
            "value"
        ]
        == "y"
    )
    assert noting.outcomes == ["done", "done"]


async def test_what_takes_too_long_is_shown_as_it_was_sent_and_not_tried_again(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "_WORK", 0.05)
    step = {"kind": "operation", "component": {"kind": "component", "run": JOB}}
    spec = {
        "component": {
            "run": {
                "kind": "dag",
                "operations": [{**step, "name": f"s{number}"} for number in range(3_000)],
            }
        }
    }
    noting = Noting(pool)
    kept = Contents(noting)
    for _ in range(3):
        found = await kept.read(body(spec))
        assert found.compiled == found.sent
    assert noting.outcomes == ["Exceeded"]


async def test_what_is_remembered_is_bounded() -> None:
    kept = Contents(memory=2_000)
    for number in range(50):
        found = await kept.read(body({**SPEC, "description": f"{number}"}))
        assert json.loads(found.compiled)["description"] == f"{number}"
    assert len(kept._known) < 10
    large = await kept.read(body({**SPEC, "description": "x" * 5_000}))
    assert json.loads(large.compiled)["inputs"] == PLACED
