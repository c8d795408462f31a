"""The store in one SQLite file, for an API of one replica.

Owns the connections: one thread writes, and what waits is written in one transaction; a few threads
read. Must not know a table but that of the schema's version.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from opstrand.errors import PlatformError
from opstrand.store.database import Record, Statement, Values
from opstrand.store.filesystem import check_filesystem
from opstrand.store.migrations import VERSION_TABLE, Migration, pending

#: Seconds that a statement waits for another process that writes.
_BUSY = 30.0
_READERS = 2
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    # A row must survive a power loss: retention deletes the Operation right after.
    "PRAGMA synchronous = FULL",
    "PRAGMA journal_size_limit = 67108864",
)
_Job = tuple[Sequence[Statement], "Future[None]"]


class SqliteDatabase:
    """One file. Made by `open_sqlite`."""

    binary = "BLOB"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_all, name="store-writer", daemon=True)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="store-reader")
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._writer.start()

    async def read(self, sql: str, values: Values = ()) -> list[Record]:
        return await asyncio.get_running_loop().run_in_executor(
            self._readers, self._read, sql, values
        )

    def _read(self, sql: str, values: Values) -> list[Record]:
        try:
            connection = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = _connect(self._path)
                self._opened.append(connection)
            return list(connection.execute(sql, tuple(values)))
        except sqlite3.Error as error:
            raise _failure(self._path, error) from None

    async def write(self, statements: Sequence[Statement]) -> None:
        if statements:
            done: Future[None] = Future()
            self._jobs.put((statements, done))
            await asyncio.wrap_future(done)

    def _write_all(self) -> None:
        connection: sqlite3.Connection | None = None
        while (first := self._jobs.get()) is not None:
            jobs, is_closing = [first], False
            with contextlib.suppress(queue.Empty):
                while (job := self._jobs.get_nowait()) is not None:
                    jobs.append(job)
                is_closing = True
            jobs = [job for job in jobs if job[1].set_running_or_notify_cancel()]
            try:
                connection = connection or _connect(self._path)
            except sqlite3.Error as error:
                _fail(jobs, _failure(self._path, error))
            else:
                self._commit(connection, jobs)
            if is_closing:
                break
        if connection is not None:
            connection.close()

    def _commit(self, connection: sqlite3.Connection, jobs: Sequence[_Job]) -> None:
        """Write all jobs in one transaction; if that fails, each in its own."""
        try:
            with _transaction(connection):
                for statements, _ in jobs:
                    for sql, values in statements:
                        connection.execute(sql, tuple(values))
        except sqlite3.Error as error:
            if len(jobs) == 1:
                _fail(jobs, _failure(self._path, error))
                return
            for job in jobs:
                self._commit(connection, [job])
        else:
            for _, done in jobs:
                done.set_result(None)

    async def close(self) -> None:
        self._jobs.put(None)
        await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._readers.shutdown)
        for connection in self._opened:
            connection.close()


def open_sqlite(path: Path) -> SqliteDatabase:
    """Open the file, which is made if there is none, check it and update its schema.

    Raises PlatformError: an unsafe file system, a damaged file, a newer schema, no room or rights.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        check_filesystem(path.parent)
        with contextlib.closing(_connect(path)) as connection:
            _check(path, connection)
            _migrate(path, connection)
    except (OSError, sqlite3.Error) as error:
        raise _failure(path, error) from None
    return SqliteDatabase(path)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    for pragma in _PRAGMAS:
        connection.execute(pragma)
    return connection


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _check(path: Path, connection: sqlite3.Connection) -> None:
    found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(3)")]
    if found != ["ok"]:
        raise PlatformError(
            f"the store {path} is damaged ({'; '.join(found)}); move the file away and restore a "
            "backup, or start without it: the runs that are in the cluster are stored again"
        )


def read_version(connection: sqlite3.Connection) -> int:
    """The version of the schema; 0 of an empty database."""
    connection.execute(VERSION_TABLE)
    row = connection.execute("SELECT max(version) FROM schema_version").fetchone()
    return int(row[0] or 0)


def _migrate(path: Path, connection: sqlite3.Connection) -> None:
    version = read_version(connection)
    for step in pending(version, str(path)):
        if version:
            _back_up(connection, path.with_name(f"{path.name}.before-{step.number}"))
        _apply(connection, step)
        version = step.number


def _apply(connection: sqlite3.Connection, step: Migration) -> None:
    with _transaction(connection):
        # Another process may have done it since.
        if read_version(connection) >= step.number:
            return
        for sql in step.render(text="TEXT", binary=SqliteDatabase.binary):
            connection.execute(sql)
        connection.execute("INSERT INTO schema_version (version) VALUES (?)", (step.number,))


def _back_up(connection: sqlite3.Connection, path: Path) -> None:
    """Copy the database to another file, which is there in whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    connection.execute("VACUUM INTO ?", (str(partial),))
    partial.replace(path)


def _failure(path: Path, error: Exception) -> PlatformError:
    return PlatformError(f"the store {path} does not work: {error}", retry_after=5)


def _fail(jobs: Sequence[_Job], error: PlatformError) -> None:
    for _, done in jobs:
        done.set_exception(error)
