"""What a missing name may mean: the most similar one that the cache knows.

Must not decide what is said of it: the core does, from the snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from opstrand.controller.cache import Cache
from opstrand.core.lifecycle.snapshot import Snapshot
from opstrand.core.resolving.refs import Ref
from opstrand.kube.resources import COMPONENTS, OPERATIONS, Resource
from opstrand.text import find_nearest

#: Missing names for which a similar one is searched, at most.
_FEW = 5


def suggest_component(snapshot: Snapshot, name: str, cache: Cache) -> dict[str, str]:
    """What the name of a missing Component may mean, by that name."""
    if snapshot.status.get("reason") == "ComponentNotFound":
        return {}
    return _find_near({name: name}, COMPONENTS, snapshot, cache)


def suggest_upstream(
    snapshot: Snapshot, bodies: Mapping[Ref, object], cache: Cache
) -> dict[str, str]:
    """What the missing `ops.NAME` may mean, by the ref.

    Searched once for a wait: its message is written once.
    """
    if snapshot.status.get("reason") == "UpstreamNotFound":
        return {}
    lost = sorted(ref.target for ref, body in bodies.items() if body is None and ref.kind == "ops")
    missing = {f"ops.{name}": name for name in lost}
    near = _find_near(missing, OPERATIONS, snapshot, cache)
    return {ref: f"ops.{name}" for ref, name in near.items()}


def _find_near(
    missing: Mapping[str, str], resource: Resource, snapshot: Snapshot, cache: Cache
) -> dict[str, str]:
    if not missing:
        return {}
    metadata = snapshot.body["metadata"]
    own = metadata["name"] if resource is OPERATIONS else None
    names = [n for n in cache.recent_names(resource, metadata["namespace"]) if n != own]
    found = {label: find_nearest(name, names) for label, name in islice(missing.items(), _FEW)}
    return {label: name for label, name in found.items() if name}
