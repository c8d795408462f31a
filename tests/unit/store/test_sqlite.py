"""The file of the store: where it may lie, and what becomes of a damaged, an old and a newer
one.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from tests.support.stores import NAMESPACE_UID, deleted_row

from opstrand.errors import PlatformError, SpecError
from opstrand.store import migrations
from opstrand.store.filesystem import check_filesystem
from opstrand.store.migrations import MIGRATIONS, NEWEST, Migration
from opstrand.store.opening import open_store
from opstrand.store.rows import Selection

MOUNTS = """
22 1 8:1 / / rw - ext4 /dev/sda rw
30 22 0:40 / /data rw,relatime shared:1 - {kind} server:/export rw
31 22 0:41 / /data/local\\040disk rw - xfs /dev/sdb rw
"""


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "fuse", "fuse.s3fs", "9p"])
def test_network_and_fuse_file_systems_are_refused(kind: str) -> None:
    mounts = MOUNTS.format(kind=kind)
    with pytest.raises(PlatformError, match=f"it is on {kind}, .*postgresql://"):
        check_filesystem(Path("/data/store"), mounts)
    for path in ("/database", "/data/local disk/store", "/"):
        check_filesystem(Path(path), mounts)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "overlay", "tmpfs", "zfs", "btrfs"])
def test_file_systems_of_one_machine_are_not_refused(kind: str) -> None:
    check_filesystem(Path("/data/store"), MOUNTS.format(kind=kind))


async def write_one(path: Path) -> None:
    store = await open_store(f"sqlite://{path}")
    await store.write([deleted_row(1)])
    await store.close()


async def count(path: Path) -> int:
    store = await open_store(f"sqlite://{path}")
    try:
        return await store.count(Selection(NAMESPACE_UID))
    finally:
        await store.close()


async def test_a_store_is_opened_again_with_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "runs.db"
    await write_one(path)
    assert await count(path) == 1


async def test_a_newer_schema_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    await write_one(path)
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO schema_version VALUES (99)")
    with pytest.raises(PlatformError, match=f"has schema 99; .* up to {NEWEST}: run the newer"):
        await open_store(f"sqlite://{path}")


async def test_a_step_of_the_schema_leaves_a_backup_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs.db"
    await write_one(path)
    step = Migration(NEWEST + 1, ("ALTER TABLE runs ADD COLUMN further {text}",))
    monkeypatch.setattr(migrations, "MIGRATIONS", (*MIGRATIONS, step))
    monkeypatch.setattr(migrations, "NEWEST", step.number)
    assert await count(path) == 1
    monkeypatch.undo()
    with pytest.raises(PlatformError, match="run the newer"):
        await open_store(f"sqlite://{path}")
    assert await count(tmp_path / f"runs.db.before-{step.number}") == 1


async def test_a_step_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs.db"
    await write_one(path)
    statements = ("ALTER TABLE runs ADD COLUMN further {text}", "DROP TABLE no_such_table")
    step = Migration(NEWEST + 1, statements)
    monkeypatch.setattr(migrations, "MIGRATIONS", (*MIGRATIONS, step))
    with pytest.raises(PlatformError, match="no such table"):
        await open_store(f"sqlite://{path}")
    monkeypatch.undo()
    assert await count(path) == 1


async def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    await write_one(path)
    data = bytearray(path.read_bytes())
    data[4096 * 2 : 4096 * 6] = b"\xff" * 4096 * 4
    path.write_bytes(data)
    with pytest.raises(PlatformError, match=r"is damaged|does not work"):
        await open_store(f"sqlite://{path}")


async def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    path.write_text("a text of more than sixteen bytes, which is no database")
    with pytest.raises(PlatformError, match="not a database"):
        await open_store(f"sqlite://{path}")


@pytest.mark.parametrize(
    "url", ["sqlite:relative.db", "sqlite://host/path", "mysql://host/db", "/path", "sqlite:///"]
)
async def test_a_url_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(SpecError, match="expected sqlite:///PATH"):
        await open_store(url)
