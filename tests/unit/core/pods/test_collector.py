"""Which runs have a collector, and what the rest of their Pod has because of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.builders import operation, values

from opstrand.core.identity import Identity
from opstrand.core.names import COLLECTOR
from opstrand.core.planning.connections import EMPTY, Catalog, read_catalog
from opstrand.core.planning.plan import compile_plan
from opstrand.core.pods.adoption import find_other_program
from opstrand.core.pods.pod import render_pod
from opstrand.settings import Settings
from opstrand.spec.connections import parse_catalog_file

ME = Identity("a" * 32, "eval", project="quick-start")
OWNER = {"apiVersion": "opstrand.dev/v1", "kind": "Operation", "name": "eval", "uid": "u"}
KEEPS = Settings(data="/var/lib/opstrand", collect_grace=40, collect_interval=7)
STORE = read_catalog(
    parse_catalog_file(
        {
            "artifactsStore": {
                "name": "store",
                "kind": "host_path",
                "schema": {"hostPath": "/srv", "mountPath": "/store"},
            }
        }
    )
)
JOB = {"kind": "job", "container": {"image": "app"}}


def render(
    settings: Settings = KEEPS, catalog: Catalog = EMPTY, run: dict[str, Any] = JOB, **own: Any
) -> dict[str, Any]:
    compiled = operation(run=run, **own)
    plan = compile_plan(compiled, values(compiled), ME, catalog.schemas)
    return render_pod(plan, owner=OWNER, pod_name="eval-0", settings=settings, catalog=catalog).pod


def collectors(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in pod["spec"]["initContainers"] if one["name"] == COLLECTOR]


def test_a_pod_whose_files_would_go_with_it_has_a_collector() -> None:
    pod = render()
    (collector,) = collectors(pod)
    env = {one["name"]: one["value"] for one in collector["env"]}
    assert env["OPSTRAND_COLLECT_INTERVAL"] == "7"
    assert collector["restartPolicy"] == "Always"
    assert all(one["readOnly"] for one in collector["volumeMounts"])
    # What main had before, and then the collector's; it ends before it would be killed.
    assert pod["spec"]["terminationGracePeriodSeconds"] == 30 + 40
    assert int(env["OPSTRAND_COLLECT_SECONDS"]) < 70


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": replace(KEEPS, data="")},
        {"settings": replace(KEEPS, local_runs="/home/ann/runs")},
        {"catalog": STORE},
        {"plugins": {"collectArtifacts": False}},
        {"run": {"kind": "service", "container": {"image": "app"}, "ports": [80]}},
    ],
    ids=["no volume of the API", "on a laptop", "in a store", "not wanted", "a service"],
)
def test_any_other_pod_is_as_it_was_without(changes: dict[str, Any]) -> None:
    pod = render(**changes)
    assert collectors(pod) == []
    assert "terminationGracePeriodSeconds" not in pod["spec"]


def test_the_collector_ends_after_the_sidecars_of_the_run() -> None:
    """The kubelet ends sidecars in the reverse of this order."""
    pod = render(run={**JOB, "sidecars": [{"name": "writes", "image": "app"}]})
    assert [one["name"] for one in pod["spec"]["initContainers"]][-2:] == [COLLECTOR, "writes"]


@pytest.mark.parametrize(
    ("main", "user", "added"),
    [
        ({}, 0, ["DAC_OVERRIDE"]),
        ({"runAsNonRoot": True}, 65532, None),
        ({"runAsUser": 1000}, 1000, None),
    ],
)
def test_it_reads_what_main_writes(
    main: dict[str, Any], user: int, added: list[str] | None
) -> None:
    run = {**JOB, "container": {"image": "app", "securityContext": main}}
    (collector,) = collectors(render(run=run))
    security = collector["securityContext"]
    assert security["runAsUser"] == user
    assert security["capabilities"] == {"drop": ["ALL"], **({"add": added} if added else {})}


def test_it_trusts_the_api_by_the_authority_that_main_has() -> None:
    (collector,) = collectors(render(replace(KEEPS, api_ca="-----BEGIN CERTIFICATE-----")))
    env = {one["name"]: one["value"] for one in collector["env"]}
    folders = [one["mountPath"] for one in collector["volumeMounts"]]
    assert any(env["POLYAXON_SSL_CA_CERT"].startswith(f"{folder}/") for folder in folders)


def test_a_pod_of_a_version_without_collector_runs_the_same_program() -> None:
    before, now = render(replace(KEEPS, data="")), render()
    assert find_other_program(before, now) is None
    assert find_other_program(now, before) is None
