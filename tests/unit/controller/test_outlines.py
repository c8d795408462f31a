"""The outlines of pipelines, as this process and as a worker read them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.builders import body

from opstrand.controller import decision_job
from opstrand.controller.outlines import Outlines
from opstrand.core.lifecycle.snapshot import Snapshot
from opstrand.core.packed import LARGE, is_large, pack
from opstrand.core.pipelines.outline import Outline
from opstrand.core.templates.template import refuse
from opstrand.errors import SpecError
from opstrand.settings import Settings
from opstrand.workers.pool import open_pool


async def read(*operations: dict[str, Any], bulk: int) -> Outline | SpecError:
    """Return the outline of a pipeline whose file has at least `bulk` bytes."""
    run = {"kind": "dag", "operations": [*operations, op("bulk", env="x" * bulk)]}
    made = pack(body({"component": {"run": run}}))
    assert is_large(made) == (bulk > LARGE)
    settings = Settings()
    pool = open_pool(settings, modules=(decision_job.MODULE,))
    snapshot = Snapshot(made, SpecError("none", "none"), datetime.now(UTC), settings, refuse)
    try:
        return await Outlines().read(snapshot, ("team", "run"), pool, settings)
    finally:
        pool.close()


def op(name: str, *dependencies: str, env: str = "") -> dict[str, Any]:
    container = {"image": "busybox", "env": [{"name": "BULK", "value": env}]}
    run = {"kind": "job", "container": container}
    return {"name": name, "dependencies": list(dependencies), "component": {"run": run}}


@pytest.mark.parametrize("bulk", [0, 2 * LARGE])
async def test_a_file_is_read_here_or_in_a_worker(bulk: int) -> None:
    found = await read(op("a"), op("b", "a"), bulk=bulk)
    assert isinstance(found, Outline)
    assert found.graph.ops[1].upstreams == (0,)
    assert found.read_specs([1])[1]["name"] == "b"


@pytest.mark.parametrize("bulk", [0, 2 * LARGE])
async def test_a_file_that_cannot_be_read_any_more_gives_its_error(bulk: int) -> None:
    found = await read(op("a", "b"), op("b", "a"), bulk=bulk)
    assert isinstance(found, SpecError)
    assert found.reason == "InvalidSpec"
