"""A run as a row of the store, and a row as a run.

Owns which values of a run are searched by, and what is recorded of a run that was deleted before
its end. Pure. Must not know SQL.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from opstrand.core.identity import (
    read_original,
    read_outermost,
    read_pipeline,
    read_taken_from,
)
from opstrand.core.lifecycle.status import advance
from opstrand.core.lifecycle.transitions import times_between
from opstrand.core.packed import unpack
from opstrand.core.phase import Phase, published_status
from opstrand.core.recorded import parse_moment, read_status
from opstrand.core.resolving.run_values import order_inputs, order_outputs
from opstrand.kube.versions import version_of
from opstrand.runs.bodies import is_final, meta_of, run_kind, run_name, run_runtime, run_uuid
from opstrand.store.rows import Row, Stored, Value
from opstrand.types import Body

#: Characters of a text that is searched by, and of the name of a field.
LONGEST = 500
#: What is before a text and a bool in the column of texts, so that none is taken for the other.
TEXT, BOOL = "s", "b"
_DELETED = "the Operation was deleted before the run ended"
_COMPRESSION = 6


def make_row(body: Body, *, deleted_at: float | None = None, namespace_uid: str = "") -> Row:
    """The row of a run. With `deleted_at`, a run that had not ended is recorded as Stopped."""
    whole = unpack(body)
    if deleted_at is not None and not is_final(whole):
        whole = end_deleted(whole, deleted_at)
    metadata, status = whole["metadata"], read_status(whole)
    return Row(
        uid=metadata["uid"],
        uuid=run_uuid(whole),
        namespace=metadata["namespace"],
        namespace_uid=namespace_uid,
        object_name=metadata["name"],
        version=version_of(whole),
        name=_storable(run_name(whole)),
        status=published_status(status),
        kind=run_kind(whole),
        runtime=run_runtime(whole),
        created_at=_seconds(metadata.get("creationTimestamp")) or 0.0,
        started_at=_seconds(status.get("startedAt")),
        finished_at=_seconds(status.get("finishedAt")),
        duration=_number(status.get("duration")),
        pipeline=read_pipeline(whole),
        controller=read_outermost(whole),
        original=read_taken_from(whole) or read_original(metadata),
        labels=json.dumps(metadata.get("labels") or {}),
        deleted_at=deleted_at,
        body=zlib.compress(json.dumps(whole).encode(), _COMPRESSION),
        values=tuple(_values(whole)),
        upstreams=tuple(
            dict.fromkeys(
                _storable(edge["uuid"])
                for edge in status.get("upstream") or ()
                if isinstance(edge.get("uuid"), str)
            )
        ),
    )


def in_namespace(row: Row, namespace_uid: str) -> Row:
    return replace(row, namespace_uid=namespace_uid)


def read_body(stored: Stored | Row) -> Body:
    """The whole Operation."""
    body: Body = json.loads(zlib.decompress(stored.body))
    return body


def end_deleted(body: Body, at: float) -> Body:
    """The run as it is recorded if its object was deleted before its end."""
    now = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata, status = body["metadata"], read_status(body)
    facts: dict[str, Any] = times_between(status.get("startedAt"), now)
    if not status.get("uuid"):
        facts |= {"uuid": run_uuid(body), "kind": run_kind(body) or "job"}
    after = advance(
        status,
        Phase.STOPPED,
        reason="Deleted",
        message=_DELETED,
        now=now,
        generation=int(metadata.get("generation") or 1),
        created_at=metadata.get("creationTimestamp"),
        **facts,
    )
    return {**body, "status": after}


def _values(body: Body) -> Iterator[Value]:
    status, spec = read_status(body), body.get("spec") or {}
    tags = status.get("tags") if status.get("tags") is not None else spec.get("tags")
    yield from _scalars("tags", tags)
    yield from _scalars("cache_key", status.get("cacheKey"))
    sections = {
        "inputs": order_inputs(body),
        "outputs": order_outputs(body),
        "meta_info": meta_of(body),
    }
    for section, values in sections.items():
        for name, value in (values or {}).items():
            yield from _scalars(f"{section}.{name}", value)


def _scalars(field: str, value: Any) -> Iterator[Value]:
    """The values by which a query finds the field; a list has those of its items."""
    if len(field) > LONGEST:
        return
    for item in value if isinstance(value, list | tuple) else [value]:
        if item is None:
            continue
        if isinstance(item, int | float) and not isinstance(item, bool):
            yield Value(_storable(field), number=_number(item))
            continue
        text = BOOL + str(item).lower() if isinstance(item, bool) else TEXT + _storable(str(item))
        if len(text) <= LONGEST:
            yield Value(_storable(field), text=text)


def _number(value: Any) -> float | None:
    try:
        return None if value is None or isinstance(value, str | bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _seconds(text: Any) -> float | None:
    moment = parse_moment(text)
    return None if moment is None else moment.timestamp()


def _storable(text: str) -> str:
    """A text without what PostgreSQL refuses."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
