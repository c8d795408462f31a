"""Which Operations the API deletes: those that are over and stored, oldest first, and no others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.support.steady import works_on
from tests.support.stores import NAMESPACE_UID, final_body

from opstrand.core.names import API_VERSION, CREATED_BY, HOOK
from opstrand.kube.errors import NotFound
from opstrand.runs.records import make_row
from opstrand.runs.retention import Limits, Retention, select_excess
from opstrand.store.opening import open_store
from opstrand.store.store import RunStore
from opstrand.types import Body, Manifest

NOW = 1767225600.0 + 100  # 2026-01-01T00:01:40Z
CHILD = [{"apiVersion": API_VERSION, "kind": "Operation", "name": "run-1", "uid": "uid-1"}]


def run(number: int, *, by: str = "cli", **facts: Any) -> dict[str, Any]:
    """Return a run that ended so many seconds before NOW minus 100."""
    metadata = {"labels": {CREATED_BY: by}, **facts.pop("metadata", {})}
    ended = f"2026-01-01T00:00:{number:02}Z"
    return final_body(number, metadata=metadata, **{"finishedAt": ended, **facts})


def child(number: int, **facts: Any) -> dict[str, Any]:
    owners = [{**CHILD[0], "controller": True}]
    return run(number, metadata={"ownerReferences": owners}, **facts)


def hook(number: int, **facts: Any) -> dict[str, Any]:
    """Return the run of a hook of run-1, which its owner does not control."""
    labels = {HOOK: "uid1", CREATED_BY: "operator"}
    return run(number, metadata={"ownerReferences": CHILD, "labels": labels}, **facts)


FIVE = [run(number) for number in (3, 1, 5, 2, 4)]


@pytest.mark.parametrize(
    ("runs", "limits", "expected"),
    [
        (FIVE, Limits(), []),
        (FIVE, Limits(seconds=96), ["1", "2", "3"]),
        (FIVE, Limits(per_namespace=3), ["1", "2"]),
        (FIVE, Limits(in_total=4), ["1"]),
        (FIVE, Limits(seconds=97, in_total=1), ["1", "2", "3", "4"]),
        ([run(1, phase="Running"), run(2)], Limits(seconds=1), ["2"]),
        ([run(1, by="other"), run(2)], Limits(seconds=1), ["2"]),
        ([run(1, by="other")], Limits(seconds=1, is_applied_kept=False), ["1"]),
        ([run(1), child(2), child(3)], Limits(seconds=1), ["1 2 3"]),
        ([run(1), child(2), child(3, phase="Running")], Limits(seconds=1), []),
        ([run(1, phase="Running"), child(2)], Limits(seconds=1), []),
        ([child(2)], Limits(seconds=1), ["2"]),
        ([run(1, hooks={"states": "r"}), hook(2)], Limits(seconds=1), ["1 2"]),
        ([run(1, hooks={"states": "r"}), hook(2, phase="Running")], Limits(seconds=1), []),
        ([run(1, hooks={"states": "k."})], Limits(seconds=1), []),
        ([run(1, hooks={"states": "?"})], Limits(seconds=1), []),
    ],
)
def test_what_is_too_much(runs: list[Body], limits: Limits, expected: list[str]) -> None:
    found = select_excess(runs, limits, NOW)
    names = [[one["metadata"]["name"].removeprefix("run-") for one in family] for family in found]
    assert [" ".join(family) for family in names] == expected


class Cluster:
    """Has these Operations; notes with which preconditions each is deleted."""

    def __init__(self, *bodies: Manifest) -> None:
        self.bodies = {one["metadata"]["name"]: one for one in bodies}
        self.deleted: list[tuple[str, str | None, str | None]] = []

    async def wait_until_ready(self) -> None: ...

    def heads(self) -> list[Body]:
        return list(self.bodies.values())

    async def get(self, _: Any, namespace: str | None, name: str) -> Manifest:
        if name not in self.bodies:
            raise NotFound(f"{namespace}/{name}", status=404)
        return self.bodies[name]

    async def delete(
        self, _: Any, __: Any, name: str, *, uid: str | None = None, version: str | None = None
    ) -> None:
        self.deleted.append((name, uid, version))


@pytest_asyncio.fixture(loop_scope="session")
async def store(tmp_path: Path) -> AsyncIterator[RunStore]:
    opened = await open_store(f"sqlite://{tmp_path / 'runs.db'}")
    yield opened
    await opened.close()


async def test_only_the_version_that_is_stored_is_deleted(store: RunStore) -> None:
    stored, changed, unknown = (run(number, version=5) for number in (1, 2, 3))
    await store.write([make_row(one, namespace_uid=NAMESPACE_UID) for one in (stored, changed)])
    changed["metadata"]["resourceVersion"] = "6"
    cluster = Cluster(stored, changed, unknown)
    retention = Retention(Limits(seconds=1), cluster, store, cluster)
    assert await retention.delete_excess(NOW) == 1
    assert cluster.deleted == [("run-1", "uid-1", "5")]


async def test_a_pipeline_waits_until_all_its_runs_are_stored(store: RunStore) -> None:
    family = [run(1, version=5), child(2, version=5)]
    cluster = Cluster(*family)
    retention = Retention(Limits(seconds=1), cluster, store, cluster)
    await store.write([make_row(family[0], namespace_uid=NAMESPACE_UID)])
    assert await retention.delete_excess(NOW) == 0
    await store.write([make_row(family[1], namespace_uid=NAMESPACE_UID)])
    assert await retention.delete_excess(NOW) == 1
    assert cluster.deleted == [("run-1", "uid-1", "5")]


class BrokenCluster(Cluster):
    """Answers what no version of the API server does."""

    async def get(self, _: Any, namespace: str | None, name: str) -> Manifest:
        return {}


async def test_a_bug_does_not_end_the_api(
    store: RunStore, caplog: pytest.LogCaptureFixture
) -> None:
    one = run(1, version=5)
    await store.write([make_row(one, namespace_uid=NAMESPACE_UID)])
    cluster = BrokenCluster(one)
    work = Retention(Limits(seconds=1), cluster, store, cluster).run()
    assert await works_on(work, caplog, after="a bug: old runs are deleted later")
