"""What is written to the store is found; the newest version of a run wins, whoever writes last."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tests.support.stores import NAMESPACE_UID, deleted_row, final_body

from opstrand.runs.records import make_row, read_body
from opstrand.store.rows import Column, Known, Selection, SortKey
from opstrand.store.store import RunStore

ALL = Selection(NAMESPACE_UID)
BY_NAME = (SortKey(Column.NAME),)


async def names(store: RunStore, selection: Selection = ALL) -> list[str]:
    found = await store.select(selection, BY_NAME, limit=100)
    return [read_body(one)["metadata"]["name"] for one in found]


async def outputs(store: RunStore, number: int) -> object:
    found = await store.find(NAMESPACE_UID, f"{number:032x}")
    return None if found is None else read_body(found)["status"].get("outputs")


async def test_a_run_is_found_as_it_was_written(store: RunStore) -> None:
    row = deleted_row(1, outputs={"text": "ü\0\ud800", "deep": {"none": None}})
    await store.write([row])
    found = await store.find(NAMESPACE_UID, row.uuid)
    assert found is not None
    assert (found.body, found.is_deleted) == (row.body, True)
    assert await store.find("another", row.uuid) is None
    assert await names(store, Selection("another")) == []


async def test_the_newest_deleted_run_of_a_name_is_found_by_the_name_of_its_object(
    store: RunStore,
) -> None:
    name = {"name": "same"}
    await store.write(
        [
            deleted_row(1, metadata=name, created="2026-01-01T00:00:01Z"),
            deleted_row(2, metadata=name, created="2026-01-01T00:00:03Z"),
            deleted_row(3, metadata=name, created="2026-01-01T00:00:02Z"),
            deleted_row(4, spec={"name": "same"}, created="2026-01-01T00:00:04Z"),
            make_row(final_body(5, metadata=name), namespace_uid=NAMESPACE_UID),
        ]
    )
    found = await store.named(NAMESPACE_UID, "same")
    assert found is not None
    assert found.uid == "uid-2"
    assert await store.named(NAMESPACE_UID, "other") is None
    assert await store.named("another", "same") is None


async def test_the_newest_version_wins_in_any_order(store: RunStore) -> None:
    versions = [deleted_row(1, version=one, outputs={"v": one}) for one in (2, 10, 9)]
    for row in versions:
        await store.write([row])
    assert await outputs(store, 1) == {"v": 10}
    found = await store.known([versions[0].uid, "unknown"])
    assert found == {versions[0].uid: Known(10, is_deleted=True)}


async def test_a_run_that_has_an_object_is_found_and_not_selected(store: RunStore) -> None:
    row = make_row(final_body(1), namespace_uid=NAMESPACE_UID)
    await store.write([row])
    assert await names(store) == []
    assert await store.living() == [(row.uid, "n", "run-1")]
    found = await store.find(NAMESPACE_UID, row.uuid)
    assert found is not None
    assert not found.is_deleted
    (kept,) = await store.rows([row.uid, "unknown"])
    await store.write([replace(kept, deleted_at=5.0)])
    assert (await names(store), await store.living()) == (["run-1"], [])


async def test_an_older_or_equal_version_does_not_revive_a_run(store: RunStore) -> None:
    await store.write([deleted_row(1, version=5)])
    for version in (4, 5):
        living = make_row(final_body(1, version=version), namespace_uid=NAMESPACE_UID)
        await store.write([living])
    assert await store.living() == []


async def test_what_was_removed_is_never_stored_again(store: RunStore) -> None:
    row = deleted_row(1)
    await store.write([row, deleted_row(2)])
    await store.remove(row.uid, 6.0)
    await store.write([replace(row, version=99)])
    assert (await names(store), await outputs(store, 1)) == (["run-2"], None)
    assert (await store.known([row.uid]))[row.uid].is_deleted


async def test_with_a_pipeline_all_runs_below_it_are_removed(store: RunStore) -> None:
    first, second, third, other = (deleted_row(number) for number in range(1, 5))
    second = replace(second, pipeline=first.uuid)
    third = replace(third, pipeline=second.uuid)
    await store.write([first, second, third, other])
    await store.remove(first.uid, 6.0)
    assert await names(store) == ["run-4"]
    assert [one.uid for one in await store.rows_after("", limit=10)] == [other.uid]
    await store.write([replace(third, version=99)])
    assert await names(store) == ["run-4"]


async def test_a_page_is_a_part_of_the_whole_order(store: RunStore) -> None:
    await store.write([deleted_row(n, duration=n % 3 or None) for n in range(1, 30)])
    keys = (SortKey(Column.DURATION, is_descending=True),)
    whole = [one.uid for one in await store.select(ALL, keys, limit=100)]
    pages = [
        [one.uid for one in await store.select(ALL, keys, limit=10, offset=start)]
        for start in (0, 10, 20)
    ]
    assert whole == [uid for page in pages for uid in page]
    assert len(whole) == await store.count(ALL) == 29
    without = Selection(NAMESPACE_UID, without=tuple(whole[:4]))
    assert await store.count(without) == 25


async def test_writes_at_the_same_time_are_all_done(store: RunStore) -> None:
    await asyncio.gather(*(store.write([deleted_row(number)]) for number in range(200)))
    assert await store.count(ALL) == 200
