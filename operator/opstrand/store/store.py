"""Runs in a database: write, find, select, remove.

Owns the SQL of every request but the conditions of a selection (`selecting`). Must not know which
database it is, nor what a run's body says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields

from opstrand.store.database import Database, Statement, Values
from opstrand.store.excess import Excess
from opstrand.store.rows import Known, Row, Selection, SortKey, Stored, Value
from opstrand.store.selecting import SHOWN, order_by, source, where

#: Values in one list of SQL: PostgreSQL has at most 32,767, an old SQLite 999.
_MOST = 500
#: A selection of fewer runs is read run by run, and then sorted.
_RARE = 5000
_COLUMNS = tuple(
    field.name for field in fields(Row) if field.name not in ("body", "values", "upstreams")
)
# A newer version wins, and so does the news that the object is gone. What was removed stays so.
_UPSERT = f"""
INSERT INTO runs ({", ".join(_COLUMNS)}) VALUES ({", ".join("?" * len(_COLUMNS))})
ON CONFLICT (uid) DO UPDATE SET {", ".join(f"{one} = excluded.{one}" for one in _COLUMNS[1:])}
WHERE runs.removed_at IS NULL AND (excluded.version > runs.version OR
  (excluded.version = runs.version AND runs.deleted_at IS NULL))
