"""Which records are too many or too old, and the marks of those that were removed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.support.stores import NAMESPACE_UID, deleted_row, final_body

from opstrand.runs.records import make_row
from opstrand.store.rows import Row
from opstrand.store.store import RunStore


def row(number: int, **facts: Any) -> Row:
    """Return the row of a run that ended so many seconds after a moment."""
    return replace(deleted_row(number), finished_at=float(number), **facts)


async def test_the_oldest_are_found_by_age_and_by_count(store: RunStore) -> None:
    of_other = [row(n, namespace_uid="other") for n in (2, 4)]
    await store.write([row(5), row(1), row(3), *of_other])
    excess = store.excess
    assert await excess.older(3.0, limit=10) == ["uid-1", "uid-2"]
    assert await excess.older(9.0, limit=3) == ["uid-1", "uid-2", "uid-3"]
    assert await excess.beyond(3, limit=10) == ["uid-1", "uid-2"]
    assert await excess.beyond(5, limit=10) == []
    assert await excess.beyond(0, limit=2) == ["uid-1", "uid-2"]
    assert sorted(await excess.beyond_in_each(1, limit=10)) == ["uid-1", "uid-2", "uid-3"]
    assert await excess.beyond_in_each(3, limit=10) == []


async def test_a_run_that_has_no_end_counts_from_its_deletion(store: RunStore) -> None:
    await store.write([replace(deleted_row(1, at=50.0), finished_at=None)])
    assert await store.excess.older(50.0, limit=9) == []
    assert await store.excess.older(51.0, limit=9) == ["uid-1"]


async def test_what_has_an_operation_is_no_excess(store: RunStore) -> None:
    await store.write([make_row(final_body(1), namespace_uid=NAMESPACE_UID)])
    assert await store.excess.older(1e12, limit=9) == []
    assert await store.excess.beyond(0, limit=9) == []
    assert await store.excess.beyond_in_each(0, limit=9) == []


async def test_a_pipeline_counts_as_one(store: RunStore) -> None:
    pipeline, first, second, other = row(9), row(1), row(2), row(3)
    first, second = (replace(one, pipeline=pipeline.uuid) for one in (first, second))
    await store.write([pipeline, first, second, other])
    assert await store.excess.older(99.0, limit=9) == [other.uid, pipeline.uid]
    assert await store.excess.beyond(1, limit=9) == [other.uid]
    found = await store.family(pipeline.uid)
    assert sorted(found) == sorted((NAMESPACE_UID, one.uuid) for one in (pipeline, first, second))
    living = make_row(final_body(5), namespace_uid=NAMESPACE_UID)
    await store.write([replace(living, pipeline=pipeline.uuid)])
    assert await store.excess.older(99.0, limit=9) == [other.uid]
    # Runs whose pipeline is removed are found by themselves.
    await store.write([replace(row(6), pipeline="gone")])
    assert await store.excess.older(99.0, limit=9) == [other.uid, "uid-6"]


def taker(number: int, of: Row, **facts: Any) -> Row:
    """Return the row of a run that took the result of another, as the operator ends it."""
    taken = {"original": {"uuid": of.uuid, "name": of.name, "kind": "cache"}}
    made = deleted_row(number, reason="CacheHit", finishedAt="2026-01-01T00:00:00Z", **taken)
    return replace(made, finished_at=float(number), **facts)


async def test_a_run_of_which_another_has_the_files_stays(store: RunStore) -> None:
    done, other = row(1), row(2)
    of_other_namespace = replace(taker(4, other), namespace_uid="other")
    await store.write([done, other, taker(3, done), of_other_namespace])
    excess = store.excess
    assert await excess.older(99.0, limit=9) == [other.uid, "uid-3", "uid-4"]
    assert await excess.beyond(1, limit=9) == [other.uid, "uid-3"]
    assert await excess.beyond_in_each(1, limit=9) == [other.uid]
    await store.remove("uid-3", 100.0)
    assert await excess.older(3.0, limit=9) == [done.uid, other.uid]


async def test_a_run_of_which_a_living_one_has_the_files_stays(store: RunStore) -> None:
    done = row(1)
    await store.write([done, replace(taker(2, done), deleted_at=None)])
    assert await store.excess.older(99.0, limit=9) == []


async def test_a_restart_has_files_of_its_own(store: RunStore) -> None:
    done = row(1)
    restart = replace(row(2), original=done.uuid, started_at=1.5)
    await store.write([done, restart, replace(row(3), original=done.uuid, status="failed")])
    assert await store.excess.older(99.0, limit=9) == [done.uid, restart.uid, "uid-3"]


async def test_a_pipeline_below_which_files_are_used_stays(store: RunStore) -> None:
    outermost, nested, done = row(9), row(8), row(7)
    nested = replace(nested, pipeline=outermost.uuid, controller=outermost.uuid)
    done = replace(done, pipeline=nested.uuid, controller=outermost.uuid)
    first = replace(row(5), pipeline=outermost.uuid, controller=outermost.uuid)
    within = [
        taker(number, of, pipeline=pipeline.uuid, controller=outermost.uuid)
        for number, of, pipeline in ((6, done, nested), (4, first, nested), (3, done, outermost))
    ]
    await store.write([outermost, nested, done, first, *within])
    # What takes it within the pipeline goes with the pipeline.
    assert await store.excess.older(99.0, limit=9) == [outermost.uid]
    await store.write([taker(10, done)])
    assert await store.excess.older(99.0, limit=9) == ["uid-10"]


async def test_marks_are_purged_once(store: RunStore) -> None:
    await store.write([row(1), row(2)])
    await store.remove("uid-1", 100.0)
    assert await store.excess.marks(100.0, limit=9) == []
    assert await store.excess.marks(101.0, limit=9) == [("uid-1", NAMESPACE_UID, f"{1:032x}")]
    await store.excess.purge(["uid-1", "uid-2"])
    assert await store.excess.marks(1e9, limit=9) == []
    assert list(await store.known(["uid-1", "uid-2"])) == ["uid-2"]
