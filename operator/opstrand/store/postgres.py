"""The store in a PostgreSQL server, for an API of several replicas.

Owns the pool of connections and when the schema is updated: at the first use that finds the server,
so that an API starts while its database is away. Must not know a table but that of the schema's
version.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import asyncpg

from opstrand.errors import PlatformError
from opstrand.store.database import Record, Statement, Values
from opstrand.store.migrations import VERSION_TABLE, Migration, pending

_CONNECTIONS = 8
#: Seconds until a connection or an answer is given up.
_CONNECT = 10.0
_ANSWER = 60.0
#: Names the lock under which one replica updates the schema; any number that no other program uses.
_LOCK = 0x6F70737472
_TEXT = 'TEXT COLLATE "C"'
_FAILURES = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)


class PostgresDatabase:
    """One database of a server. `where` names it in errors, without the password."""

    binary = "BYTEA"

    def __init__(self, url: str) -> None:
        self._url, self._where = url, re.sub(r"://[^@/]*@", "://", url).partition("?")[0]
        self._pool: asyncpg.Pool[Any] | None = None
        self._opening = asyncio.Lock()

    async def read(self, sql: str, values: Values = ()) -> list[Record]:
        try:
            pool = await self._open()
            return [tuple(one) for one in await pool.fetch(_number(sql), *values)]
        except _FAILURES as error:
            raise await self._fail(error) from None

    async def write(self, statements: Sequence[Statement]) -> None:
        if not statements:
            return
        try:
            pool = await self._open()
            async with pool.acquire() as connection, connection.transaction():
                for sql, values in statements:
                    await connection.execute(_number(sql), *values)
        except _FAILURES as error:
            raise await self._fail(error) from None

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()

    async def _open(self) -> asyncpg.Pool[Any]:
        async with self._opening:
            if self._pool is None:
                pool = await asyncpg.create_pool(
                    self._url,
                    # With more, asyncpg logs a traceback each time that the server is away.
                    min_size=0,
                    max_size=_CONNECTIONS,
                    timeout=_CONNECT,
                    command_timeout=_ANSWER,
                    server_settings={"application_name": "opstrand-api"},
                )
                try:
                    async with pool.acquire() as connection:
                        await self._migrate(connection)
                except BaseException:
                    pool.terminate()
                    raise
                self._pool = pool
        return self._pool

    async def _migrate(self, connection: Any) -> None:
        """Do the missing steps of the schema, all or none; one replica at a time."""
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(VERSION_TABLE)
            version = int(
                await connection.fetchval("SELECT coalesce(max(version), 0) FROM schema_version")
            )
            for step in pending(version, self._where):
                if version:
                    await _back_up(connection, step)
                for sql in step.render(text=_TEXT, binary=self.binary):
                    await connection.execute(sql)
                await connection.execute(
                    "INSERT INTO schema_version (version) VALUES ($1)", step.number
                )

    async def _fail(self, error: BaseException) -> PlatformError:
        if isinstance(error, asyncpg.InternalClientError) and self._pool is not None:
            # A connection that the server left in the middle of an answer: asyncpg would use it
            # again.
            await self._pool.expire_connections()
        text = str(error) or type(error).__name__
        return PlatformError(f"the store {self._where} does not work: {text}", retry_after=5)


async def _back_up(connection: Any, step: Migration) -> None:
    """Copy all tables into a schema named after the step."""
    copy = f"before_{step.number}"
    await connection.execute(f"CREATE SCHEMA {copy}")
    tables = await connection.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
    )
    for (table,) in tables:
        await connection.execute(f"CREATE TABLE {copy}.{table} AS TABLE {table}")


def _number(sql: str) -> str:
    """The same SQL with `$1`, `$2`, ... in place of each `?`. No text of ours contains one."""
    parts = sql.split("?")
    return parts[0] + "".join(f"${at}{part}" for at, part in enumerate(parts[1:], 1))
