"""What a run reports about itself is shown and passed on, and never rendered: each attempt is the
program that was started.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from tests.support.builders import answer, list_created

from opstrand.api.published.lineage import Artifact
from opstrand.api.published.runs import RunPatch
from opstrand.core.compiling.prepare import prepare
from opstrand.core.decide import decide
from opstrand.core.lifecycle.snapshot import Snapshot
from opstrand.core.normalize import as_stored
from opstrand.core.resolving.upstream import read_upstream
from opstrand.core.templates.template import refuse
from opstrand.runs.memory import MemoryRuns
from opstrand.settings import Settings

SETTINGS = Settings()
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
COMPONENT: dict[str, Any] = {
    "inputs": [
        {"name": "mode", "type": "str", "value": "train"},
        {"name": "lr", "type": "float", "value": 1.0},
        {"name": "secret", "type": "str", "value": "mine"},
    ],
    "outputs": [
        {"name": "target", "type": "str", "value": "frozen"},
        {"name": "score", "type": "float", "value": 2.0},
    ],
    "run": {
        "kind": "job",
        "container": {
            "image": "busybox:{{ target }}",
            "command": ["python3", "-c", "{{ mode }}", "{{ lr }}", "{{ score }}", "{{ late }}"],
            "envFrom": [{"secretRef": {"name": "{{ secret }}"}}],
        },
    },
}
SPEC = {
    "params": {"late": {"value": "x", "contextOnly": True}},
    "termination": {"maxRetries": 1},
    "component": COMPONENT,
    "tags": ["own"],
    "description": "its own",
}
HOSTILE = {
    "mode": "evil",
    "lr": "high",
    "secret": "theirs",
    "target": "evil",
    "score": 9,
    "late": "evil",
    "maxRetries": 99,
}
#: A hostile value for each kind of field that a caller may send.
VALUES: dict[str, Any] = {
    **dict.fromkeys(("inputs", "outputs", "meta_info"), HOSTILE),
    "tags": ["evil", "own"],
    "name": None,
    "description": "evil",
    "readme": "evil",
}


def operation(spec: dict[str, Any]) -> dict[str, Any]:
    meta = {
        "name": "echo",
        "namespace": "quick-start",
        "uid": "4f0c1a2b-4f0c-1a2b-4f0c-1a2b4f0c1a2b",
        "generation": 1,
    }
    return {
        "metadata": {**meta, "resourceVersion": "1", "creationTimestamp": "2026-01-02T03:04:05Z"},
        "spec": spec,
    }


def see(body: dict[str, Any], **fields: Any) -> Snapshot:
    return Snapshot(
        body, prepare(body, settings=SETTINGS), fields.pop("now", NOW), SETTINGS, refuse, **fields
    )


def made_of(snapshot: Snapshot) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the status that is written, and the manifests."""
    decision = decide(snapshot)
    return {**snapshot.status, **(decision.status or {})}, list_created(decision)


def as_attempt_0(manifests: list[dict[str, Any]]) -> Any:
    return json.loads(json.dumps(manifests).replace("echo-4f0c1a2b-1", "echo-4f0c1a2b-0"))


async def report_all(api: TestClient[Any, Any], uuid: str, *, merge: bool) -> None:
    path = f"/api/v1/default/quick-start/runs/{uuid}"
    assert set(VALUES) | {"merge"} == set(RunPatch.model_fields), (
        "a new field needs a hostile value here"
    )
    for field, value in VALUES.items():
        answer = await api.patch(path, json={field: value, "merge": merge})
        assert answer.status == 200, await answer.text()
    artifact = {
        **dict.fromkeys(Artifact.model_fields, None),
        "name": "target",
        "kind": "file",
        "path": "evil",
        "is_input": True,
    }
    assert (await api.post(f"{path}/lineage/artifacts", json=[artifact])).status == 201


