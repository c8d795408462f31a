"""Records of runs whose Operation is gone, and their files, are removed together: what is too much,
what a user deletes, and what a crash left between the two.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from tests.support.loopback_api import keep_files
from tests.support.steady import works_on
from tests.support.stores import NAMESPACE_UID, deleted_row

from opstrand.artifacts.folder import RunFiles
from opstrand.runs.forgetting import Forgetting, RecordLimits
from opstrand.store.opening import open_store
from opstrand.store.rows import Row
from opstrand.store.store import RunStore

NOW = 1_000_000.0


@pytest_asyncio.fixture(loop_scope="session")
async def store(tmp_path: Path) -> AsyncIterator[RunStore]:
    opened = await open_store(f"sqlite://{tmp_path / 'runs.db'}")
    yield opened
    await opened.close()


def ended(number: int, seconds: float) -> Row:
    """Return the row of a run that ended so many seconds ago."""
    return replace(deleted_row(number), finished_at=NOW - seconds)


def make_files(base: Path, *rows: Row) -> None:
    for row in rows:
        folder = RunFiles(base, row.namespace_uid, row.uuid).folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "file").write_text("text")


def left(base: Path) -> set[str]:
    return {one.parent.name.lstrip("0") for one in (base / "artifacts").rglob("file")}


def forgetting(store: RunStore, base: Path, limits: RecordLimits) -> Forgetting:
    kept = keep_files(base)
    assert kept is not None
    return Forgetting(limits, store, kept.delete)


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        (RecordLimits(), {"1", "2", "3", "4"}),
        (RecordLimits(seconds=250), {"1", "2"}),
        (RecordLimits(per_namespace=3), {"1", "2", "3"}),
        (RecordLimits(in_total=1), {"1"}),
        (RecordLimits(seconds=350, per_namespace=2, in_total=3), {"1", "2"}),
    ],
)
async def test_records_and_files_go_together(
    store: RunStore, tmp_path: Path, limits: RecordLimits, kept: set[str]
) -> None:
    rows = [ended(number, number * 100.0) for number in (1, 2, 3, 4)]
    await store.write(rows)
    make_files(tmp_path, *rows)
    done = forgetting(store, tmp_path, limits)
    assert await done.remove_excess(NOW) == 4 - len(kept)
    assert await done.remove_excess(NOW) == 0
    assert left(tmp_path) == kept
    found = await store.find_all(NAMESPACE_UID, [row.uuid for row in rows])
    assert {one.uid.removeprefix("uid-") for one in found} == kept


async def test_the_files_of_a_whole_pipeline_are_deleted(store: RunStore, tmp_path: Path) -> None:
    pipeline, other = ended(1, 10), ended(3, 10)
    child = replace(ended(2, 10), pipeline=pipeline.uuid)
    await store.write([pipeline, child, other])
    make_files(tmp_path, pipeline, child, other)
    await forgetting(store, tmp_path, RecordLimits()).remove(pipeline.uid, NOW)
    assert left(tmp_path) == {"3"}


async def test_a_mark_is_purged_after_a_day_with_files_that_came_later(
    store: RunStore, tmp_path: Path
) -> None:
    row = ended(1, 10)
    await store.write([row])
    done = forgetting(store, tmp_path, RecordLimits())
    # The process was killed before it deleted the files.
    await store.remove(row.uid, NOW)
    make_files(tmp_path, row)
    assert await done.purge_marks(NOW + 3600) == 0
    assert left(tmp_path) == {"1"}
    assert await done.purge_marks(NOW + 24 * 3600 + 1) == 1
    assert left(tmp_path) == set()
    assert await store.known([row.uid]) == {}


async def test_a_bug_while_files_are_deleted_does_not_end_the_api(
    store: RunStore, caplog: pytest.LogCaptureFixture
) -> None:
    async def delete(_: str, __: str) -> None:
        raise ValueError("Invalid IPv6 URL")

    await store.write([ended(1, 10), ended(2, 20)])
    work = Forgetting(RecordLimits(in_total=1), store, delete).run()
    assert await works_on(work, caplog, after="a bug: old records are removed later")
