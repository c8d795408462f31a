"""What the store needs of a database: one small protocol with two implementations.

Owns the protocol. SQL has `?` for each value. Must not know a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

Values = Sequence[str | int | float | bytes | None]
Statement = tuple[str, Values]
Record = tuple[Any, ...]


class Database(Protocol):
    """A database with the newest schema. Every method raises PlatformError if it does not work.

    `binary` is its name of the type of bytes.
    """

    binary: str

    async def read(self, sql: str, values: Values = ()) -> list[Record]:
        """All records of one query."""

    async def write(self, statements: Sequence[Statement]) -> None:
        """Do all statements or none; returns once they survive a crash."""

    async def close(self) -> None:
        """Finish what was begun; nothing is done after it."""
