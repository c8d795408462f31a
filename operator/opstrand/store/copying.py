"""A backup of the store as a file, and its restoration, whichever database and schema each has.

Owns the format: gzip of JSON lines, the first of which names it, then one run a line. What was
removed is not in it. Must not know a database.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import asdict
from typing import IO, Any

from opstrand.errors import SpecError
from opstrand.store.rows import Row, Value
from opstrand.store.store import RunStore

_FORMAT = {"format": "opstrand-runs", "version": 1}
_BATCH = 200


async def back_up(store: RunStore, file: IO[bytes]) -> int:
    """Write every run to the file. Returns how many there are."""
    count, last = 0, ""
    with gzip.open(file, "wb") as packed:
        packed.write(_to_line(_FORMAT))
        while rows := await store.rows_after(last, limit=_BATCH):
            for row in rows:
                packed.write(_to_line(_encode(row)))
            count, last = count + len(rows), rows[-1].uid
    return count


async def restore(store: RunStore, file: IO[bytes]) -> int:
    """Store every run of a file; a newer version in the store stays. Returns how many were read.

    Raises SpecError for a file that is no backup, or a part of one.
    """
    count = 0
    batch: list[Row] = []
    for row in _read(file):
        batch.append(row)
        count += 1
        if len(batch) == _BATCH:
            await store.write(batch)
            batch = []
    await store.write(batch)
    return count


def _read(file: IO[bytes]) -> Iterator[Row]:
    number = 0
    try:
        with gzip.open(file, "rb") as packed:
            for number, line in enumerate(packed, 1):
                value = json.loads(line)
                if number > 1:
                    yield _decode(value)
                elif value != _FORMAT:
                    raise _not_a_backup(f"it begins with {line[:60]!r}")
    except (OSError, EOFError, ValueError, TypeError, KeyError, zlib.error) as error:
        raise _not_a_backup(f"at line {number}: {error}") from None
    if not number:
        raise _not_a_backup("it is empty")


def _not_a_backup(found: str) -> SpecError:
    return SpecError("InvalidSpec", f"expected a whole backup of `opstrand.store backup`; {found}")


def _encode(row: Row) -> dict[str, Any]:
    return {**asdict(row), "body": base64.b64encode(row.body).decode()}


def _decode(value: dict[str, Any]) -> Row:
    try:
        body = base64.b64decode(value["body"], validate=True)
    except binascii.Error as error:
        raise ValueError(f"body: {error}") from None
    values = tuple(Value(**one) for one in value["values"])
    return Row(**{**value, "body": body, "values": values, "upstreams": tuple(value["upstreams"])})


def _to_line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
