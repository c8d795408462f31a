"""Golden Pods: operation.yaml (with upstream.yaml, connections.yaml) -> pod.yaml, one folder a
case. Of a pipeline it has the first runs.

`make golden` writes them; the diff is the review.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.builders import answer, list_created

from opstrand.core.compiling.prepare import prepare
from opstrand.core.decide import decide
from opstrand.core.lifecycle.snapshot import Decision, Snapshot
from opstrand.core.normalize import as_stored
from opstrand.core.planning.connections import EMPTY, read_catalog
from opstrand.core.resolving.upstream import read_upstream
from opstrand.core.templates.template import refuse
from opstrand.settings import Settings
from opstrand.spec.connections import parse_catalog_file

HERE = Path(__file__).parent
CASES = sorted(path.parent.name for path in HERE.glob("*/operation.yaml"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = Settings(
    image="opstrand:golden",
    api_url="http://api.test:8000",
    external_url="https://runs.test",
    data="/var/lib/opstrand",
)


def identified(
    body: dict[str, Any], uid: str = "d1410a91-4d18-4575-89b9-1926d8c23db4"
) -> dict[str, Any]:
    fixed = {
        "uid": uid,
        "namespace": "quick-start",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "generation": 1,
        "resourceVersion": "1",
    }
    return {**body, "metadata": {**fixed, **body["metadata"]}}


def find_decision(folder: Path) -> tuple[dict[str, Any], Decision]:
    """Return the case's Operation, and what is decided about it at its start: to create the
    ConfigMap if one is needed, then the Pod.
    """
    body = identified(yaml.safe_load((folder / "operation.yaml").read_text()))
    upstream_file = folder / "upstream.yaml"
    others = (
        [identified(one) for one in yaml.safe_load_all(upstream_file.read_text())]
        if upstream_file.exists()
        else []
    )
    prepared = prepare(body, settings=SETTINGS)
    known = {one["metadata"]["name"]: read_upstream(one, SETTINGS) for one in others}
    upstream = {ref: known.get(ref.target) for ref in prepared.refs}
    catalog_file = folder / "connections.yaml"
    catalog = (
        read_catalog(parse_catalog_file(yaml.safe_load(catalog_file.read_text())))
        if catalog_file.exists()
        else EMPTY
    )
    return body, decide(Snapshot(body, prepared, NOW, SETTINGS, refuse, upstream, catalog=catalog))


@pytest.mark.parametrize("case", CASES)
def test_the_pod_is_as_agreed(case: str) -> None:
    target = HERE / case / "pod.yaml"
    manifests = list_created(find_decision(HERE / case)[1])
    if os.environ.get("OPSTRAND_GOLDEN") == "write":
        target.write_text(
            yaml.safe_dump_all(manifests, sort_keys=False, allow_unicode=True, width=140)
        )
    assert manifests == list(yaml.safe_load_all(target.read_text())), (
        f"{target.name} of {case} differs; make golden, and read the diff"
    )


@pytest.mark.parametrize("case", CASES)
def test_a_run_that_started_is_rendered_from_its_status_alone(case: str) -> None:
    """Its upstreams and its connections may be gone by then."""
    body, decision = find_decision(HERE / case)
    frozen = as_stored(json.loads(json.dumps({**body, "status": decision.status})))
    prepared = prepare(frozen, settings=SETTINGS)
    again = decide(answer(Snapshot(frozen, prepared, NOW, SETTINGS, refuse, {})))
    assert list_created(again) == list(yaml.safe_load_all((HERE / case / "pod.yaml").read_text()))


def test_every_case_is_a_valid_pod() -> None:
    import kubernetes_validate

    for case in CASES:
        for manifest in yaml.safe_load_all((HERE / case / "pod.yaml").read_text()):
            if not manifest["apiVersion"].startswith("opstrand.dev/"):
                kubernetes_validate.validate(manifest, "1.36", strict=True)
