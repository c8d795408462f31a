"""A database of each schema that was released is read by this version, with all that it has."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from tests.support import store_schemas

from opstrand.runs.records import read_body
from opstrand.store.database import Database, Statement
from opstrand.store.migrations import MIGRATIONS, NEWEST
from opstrand.store.opening import open_store
from opstrand.store.postgres import PostgresDatabase
from opstrand.store.rows import Check, Column, Selection, SortKey
from opstrand.store.sqlite import SqliteDatabase

FILES = sorted(Path(store_schemas.__file__).parent.glob("*.json"))
NAMESPACE = "namespace-uid"


def test_there_is_a_database_of_every_schema() -> None:
    assert [int(path.stem) for path in FILES] == list(range(1, NEWEST + 1))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_released_step_was_not_changed(path: Path) -> None:
    released = json.loads(path.read_text())["statements"]
    assert [list(one.statements) for one in MIGRATIONS[: len(released)]] == released


def to_statements(kept: dict[str, Any], *, text: str, binary: str) -> list[Statement]:
    made: list[Statement] = [("CREATE TABLE schema_version (version BIGINT NOT NULL)", ())]
    made += [
        (sql.format(text=text, bytes=binary), ()) for step in kept["statements"] for sql in step
    ]
    made += [("INSERT INTO schema_version (version) VALUES (?)", (kept["schema"],))]
    for name, table in kept["tables"].items():
        columns, marks = ", ".join(table["columns"]), ", ".join("?" * len(table["columns"]))
        sql = f"INSERT INTO {name} ({columns}) VALUES ({marks})"
        made += [(sql, [decode(one) for one in row]) for row in table["rows"]]
    return made


def decode(value: Any) -> Any:
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value


class RawPostgres(PostgresDatabase):
    """A database without a schema yet."""

    async def _migrate(self, connection: Any) -> None: ...


def open_raw(url: str) -> tuple[Database, str]:
    """Return a database without a schema, and its name of the type of texts."""
    if url.startswith("sqlite"):
        return SqliteDatabase(Path(url.removeprefix("sqlite://"))), "TEXT"
    return RawPostgres(url), 'TEXT COLLATE "C"'


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def kept(request: pytest.FixtureRequest) -> Any:
    return json.loads(request.param.read_text())


async def test_a_database_of_an_earlier_schema_is_read(
    kept: dict[str, Any], store_url: str
) -> None:
    raw, text = open_raw(store_url)
    await raw.write(to_statements(kept, text=text, binary=raw.binary))
    await raw.close()
    store = await open_store(store_url)
    try:
        page = await store.select(Selection(NAMESPACE), [SortKey(Column.NAME)], limit=10)
        assert [one.uid for one in page] == ["uid-1", "uid-2"]
        assert read_body(page[0])["status"]["outputs"]["name"] == "ü"
        loss = Selection(NAMESPACE, (Check("outputs.loss", "<", (0.3,)),))
        upstream = Selection(NAMESPACE, (Check("upstream", "=", (f"{1:032x}",)),))
        assert [await store.count(one) for one in (loss, upstream)] == [1, 1]
        assert [uid for uid, _, _ in await store.living()] == ["uid-3"]
        assert (await store.known(["uid-4"]))["uid-4"].is_deleted
    finally:
        await store.close()
