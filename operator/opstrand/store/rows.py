"""What the store keeps of one run, and what is asked of it: plain data.

Owns the columns. Must not know SQL, nor how a row is made of an Operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Value:
    """A scalar by which runs are searched, such as `outputs.loss`.

    `number` is set for a number; `text` is what an equal value is written as in a query.
    """

    field: str
    number: float | None = None
    text: str | None = None


@dataclass(frozen=True)
class Row:
    """One run. Times are seconds since the epoch; `status`, `kind` and `runtime` are the published
    names.

    `version` is the resourceVersion: a newer one replaces an older one. `body` is the whole
    Operation as compressed JSON. `deleted_at`: when its object was seen to be gone.
    """

    uid: str
    uuid: str
    namespace: str
    namespace_uid: str
    object_name: str
    version: int
    name: str
    status: str
    kind: str | None
    runtime: str | None
    created_at: float
    started_at: float | None
    finished_at: float | None
    duration: float | None
    pipeline: str | None
    controller: str | None
    original: str | None
    labels: str
    deleted_at: float | None
    body: bytes
    values: Sequence[Value] = ()
    upstreams: Sequence[str] = ()


@dataclass(frozen=True)
class Stored:
    """A run as it was found: its body, and whether its object is known to be gone."""

    uid: str
    body: bytes
    is_deleted: bool


@dataclass(frozen=True)
class Known:
    """Which version of a run the store has, and whether it has it as deleted."""

    version: int
    is_deleted: bool


class Column(StrEnum):
    """A column that runs are selected and sorted by."""

    UUID = "uuid"
    NAME = "name"
    STATUS = "status"
    KIND = "kind"
    RUNTIME = "runtime"
    CREATED_AT = "created_at"
    STARTED_AT = "started_at"
    FINISHED_AT = "finished_at"
    DURATION = "duration"
    PIPELINE = "pipeline"
    CONTROLLER = "controller"
    ORIGINAL = "original"


@dataclass(frozen=True)
class Check:
    """One condition of a selection. It is false for a run without the value, unless `negated`.

    `of` is a column, or the field of a `Value`, or UPSTREAM. `operator` is one of = < <= > >=, or
    nil; with =, any of `operands` may be equal.
    """

    of: Column | str
    operator: str
    operands: tuple[str | float, ...] = ()
    negated: bool = False


#: The `of` of a test on the runs that a run refers to.
UPSTREAM = "upstream"


@dataclass(frozen=True)
class Selection:
    """The deleted runs of one namespace for which all tests hold, but those of `without`."""

    namespace_uid: str
    tests: tuple[Check, ...] = ()
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class SortKey:
    """Runs without a value come last in either direction."""

    column: Column
    is_descending: bool = False
