"""Reads from a real API server's audit log who requested what."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def read_audit(path: Path, user: str, *, after: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the completed requests of one user, from this byte of the log on."""
    with path.open("rb") as file:
        file.seek(after)
        for line in file:
            entry = json.loads(line)
            if entry["user"]["username"] == user and entry["stage"] == "ResponseComplete":
                yield entry


def count_requests(
    path: Path, user: str, *, after: int = 0, namespace: str | None = None
) -> Counter[tuple[str, str, int]]:
    """Count requests by (verb, resource[/subresource], code), in one namespace if one is given.
    Lists and watches of all namespaces have no namespace.
    """
    counted: Counter[tuple[str, str, int]] = Counter()
    for entry in read_audit(path, user, after=after):
        reference = entry.get("objectRef") or {}
        if namespace is not None and reference.get("namespace") != namespace:
            continue
        resource = "/".join(
            part for part in (reference.get("resource"), reference.get("subresource")) if part
        )
        counted[entry["verb"], resource, entry["responseStatus"]["code"]] += 1
    return counted
