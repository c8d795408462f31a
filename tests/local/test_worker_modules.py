"""A worker imports what its jobs need, and nothing else: every module costs CPU time at every
start, and a template could reach it.
"""

from __future__ import annotations

import ast
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import opstrand
from opstrand.api import content_job, members_job, validation
from opstrand.controller import decision_job
from opstrand.core.planning.connections import EMPTY
from opstrand.settings import Settings
from opstrand.workers.pool import Pool

NOW = datetime(2026, 1, 1, tzinfo=UTC)
#: What the operator and the API build on, and no decision uses.
FORBIDDEN = {
    *(
        "aiohttp",
        "asyncio",
        "click",
        "concurrent.futures",
        "http.client",
        "kopf",
        "kubernetes",
        "multidict",
        "rich",
    ),
    *("socketserver", "ssl", "urllib.request", "yarl"),
    *(
        "opstrand.kube.client",
        "opstrand.controller.gather",
        "opstrand.handlers",
        "opstrand.local",
        "opstrand.runs.protocols",
        "opstrand.workers.pool",
    ),
}
CONTAINER = {"image": "busybox", "args": ["{{ globals.name }}", "{{ [1, 2] | sum }}"]}
METADATA = {"name": "a", "namespace": "ns", "uid": "1", "generation": 1}
COMPONENT = {"run": {"kind": "job", "container": CONTAINER}}
SPECS: tuple[dict[str, Any], ...] = (
    {"component": COMPONENT},
    {
        "component": COMPONENT,
        "matrix": {
            "kind": "random",
            "numRuns": 2,
            "params": {"a": {"kind": "uniform", "value": [0, 1]}},
        },
    },
    {"component": {"run": {"kind": "dag", "operations": [{"name": "a", "component": COMPONENT}]}}},
    {
        "component": {"run": {"kind": "pytorchjob", "master": {"container": CONTAINER}}},
        "schedule": {"kind": "cron", "cron": "0 0 * * *"},
    },
    {"component": {"run": {"kind": "service", "ports": [80], "container": CONTAINER}}},
    {"component": {"run": {"kind": "no such"}}},
)
SEEN = {"measure": None, "catalog": EMPTY}
PIPELINE = {"kind": "Operation", "metadata": METADATA, "spec": SPECS[2], "status": {}}
CHILD = {
    "kind": "Operation",
    "metadata": {
        **METADATA,
        "name": "a-1",
        "labels": {"opstrand.dev/pipeline": "1"},
        "annotations": {"opstrand.dev/op": "a"},
    },
    "spec": SPECS[0],
    "status": {"phase": "Succeeded"},
}
JOBS: dict[str, list[tuple[str, tuple[Any, ...]]]] = {
    decision_job.MODULE: [
        ("decide_run", (Settings(), {"metadata": METADATA, "spec": spec}, None, None, NOW, SEEN))
        for spec in SPECS
    ],
    validation.MODULE: [
        ("parse_apart", (json.dumps({"kind": "component", "name": "a", **COMPONENT}), EMPTY, {}))
    ],
    members_job.MODULE: [("read_members", (PIPELINE, [CHILD]))],
    content_job.MODULE: [("compile_text", ({"spec": SPECS[0], "status": {}},))],
}


@pytest_asyncio.fixture(loop_scope="session", params=JOBS)
async def pool(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Pool, str]]:
    made = Pool(modules=(request.param,), workers=1, seconds=10.0)
    yield made, request.param
    made.close()


async def list_modules(pool: Pool) -> set[str]:
    return set((await pool.run("support.jobs:list_modules", group="ns")).value)


async def test_a_worker_has_nothing_of_a_cluster_or_of_http(pool: tuple[Pool, str]) -> None:
    loaded = await list_modules(pool[0])
    assert pool[1] in loaded
    assert loaded & FORBIDDEN == set()


async def test_a_job_finds_everything_loaded(pool: tuple[Pool, str]) -> None:
    """What a worker had to load for its first job, every worker would load again."""
    before = await list_modules(pool[0])
    for job, arguments in JOBS[pool[1]]:
        assert (await pool[0].run(f"{pool[1]}:{job}", *arguments, group="ns")).value is not None
    assert await list_modules(pool[0]) - before == set()


def test_every_module_that_is_loaded_for_workers_is_tried_here() -> None:
    """`open_pool(..., modules=(a.MODULE, ...))`, wherever it is called."""
    given = set()
    for file in Path(opstrand.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("open_pool", "Pool"):
                given |= {
                    ast.unparse(one)
                    for key in node.keywords
                    if key.arg == "modules"
                    for one in getattr(key.value, "elts", ())
                }
    assert len(JOBS) == 4
    assert given == {
        "decision_job.MODULE",
        "validation.MODULE",
        "content_job.MODULE",
        "members_job.MODULE",
    }
