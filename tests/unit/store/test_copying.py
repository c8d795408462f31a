"""A backup has every run of a store, and is restored into any database."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.stores import NAMESPACE_UID, deleted_row, final_body

from opstrand.errors import SpecError
from opstrand.runs.records import make_row
from opstrand.store.copying import back_up, restore
from opstrand.store.opening import open_store
from opstrand.store.rows import Row
from opstrand.store.store import RunStore

OPERATOR = Path(__file__).resolve().parents[3] / "operator"


def rows() -> list[Row]:
    """Return more runs than one step reads, with all that a row can have."""
    made = [deleted_row(n, outputs={"a": n, "t": "ü"}, tags=["x"]) for n in range(250)]
    upstream = [{"uuid": f"{n:032x}"} for n in (1, 2)]
    living = final_body(999, upstream=upstream, version=7)
    return [*made, make_row(living, namespace_uid=NAMESPACE_UID)]


def in_order(found: list[Row]) -> list[Row]:
    return sorted(found, key=lambda one: one.uid)


async def all_rows(store: RunStore) -> list[Row]:
    return list(await store.rows_after("", limit=1000))


async def test_a_backup_is_restored_into_another_store(store: RunStore, tmp_path: Path) -> None:
    await store.write([*rows(), deleted_row(1000)])
    await store.remove("uid-1000", 1.0)
    file = io.BytesIO()
    assert await back_up(store, file) == 251
    file.seek(0)
    other = await open_store(f"sqlite://{tmp_path / 'other.db'}")
    try:
        assert await restore(other, file) == 251
        assert in_order(await all_rows(other)) == in_order(rows())
    finally:
        await other.close()


async def test_what_is_newer_in_the_store_stays(store: RunStore) -> None:
    await store.write([deleted_row(1, version=1)])
    file = io.BytesIO()
    await back_up(store, file)
    newer = deleted_row(1, version=2, outputs={"new": 1})
    await store.write([newer])
    file.seek(0)
    await restore(store, file)
    assert await all_rows(store) == [newer]


def cut_off() -> bytes:
    return gzip.compress(b'{"format": "opstrand-runs", "version": 1}\n')[:-6]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "it is empty"),
        (b"text", "Not a gzipped file"),
        (gzip.compress(b'{"a": 1}\n'), "it begins with"),
        (
            gzip.compress(b'{"format": "opstrand-runs", "version": 1}\n{"uid": 1}\n'),
            "at line 2: 'body'",
        ),
        (cut_off(), "at line 1"),
    ],
)
async def test_a_file_that_is_no_whole_backup_is_refused(
    store: RunStore, data: bytes, found: str
) -> None:
    with pytest.raises(SpecError, match=f"expected a whole backup.*{found}"):
        await restore(store, io.BytesIO(data))


def test_the_command_copies_through_pipes(tmp_path: Path) -> None:
    def run(name: str, action: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        url = f"sqlite://{tmp_path / name}"
        env = {**os.environ, "OPSTRAND_STORE_URL": url, "PYTHONPATH": str(OPERATOR)}
        command = [sys.executable, "-m", "opstrand.store", action]
        return subprocess.run(command, input=data, capture_output=True, env=env)

    backup = run("one.db", "backup")
    assert (backup.returncode, backup.stderr) == (0, b"0 runs are in the backup\n")
    restored = run("two.db", "restore", backup.stdout)
    assert (restored.returncode, restored.stderr) == (0, b"0 runs were restored\n")
    refused = run("two.db", "restore", b"text")
    assert (refused.returncode, b"Traceback" in refused.stderr) == (5, False)
    assert run("two.db", "other").returncode == 2
