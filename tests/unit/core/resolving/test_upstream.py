"""A run as others see it: shown in the order of its declarations, which a cluster does not keep;
read by refs as it is stored.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.builders import SETTINGS, body

from opstrand.controller.cache import Cache
from opstrand.core.compiling.prepare import prepare
from opstrand.core.identity import read_identity
from opstrand.core.packed import from_parcel, to_parcel
from opstrand.core.planning.plan import compile_plan
from opstrand.core.resolving.query_fields import read_field
from opstrand.core.resolving.refs import SERVICE_GLOBALS, check_ref
from opstrand.core.resolving.resolve import Resolved
from opstrand.core.resolving.run_values import order_inputs, order_outputs
from opstrand.core.resolving.upstream import read_upstream
from opstrand.core.resolving.upstream_values import read
from opstrand.kube.resources import OPERATIONS
from opstrand.settings import Settings
from opstrand.spec.params import Param

DECLARED = {
    "inputs": [{"name": "zed"}, {"name": "abe"}, {"name": "unset"}],
    "outputs": [{"name": "score"}, {"name": "loss"}],
}
STATUS: dict[str, Any] = {
    "phase": "Succeeded",
    "inputs": {"abe": 1, "lr": 2, "bias": 3, "zed": None},
    "outputs": {"epoch": 1, "auc": 2, "loss": 3, "score": None},
}


@pytest.mark.parametrize(
    ("spec", "status"),
    [({"component": DECLARED}, {}), ({"hubRef": "a"}, {"component": DECLARED})],
    ids=["its own component", "the hub's, frozen"],
)
def test_values_are_shown_in_the_order_of_the_declarations(
    spec: dict[str, Any], status: dict[str, Any]
) -> None:
    body = {"spec": spec, "status": {**STATUS, **status}}
    assert list(order_inputs(body).items()) == [("bias", 3), ("lr", 2), ("zed", None), ("abe", 1)]
    assert list(order_outputs(body).items()) == [
        ("score", None),
        ("loss", 3),
        ("auc", 2),
        ("epoch", 1),
    ]


def test_a_ref_takes_whole_maps_as_they_come_back_from_the_status() -> None:
    """A retry renders from what was frozen, in which a cluster has sorted the keys."""
    body = {
        "metadata": {"name": "a", "namespace": "n", "uid": "0" * 32},
        "spec": {"component": DECLARED},
        "status": STATUS,
    }
    found = read_upstream(body, Settings())
    assert found.inputs is not None
    assert list(found.inputs) == list(STATUS["inputs"])


def test_who_ended_before_its_inputs_were_known_has_none() -> None:
    metadata = {"name": "a", "namespace": "n", "uid": "0" * 32}
    found = read_upstream(
        {"metadata": metadata, "spec": {}, "status": {"phase": "Failed", "reason": "ParamInvalid"}},
        Settings(),
    )
    assert (found.inputs, found.frozen, found.done) == (None, False, True)


UUID = "d1410a914d18457589b91926d8c23db4"


def finished(kind: str, plugins: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    metadata = {
        "name": "up",
        "namespace": "quick-start",
        "uid": UUID,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "resourceVersion": "1",
    }
    component = {
        "plugins": plugins,
        "run": {"kind": kind, "container": {"image": "a", "args": ["{{ globals }}"]}},
    }
    service = {
        "host": "up.quick-start",
        "ports": [80],
        "baseUrl": f"/services/v1/quick-start/default/quick-start/runs/{UUID}/80",
    }
    status = {
        "phase": "Succeeded",
        "uuid": UUID,
        "inputs": {},
        "outputs": {},
        **({"service": service} if kind == "service" else {}),
    }
    return {"metadata": metadata, "spec": {"component": component, **own}, "status": status}


def own_globals(body: dict[str, Any], store: str) -> dict[str, Any]:
    """Return `globals` as the templates of this run see them."""
    compiled = prepare(body, settings=Settings()).compiled
    assert compiled is not None
    seen: dict[str, Any] = {}

    def evaluate(source: str, values: Any) -> str:
        seen.update(values["globals"])
        return ""

    run = {**compiled.run, "container": {"image": "a", "args": ["{{ globals | string }}"]}}
    identity = read_identity(body, Settings())
    compile_plan(
        replace(compiled, run=run), Resolved({}, {}), identity, store_path=store, evaluate=evaluate
    )
    return seen


@pytest.mark.parametrize("kind", ["job", "service"])
@pytest.mark.parametrize("store", ["/store/", ""])
@pytest.mark.parametrize(
    ("plugins", "own"),
    [
        ({}, {}),
        ({"mountArtifactsStore": True}, {}),
        ({"collectArtifacts": False}, {}),
        (
            {"collectArtifacts": True},
            {"plugins": {"collectArtifacts": False, "mountArtifactsStore": True}},
        ),
    ],
)
def test_what_a_runs_own_templates_read_a_ref_can_ask_for(
    plugins: dict[str, Any], own: dict[str, Any], store: str, kind: str
) -> None:
    """A ref can read every one of `globals`, with the same value; also of a run that is over, of
    whose file little is kept.
    """
    body = finished(kind, plugins, own)
    cache = Cache()
    cache.put(OPERATIONS, body)
    kept = cache.operation(("quick-start", "up"))
    assert kept is not None
    for seen in (body, from_parcel(to_parcel(kept))):
        assert seen is not None
        found = read_upstream(seen, Settings(), store)
        for name, value in own_globals(body, store).items():
            ref, ask = check_ref("p", Param(value=f"globals.{name}", ref="ops.up"))
            if name not in SERVICE_GLOBALS:
                assert read(ref, ask, found) == value, name


def test_where_a_run_is_that_keeps_its_own_files() -> None:
    found = read_upstream(
        finished("job", {"collectArtifacts": False}, {}), Settings(), "/store/"
    ).globals
    assert found["run_artifacts_path"] == f"/store/{UUID}"
    assert found["run_outputs_path"] == f"/store/{UUID}/outputs"
    assert found["run_relative_outputs_path"] == f"{UUID}/outputs"
    assert found["store_path"] == ""


def test_a_query_finds_a_run_by_the_name_that_it_gave_itself() -> None:
    run = read_upstream(body(status={"phase": "Succeeded", "name": "best"}), SETTINGS)
    assert (run.name, read_field(run, "name")) == ("run", "best")
    assert read_field(read_upstream(body(), SETTINGS), "name") == "run"