@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize("kind", ["job", "service"])
async def test_no_report_changes_what_is_rendered_next(
    api: TestClient[Any, Any], runs: MemoryRuns, kind: str, merge: bool
) -> None:
    body = operation(
        {**SPEC, "component": {**COMPONENT, "run": {**COMPONENT["run"], "kind": kind}}}
    )
    status, first = made_of(see(body))
    body = as_stored(json.loads(json.dumps({**body, "status": status})))
    await runs.put(body)
    await report_all(api, body["status"]["uuid"], merge=merge)
    reported = dict(runs.bodies["quick-start", "echo"])
    assert reported["status"]["outputs"]["target"] == "evil"
    later = NOW + timedelta(minutes=10)
    if kind == "job":
        end = {
            "exitCode": 1,
            "startedAt": "2026-01-02T03:04:06Z",
            "finishedAt": "2026-01-02T03:04:07Z",
        }
        pod = {
            "metadata": {
                "name": "echo-4f0c1a2b-0",
                "uid": "pod",
                "creationTimestamp": "2026-01-02T03:04:05Z",
            },
            "status": {
                "phase": "Failed",
                "containerStatuses": [{"name": "main", "state": {"terminated": end}}],
            },
        }
        retrying = decide(answer(see(reported), pod=pod))
        assert retrying.status is not None
        assert (retrying.status["phase"], retrying.status["attempt"]) == ("Retrying", 1)
        reported["status"] = retrying.status
    _, second = made_of(see(reported, now=later))
    assert as_attempt_0(second) == first


async def test_what_a_run_reports_of_its_inputs_is_shown_over_what_was_frozen(
    api: TestClient[Any, Any], runs: MemoryRuns
) -> None:
    body = operation(SPEC)
    status, _ = made_of(see(body))
    await runs.put(as_stored({**body, "status": status}))
    path = f"/api/v1/default/quick-start/runs/{status['uuid']}"
    view = await (
        await api.patch(path, json={"inputs": {"lr": 0.5, "seen": 3}, "merge": True})
    ).json()
    assert view["inputs"] == {"late": "x", "seen": 3, "mode": "train", "lr": 0.5, "secret": "mine"}
    stored = runs.bodies["quick-start", "echo"]
    assert stored["status"]["inputs"]["lr"] == 1
    assert (read_upstream(stored, SETTINGS).inputs or {})["lr"] == 0.5
    # Without merge, earlier reports are replaced; frozen values belong to the operator and stay.
    view = await (await api.patch(path, json={"inputs": {"seen": 4}})).json()
    assert (view["inputs"]["lr"], view["inputs"]["seen"]) == (1.0, 4)


async def test_what_was_reported_before_the_freeze_stays(
    api: TestClient[Any, Any], runs: MemoryRuns
) -> None:
    body = operation(SPEC)
    await runs.put(body)
    path = "/api/v1/default/quick-start/runs/4f0c1a2b4f0c1a2b4f0c1a2b4f0c1a2b"
    said = {
        "meta_info": {"a": 1},
        "tags": ["said"],
        "outputs": {"early": 2},
        "inputs": {"mode": "evil"},
        "description": "said",
    }
    assert (await api.patch(path, json={**said, "merge": True})).status == 200
    status, (pod,) = made_of(see(dict(runs.bodies["quick-start", "echo"])))
    assert (status["meta"], status["tags"], status["description"]) == (
        {"a": 1},
        ["own", "said"],
        "said",
    )
    assert status["outputs"] == {"target": "frozen", "score": 2.0, "early": 2}
    assert status["inputs"]["mode"] == "train"
    assert pod["spec"]["containers"][0]["command"] == ["python3", "-c", "train", "1.0", "2.0", "x"]


async def test_declared_types_come_back_through_every_view(
    api: TestClient[Any, Any], runs: MemoryRuns
) -> None:
    """A cluster stores 1.0 as 1."""
    body = operation(SPEC)
    status, _ = made_of(see(body))
    await runs.put(as_stored(json.loads(json.dumps({**body, "status": status}))))
    path = f"/api/v1/default/quick-start/runs/{status['uuid']}"
    for text in (
        await (await api.get(path)).text(),
        await (await api.get("/api/v1/default/quick-start/runs")).text(),
    ):
        assert '"lr": 1.0' in text
        assert '"score": 2.0' in text
    answer = await api.patch(path, json={"outputs": {"score": 3}, "merge": True})
    assert '"score": 3.0' in await answer.text()
    upstream = read_upstream(runs.bodies["quick-start", "echo"], SETTINGS)
    assert (repr((upstream.inputs or {})["lr"]), repr((upstream.outputs or {})["score"])) == (
        "1.0",
        "3.0",
    )
