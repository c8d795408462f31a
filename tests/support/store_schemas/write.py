"""Writes a database of the newest schema with data, as a file that is never changed again."""

from __future__ import annotations

import asyncio
import base64
import json
import tempfile
from pathlib import Path
from typing import Any

from opstrand.runs.records import make_row
from opstrand.store.migrations import MIGRATIONS, NEWEST
from opstrand.store.sqlite import open_sqlite
from opstrand.store.store import RunStore
from tests.support.stores import NAMESPACE_UID, deleted_row, final_body

HERE = Path(__file__).parent
TABLES = ("runs", "bodies", "run_values", "upstreams")


async def collect(folder: str) -> dict[str, Any]:
    database = open_sqlite(Path(folder) / "runs.db")
    store = RunStore(database)
    outputs = {"loss": 0.25, "name": "ü", "flag": True, "list": [1, "a"]}
    upstream = [{"uuid": f"{1:032x}", "name": "run-1", "kind": "run", "values": {"a": 1}}]
    await store.write(
        [
            deleted_row(1, outputs=outputs, tags=["old"], startedAt="2026-01-01T00:00:01Z"),
            deleted_row(2, phase="Failed", upstream=upstream),
            make_row(final_body(3), namespace_uid=NAMESPACE_UID),
            deleted_row(4),
        ]
    )
    await store.remove("uid-4", 5.0)
    tables: dict[str, Any] = {}
    for table in TABLES:
        columns = [str(one[1]) for one in await database.read(f"PRAGMA table_info({table})")]
        rows = await database.read(f"SELECT * FROM {table}")
        tables[table] = {"columns": columns, "rows": [list(map(_encode, row)) for row in rows]}
    await store.close()
    statements = [list(one.statements) for one in MIGRATIONS]
    return {"schema": NEWEST, "statements": statements, "tables": tables}


def _encode(value: Any) -> Any:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        found = asyncio.run(collect(temporary))
    (HERE / f"{NEWEST}.json").write_text(json.dumps(found, indent=1) + "\n")
