"""What a status keeps of the catalog of connections: what the run uses, no secret, and exactly."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.builders import ME, operation, values

from opstrand.core.normalize import as_stored
from opstrand.core.planning.connections import EMPTY, Catalog, read_catalog
from opstrand.core.planning.frozen_catalog import freeze_catalog, restore_catalog
from opstrand.core.planning.plan import Plan, compile_plan
from opstrand.spec.connections import parse_catalog_file

STORE = {"name": "store", "kind": "volume_claim", "schema": {"volumeClaim": "a", "mountPath": "/s"}}
CODE = {
    "name": "code",
    "kind": "git",
    "schema": {"url": "https://git.test/a", "flags": ["--depth 1"]},
    "secret": {"name": "git-token"},
    "env": [{"name": "POLYAXON_GIT_CREDENTIALS_STORE", "value": "/x/.git-credentials"}],
}
DB = {
    "name": "db",
    "kind": "postgres",
    "schema": {"host": "db.test", "port": 1.0, "more": {"b": 1, "a": 2.5}},
    "configMap": {"name": "settings", "items": ["B", "A"]},
    "env": {"Z": 30, "URL": "pg://$(Z)", "RATE": 1.0},
    "annotations": {"z": True, "a": "1"},
}
IN_CLEAR: list[dict[str, Any]] = [
    {"env": {"DB_PASSWORD": "swordfish"}},
    {"schema": {"url": "pg://bob:swordfish@db.test"}},
    {"schema": {"password": "swordfish"}},
]
OTHER = {"name": "other", "kind": "postgres"}


def catalog(*connections: dict[str, Any], store: dict[str, Any] | None = STORE) -> Catalog:
    file = {"connections": list(connections), **({"artifactsStore": store} if store else {})}
    return read_catalog(parse_catalog_file(file))


def plan(found: Catalog, **run: Any) -> Plan:
    compiled = operation(run=run)
    return compile_plan(compiled, values(compiled), ME, found.schemas)


def freeze(found: Catalog, **run: Any) -> dict[str, Any]:
    """Return the record as a status keeps it."""
    kept: dict[str, Any] = as_stored(
        json.loads(json.dumps(freeze_catalog(plan(found, **run), found)))
    )
    return kept


def test_what_the_run_uses_is_kept_and_nothing_else() -> None:
    kept = freeze(catalog(CODE, DB, OTHER), connections=["db"], init=[{"connection": "code"}])
    assert [one["name"] for one in kept["connections"]] == ["db", "code"]
    assert kept["artifactsStore"]["name"] == "store"
    assert freeze(catalog(CODE, DB, OTHER, store=None)) == {}


def test_it_comes_back_exactly_whatever_the_catalog_says_by_then() -> None:
    found = catalog(CODE, DB)
    kept = freeze(found, connections=["code", "db"])
    changed = catalog({**CODE, "secret": {"name": "another"}}, store=None)
    for now in (found, changed, EMPTY, None):
        assert restore_catalog(kept, now) == found


def test_a_store_that_is_added_later_is_not_the_runs() -> None:
    assert restore_catalog(freeze(catalog(store=None)), catalog(CODE)) == EMPTY


@pytest.mark.parametrize("held", IN_CLEAR)
def test_a_secret_in_clear_is_not_kept(held: dict[str, Any]) -> None:
    found = catalog({"name": "login", "kind": "postgres", **held}, OTHER)
    kept = freeze(found, connections=["login", "other"])
    assert "swordfish" not in json.dumps(kept)
    assert restore_catalog(kept, found) == found
    gone = restore_catalog(kept, EMPTY)
    assert gone is not None
    assert list(gone.connections) == ["other", "store"]


@pytest.mark.parametrize(
    "kept",
    [
        {"connections": 5},
        {"connections": [5]},
        {"connections": [{}]},
        {"connections": [{"name": "a", "entry": {"name": "a", "kind": "none"}}]},
        {"connections": [{"name": "a", "entry": 5}]},
        {"connections": [{"name": "a", "entry": OTHER, "env": 5}]},
        {"connections": [{"name": "a", "entry": OTHER, "env": "abc"}]},
        {"artifactsStore": "store"},
        {"artifactsStore": {"name": "store", "entry": OTHER}},
    ],
)
def test_a_record_that_cannot_be_read_is_no_record(kept: dict[str, Any]) -> None:
    now = catalog(CODE)
    assert restore_catalog(kept, now) == now


def test_a_run_without_a_record_has_the_catalog_of_now() -> None:
    now = catalog(CODE)
    assert restore_catalog(None, now) is now
    assert restore_catalog(None, None) is None
