"""Keep large bodies as bytes, so that one object does not take twenty times its size in memory.

Owns what stays readable of a large Operation or Component, its head, and how to restore the whole.
JSON of many small parts takes up to twenty times its text as Python objects; compressed it takes a
tenth. Must not know who reads what.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from opstrand.core import names

#: The size in bytes of JSON from which a body is packed. A smaller one is decided on in this
#: process, within milliseconds.
LARGE = 32 * 1024
#: The status keys that a decision may read without the polyaxonfile. The rest of a status is the
#: user's data, and as large as that.
STATUS = (
    *(
        "uuid",
        "kind",
        "phase",
        "reason",
        "message",
        "observedGeneration",
        "startedAt",
        "finishedAt",
        "resumedAt",
        "resume",
        "round",
        "duration",
        "elapsed",
        "attempt",
    ),
    *("pod", "retries", "termination", "service", "history", "conditions"),
    *("children", "inherited", "search", "best", "schedule", "hooks"),
    *("cacheKey", "cache", "original"),
)
_LIMITS = ("maxRetries", "timeout", "ttl")
_METADATA = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "generateName",
    "ownerReferences",
)
_LABELS = (
    "velero.io/restore-name",
    *(names.MANAGED_BY, names.UUID_LABEL, names.CREATED_BY),
    *(names.PIPELINE, names.CONTROLLER, names.OP, names.HOOK),
)
#: What a pipeline notes on its children.
_ANNOTATIONS = (names.DEPTH, names.WITHOUT_RUN, names.ITERATION, names.SCHEDULE_AT)
#: The most characters of a text that stays in a head.
_SHORT = 256


#: A body as its caller knows it.
_Whole = TypeVar("_Whole", bound=Mapping[str, Any])


class Head(dict[str, Any]):
    """A body without its bulk. `packed` is the whole body."""

    packed: bytes = b""


def pack(body: Mapping[str, Any], *, above: int | None = None) -> dict[str, Any]:
    """Return the body itself if its JSON is not longer than `above` (LARGE), else its head."""
    if isinstance(body, Head):
        return body
    text = json.dumps(body)
    if len(text) <= (LARGE if above is None else above):
        return dict(body)
    spec, status, metadata = body.get("spec") or {}, body.get("status"), body["metadata"]
    head = Head({key: body[key] for key in ("apiVersion", "kind") if key in body})
    head["metadata"] = {key: metadata[key] for key in _METADATA if key in metadata}
    head["metadata"]["labels"] = _keep(metadata.get("labels"), _LABELS)
    head["metadata"]["annotations"] = _keep(metadata.get("annotations"), _ANNOTATIONS)
    head["spec"] = _head_of_spec(spec)
    if isinstance(status, Mapping):
        head["status"] = {
            key: value if key in STATUS else empty(value) for key, value in status.items()
        }
    head.packed = zlib.compress(text.encode(), 1)
    return head


def _keep(found: Mapping[str, str] | None, keys: Iterable[str]) -> dict[str, str]:
    return {key: found[key] for key in keys if key in found} if found else {}


def _head_of_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    head = {
        key: spec[key]
        for key in ("name", "patchStrategy", "hubRef")
        if isinstance(spec.get(key), str) and len(spec[key]) <= _SHORT
    }
    control, termination = spec.get("control"), spec.get("termination")
    if isinstance(control, Mapping):
        head["control"] = {
            key: value for key, value in control.items() if isinstance(value, bool | int)
        }
    if isinstance(termination, Mapping):
        head["termination"] = {
            key: termination[key] for key in _LIMITS if type(termination.get(key)) is int
        }
    return head


def empty(value: Any) -> Any:
    """Return the placeholder in a head for a value that is not in it."""
    if isinstance(value, Mapping):
        return {}
    if isinstance(value, list):
        return []
    return "" if isinstance(value, str) and len(value) > _SHORT else value


def is_large(body: Mapping[str, Any] | None) -> bool:
    return isinstance(body, Head)


def to_parcel(body: Mapping[str, Any] | None) -> bytes | Mapping[str, Any] | None:
    """Return the whole body in the form that is sent to a worker: a large one stays packed."""
    return body.packed if isinstance(body, Head) else body


def from_parcel(parcel: bytes | _Whole | None) -> _Whole | None:
    """Restore the whole body from that form."""
    if not isinstance(parcel, bytes):
        return parcel
    body: _Whole = json.loads(zlib.decompress(parcel))
    return body


def unpack(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the whole of a body that may be a head."""
    return from_parcel(to_parcel(body)) or {}
