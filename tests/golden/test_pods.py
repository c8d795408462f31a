"""Golden Pods: operation.yaml (with upstream.yaml, connections.yaml) -> pod.yaml, one folder a
case.

`make golden` writes them; the diff is the review.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.builders import list_created

from opstrand.core.compiling.prepare import prepare
from opstrand.core.decide import decide
from opstrand.core.lifecycle.snapshot import Snapshot
from opstrand.core.planning.connections import EMPTY, read_catalog
from opstrand.core.resolving.upstream import read_upstream
from opstrand.core.templates.template import refuse
from opstrand.settings import Settings
from opstrand.spec.connections import parse_catalog_file

HERE = Path(__file__).parent
CASES = sorted(path.parent.name for path in HERE.glob("*/operation.yaml"))
SETTINGS = Settings(
    image="opstrand:golden", api_url="http://api.test:8000", external_url="https://runs.test"
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


def render(folder: Path) -> list[dict[str, Any]]:
    """Return what the operator would create for this case: the ConfigMap if one is needed, then the
    Pod.
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
    decision = decide(
        Snapshot(
            body,
            prepared,
            datetime(2026, 1, 1, tzinfo=UTC),
            SETTINGS,
            refuse,
            upstream,
            catalog=catalog,
        )
    )
    return list_created(decision)


@pytest.mark.parametrize("case", CASES)
def test_the_pod_is_as_agreed(case: str) -> None:
    target = HERE / case / "pod.yaml"
    manifests = render(HERE / case)
    if os.environ.get("OPSTRAND_GOLDEN") == "write":
        target.write_text(
            yaml.safe_dump_all(manifests, sort_keys=False, allow_unicode=True, width=140)
        )
    assert manifests == list(yaml.safe_load_all(target.read_text())), (
        f"{target.name} of {case} differs; make golden, and read the diff"
    )


def test_every_case_is_a_valid_pod() -> None:
    import kubernetes_validate

    for case in CASES:
        for manifest in yaml.safe_load_all((HERE / case / "pod.yaml").read_text()):
            kubernetes_validate.validate(manifest, "1.36", strict=True)
