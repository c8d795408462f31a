"""Keep in a run's status which connections it uses, as they were when it started.

Owns the shape of that record: a later attempt is rendered from it, whatever the catalog says by
then. Secrets are in it by name only. Must not decide when it is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from opstrand.core.mask import is_secret_name, mask
from opstrand.core.normalize import as_stored
from opstrand.core.planning.connections import Catalog, Connection, read_catalog
from opstrand.core.planning.plan import Plan
from opstrand.errors import SpecError
from opstrand.spec.connections import parse_catalog_file


def freeze_catalog(plan: Plan, catalog: Catalog | None) -> dict[str, Any]:
    """Return the record of what the plan uses: its connections and the artifacts store.

    It is empty where the run uses none: a store that is added later is not the run's.
    """
    if catalog is None:
        return {}
    steps = (step.get("connection") for step in plan.init)
    used = dict.fromkeys([*plan.connections, *(name for name in steps if name)])
    frozen: dict[str, Any] = {}
    if catalog.store is not None:
        frozen["artifactsStore"] = _freeze(catalog.store)
    if kept := [_freeze(catalog.connections[name]) for name in used if name in catalog.connections]:
        frozen["connections"] = kept
    return frozen


def _freeze(connection: Connection) -> dict[str, Any]:
    """Return the entry of one connection.

    One that holds a secret in clear is kept by its name alone, and looked up again.
    """
    entry = as_stored(dict(connection.written))
    text = json.dumps(entry)
    if mask(text) != text or any(
        one.get("value") and is_secret_name(str(one.get("name"))) for one in connection.env
    ):
        return {"name": connection.name}
    kept = {"name": connection.name, "entry": entry}
    # Variables see those before them, and a stored mapping loses its order.
    return {**kept, "env": [dict(one) for one in connection.env]} if connection.env else kept


def restore_catalog(frozen: Mapping[str, Any] | None, current: Catalog | None) -> Catalog | None:
    """Return the catalog of a later attempt. `current`: the catalog of now.

    That one counts for a run without a record, and where a person made the record unreadable.
    """
    if frozen is None:
        return current
    store, kept = frozen.get("artifactsStore"), frozen.get("connections") or ()
    try:
        restored = None if store is None else _restore(store, current, "artifactsStore")
        found = [_restore(one, current, "connections") for one in kept]
    except (SpecError, TypeError, KeyError, AttributeError):
        return current
    connections = {one.name: one for one in found if one is not None}
    if restored is not None:
        connections.setdefault(restored.name, restored)
    is_given = bool(kept) or (current is not None and current.is_given)
    return Catalog(connections, restored, is_given=is_given)


def _restore(kept: Mapping[str, Any], current: Catalog | None, section: str) -> Connection | None:
    """Return the connection; None if it is kept by its name and is no longer in the catalog."""
    if "entry" not in kept:
        return None if current is None else current.connections.get(kept["name"])
    entry = kept["entry"]
    file = {section: entry if section == "artifactsStore" else [entry]}
    (connection,) = read_catalog(parse_catalog_file(file)).connections.values()
    env = kept.get("env") or []
    if not isinstance(env, list) or not all(isinstance(one, dict) for one in env):
        raise TypeError(env)
    return replace(connection, env=tuple(env))
