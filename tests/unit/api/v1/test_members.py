"""The members of a pipeline cost a bounded part of the memory, however large its runs are."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from tests.support.builders import JOB, child_of, parent_of

from opstrand.api.app import create_app
from opstrand.api.auth.callers import StaticToken
from opstrand.api.v1 import discovery
from opstrand.core.packed import LARGE
from opstrand.runs.index import Index
from opstrand.runs.memory import MemoryRuns
from opstrand.runs.protocols import Listed
from opstrand.types import Body

PATH = "/apis/runs.opstrand.dev/v1alpha1/namespaces/team/runs/sweep/members"
#: More than one answer may have of 200,000 characters each.
RUNS, SIZE, MOST = 60, 200_000, 8 * 1024 * 1024


class IndexedRuns(MemoryRuns):
    """Lists runs from the index, as the API does in a cluster."""

    def __init__(self) -> None:
        super().__init__(projects=["team"])
        self.index = Index()

    async def list(self, project: str) -> Sequence[Listed]:
        return self.index.list(project)


class Whole(dict[str, Any]):
    """A body that is whole, of which can be known how long it is held."""

    __hash__ = object.__hash__  # type: ignore[assignment]


def sweep() -> Body:
    values = [{"x": number} for number in range(RUNS)]
    spec = {**JOB, "matrix": {"kind": "mapping", "values": values}}
    return parent_of("sweep", "s" * RUNS, spec, kind="matrix")


def made(parent: Body, number: int, *, params: int = 0, outputs: int = 0) -> Body:
    """Return a run of the sweep with a param and outputs of so many characters."""
    given = {"x": {"value": number}, "own": {"value": "x" * params}}
    annotations = {"note": "x" * 2 * LARGE}
    body = child_of(parent, number, "Succeeded", {**JOB, "params": given})
    body["metadata"]["annotations"] = {**body["metadata"].get("annotations", {}), **annotations}
    body["status"] |= {"outputs": {"text": "x" * outputs}}
    return body


async def members(*bodies: Body) -> tuple[list[Any], int]:
    """Return the members of the first of these runs, and the length of the answer."""
    runs = IndexedRuns()
    for body in bodies:
        body["metadata"] |= {"namespace": "team", "creationTimestamp": "2026-01-01T12:00:00Z"}
        runs.index.put(body)
    await runs.put(bodies[0])
    app = create_app(runs, StaticToken("secret"), resources=discovery.ROUTES)
    async with (
        TestClient(TestServer(app), headers={"Authorization": "Bearer secret"}) as api,
        api.get(PATH) as answer,
    ):
        text = await answer.text()
        assert answer.status == 200, text
        return (await answer.json())["items"], len(text)


async def test_the_outputs_of_all_members_share_one_bound() -> None:
    parent = sweep()
    found, size = await members(parent, *(made(parent, one, outputs=SIZE) for one in range(RUNS)))
    assert size < MOST + 1024 * 1024
    assert sum("outputs" in one for one in found) == MOST // SIZE
    assert [one["params"] for one in found] == [{"x": number} for number in range(RUNS)]
    assert {one["phase"] for one in found} == {"Succeeded"}
    assert all(one["uuid"] for one in found)


async def test_a_large_param_that_the_matrix_does_not_give_takes_no_room() -> None:
    parent = sweep()
    runs = [made(parent, one, params=SIZE, outputs=1) for one in range(RUNS)]
    found, _ = await members(parent, *runs)
    assert [one["params"] for one in found] == [{"x": number} for number in range(RUNS)]
    assert all(one["outputs"] == {"text": "x"} for one in found)


async def test_the_runs_are_unpacked_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    held, most, unpack = weakref.WeakSet[Any](), 0, Listed.whole.fget  # type: ignore[attr-defined]

    def record(run: Listed) -> Body:
        nonlocal most
        body = Whole(unpack(run))
        held.add(body)
        most = max(most, len(held))
        return body

    monkeypatch.setattr(Listed, "whole", property(record))
    parent = sweep()
    found, _ = await members(parent, *(made(parent, one, outputs=1) for one in range(RUNS)))
    assert len(found) == RUNS
    # The one before is given up when the next one is there, and a search may hold one.
    assert 0 < most < 5