"""
# Written only where the row above is this one: another process may have stored a newer one.
_IS_OURS = "FROM runs WHERE uid = ? AND version = ? AND removed_at IS NULL"
_BODY = f"""
INSERT INTO bodies (uid, body) SELECT uid, CAST(? AS {{binary}}) {_IS_OURS}
ON CONFLICT (uid) DO UPDATE SET body = excluded.body
"""
_VALUE = (
    "INSERT INTO run_values (uid, field, number, text) SELECT uid, CAST(? AS TEXT), "
    f"CAST(? AS DOUBLE PRECISION), CAST(? AS TEXT) {_IS_OURS}"
)
_UPSTREAM = f"INSERT INTO upstreams (uid, upstream) SELECT uid, CAST(? AS TEXT) {_IS_OURS}"
# A run and all runs that it, or one of these, made.
_BELOW = """
WITH RECURSIVE below (uid, uuid, namespace_uid) AS (
  SELECT uid, uuid, namespace_uid FROM runs WHERE uid = ?
  UNION
  SELECT runs.uid, runs.uuid, runs.namespace_uid FROM runs JOIN below
  ON runs.namespace_uid = below.namespace_uid AND runs.pipeline = below.uuid
)
"""
_STORED = "SELECT runs.uid, bodies.body, runs.deleted_at FROM runs JOIN bodies USING (uid) WHERE "
_DETAILS = ("bodies", "run_values", "upstreams")


class RunStore:
    """The rows of runs in a database. Every method raises PlatformError if it does not work."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.excess = Excess(database)

    async def close(self) -> None:
        await self._database.close()

    async def write(self, rows: Sequence[Row]) -> None:
        """Store rows, all or none; older versions than the stored ones change nothing."""
        body = _BODY.format(binary=self._database.binary)
        await self._database.write([one for row in rows for one in _statements(row, body)])

    async def known(self, uids: Sequence[str]) -> Mapping[str, Known]:
        """What the store has of these runs; a removed run counts as deleted, in any version."""
        found: dict[str, Known] = {}
        for part in _parts(uids):
            sql = "SELECT uid, version, deleted_at, removed_at FROM runs WHERE uid IN "
            for uid, version, deleted, removed in await self._database.read(
                f"{sql}({_marks(part)})", part
            ):
                known = Known(version, deleted is not None)
                found[uid] = known if removed is None else Known(2**63, True)
        return found

    async def living(self) -> Sequence[tuple[str, str, str]]:
        """(uid, namespace, name) of each run whose object was not seen to be gone."""
        sql = "SELECT uid, namespace, object_name FROM runs WHERE deleted_at IS NULL"
        return [(uid, namespace, name) for uid, namespace, name in await self._database.read(sql)]

    async def remove(self, uid: str, at: float) -> None:
        """Remove a run and those below it for good; what arrives of them later is not stored."""
        statements: list[Statement] = [
            (f"{_BELOW} DELETE FROM {table} WHERE uid IN (SELECT uid FROM below)", (uid,))
            for table in _DETAILS
        ]
        marks = "removed_at = ?, labels = '{}', deleted_at = coalesce(deleted_at, ?)"
        mark = f"{_BELOW} UPDATE runs SET {marks} WHERE uid IN (SELECT uid FROM below)"
        await self._database.write([*statements, (mark, (uid, at, at))])

    async def family(self, uid: str) -> Sequence[tuple[str, str]]:
        """(namespace_uid, uuid) of a run and of those below it, removed ones too."""
        sql = f"{_BELOW} SELECT namespace_uid, uuid FROM below"
        return [(namespace, uuid) for namespace, uuid in await self._database.read(sql, (uid,))]

    async def find(self, namespace_uid: str, uuid: str) -> Stored | None:
        found = await self._find(
            "runs.namespace_uid = ? AND runs.uuid = ? AND runs.removed_at IS NULL",
            (namespace_uid, uuid),
        )
        return found[0] if found else None

    async def named(self, namespace_uid: str, object_name: str) -> Stored | None:
        """The newest deleted run whose object had this name."""
        found = await self._find(
            f"{SHOWN} AND runs.object_name = ? ORDER BY runs.created_at DESC, runs.uid LIMIT 1",
            (namespace_uid, object_name),
        )
        return found[0] if found else None

    async def find_all(self, namespace_uid: str, uuids: Sequence[str]) -> Sequence[Stored]:
        """Those of these runs that the store has, in any order."""
        condition = "runs.namespace_uid = ? AND runs.removed_at IS NULL AND runs.uuid IN "
        found: list[Stored] = []
        for part in _parts(uuids):
            found += await self._find(f"{condition}({_marks(part)})", (namespace_uid, *part))
        return found

    async def count(self, selection: Selection) -> int:
        found, values = source(selection, by_value=True)
        ((count,),) = await self._database.read(f"SELECT count(*) FROM {found}", values)
        return int(count)

    async def select(
        self,
        selection: Selection,
        keys: Sequence[SortKey],
        *,
        limit: int,
        offset: int = 0,
        count: int = 0,
    ) -> Sequence[Stored]:
        """One page of a selection. `count`: how many runs it has, which decides how it is read."""
        found, values = source(selection, by_value=0 < count < _RARE)
        order = order_by(keys)
        # The page is found first, by the columns alone.
        page = f"SELECT runs.uid FROM {found} ORDER BY {order} LIMIT ? OFFSET ?"
        return await self._find(f"runs.uid IN ({page}) ORDER BY {order}", [*values, limit, offset])

    async def after(self, selection: Selection, uid: str, *, limit: int) -> Sequence[Stored]:
        """The next runs of a selection in the order of their uids."""
        condition, values = where(selection)
        return await self._find(
            f"{condition} AND runs.uid > ? ORDER BY runs.uid LIMIT ?", [*values, uid, limit]
        )

    async def rows_after(self, uid: str, *, limit: int) -> Sequence[Row]:
        """The next whole rows of all namespaces, in the order of their uids; removed ones are left
        out.
        """
        return await self._rows("runs.uid > ? ORDER BY runs.uid LIMIT ?", (uid, limit))

    async def rows(self, uids: Sequence[str]) -> Sequence[Row]:
        """The whole rows of these runs, in any order; removed ones are left out."""
        found: list[Row] = []
        for part in _parts(uids):
            found += await self._rows(f"runs.uid IN ({_marks(part)})", part)
        return found

    async def _rows(self, condition: str, given: Values) -> list[Row]:
        names = ", ".join(f"runs.{name}" for name in _COLUMNS)
        found = await self._database.read(
            f"SELECT {names}, bodies.body FROM runs JOIN bodies USING (uid) "
            f"WHERE runs.removed_at IS NULL AND {condition}",
            given,
        )
        uids = [str(record[0]) for record in found]
        values: defaultdict[str, list[Value]] = defaultdict(list)
        upstreams: defaultdict[str, list[str]] = defaultdict(list)
        if uids:
            among = f"WHERE uid IN ({_marks(uids)})"
            sql = f"SELECT uid, field, number, text FROM run_values {among}"
            for of, field, number, text in await self._database.read(sql, uids):
                values[of].append(Value(field, number, text))
            sql = f"SELECT uid, upstream FROM upstreams {among}"
            for of, upstream in await self._database.read(sql, uids):
                upstreams[of].append(upstream)
        return [
            Row(
                **dict(zip(_COLUMNS, columns, strict=True)),
                body=bytes(body),
                values=tuple(values[columns[0]]),
                upstreams=tuple(upstreams[columns[0]]),
            )
            for *columns, body in found
        ]

    async def _find(self, condition: str, values: Values) -> list[Stored]:
        found = await self._database.read(_STORED + condition, values)
        return [Stored(uid, bytes(body), deleted is not None) for uid, body, deleted in found]


def _statements(row: Row, body: str) -> list[Statement]:
    ours = (row.uid, row.version)
    return [
        (_UPSERT, tuple(getattr(row, name) for name in _COLUMNS)),
        (body, (row.body, *ours)),
        *(
            (f"DELETE FROM {table} WHERE uid = (SELECT uid {_IS_OURS})", ours)
            for table in _DETAILS[1:]
        ),
        *((_VALUE, (one.field, one.number, one.text, *ours)) for one in row.values),
        *((_UPSTREAM, (one, *ours)) for one in row.upstreams),
    ]


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _parts(values: Sequence[str]) -> Iterable[Sequence[str]]:
    return (values[start : start + _MOST] for start in range(0, len(values), _MOST))
