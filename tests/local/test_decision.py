"""A decision made in a worker equals the decision made in this process, for a small body and a
packed one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from tests.support.builders import list_created

from opstrand.controller import decision, decision_job
from opstrand.controller.cache import Cache
from opstrand.controller.gather import World, gather
from opstrand.core import packed
from opstrand.core.lifecycle.snapshot import Decision
from opstrand.core.planning.connections import EMPTY, read_catalog
from opstrand.kube.resources import COMPONENTS, OPERATIONS
from opstrand.local.kube import MemoryKube
from opstrand.settings import Settings
from opstrand.spec.connections import parse_catalog_file
from opstrand.types import Manifest
from opstrand.workers.inline import NeedsWorker
from opstrand.workers.pool import Pool

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = sorted(path.parent.name for path in GOLDEN.glob("*/operation.yaml"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOOP = "{% for i in range(10**12) %}{% endfor %}"


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def pool() -> AsyncIterator[Pool]:
    pool = Pool(modules=(decision_job.MODULE,), seconds=1.0, megabytes=96)
    yield pool
    pool.close()


def identified(body: Manifest, uid: str) -> Manifest:
    fixed = {
        "uid": uid,
        "namespace": "ns",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "generation": 1,
        "resourceVersion": "1",
    }
    return {**body, "metadata": {**fixed, **body["metadata"]}}


def make_world(pool: Pool, *bodies: Manifest, **parts: Any) -> World:
    world = World(
        MemoryKube(lambda *_: None), Cache(), Settings(**parts.pop("settings", {})), pool, **parts
    )
    for number, body in enumerate(bodies):
        resource = COMPONENTS if body.get("kind") == "Component" else OPERATIONS
        world.cache.put(
            resource, identified(body, f"d1410a91-4d18-4575-89b9-1926d8c23d{number:02d}")
        )
    return world


async def decide(world: World, name: str, *, here: bool = False) -> Decision:
    gathered = await gather(("ns", name), world=world, now=NOW)
    assert gathered is not None
    return (
        decision.decide_here(gathered, ("ns", name), world)
        if here
        else await decision.decide_apart(gathered, ("ns", name), world)
    )


def told(found: Decision) -> tuple[Any, ...]:
    return list_created(found), len(found.actions), found.status, found.freeze, found.requeue_after


def read_case(case: str) -> tuple[str, list[Manifest], Any]:
    folder = GOLDEN / case
    files = [folder / "operation.yaml", *folder.glob("upstream.yaml")]
    bodies = [body for file in files for body in yaml.safe_load_all(file.read_text())]
    catalog = [
        read_catalog(parse_catalog_file(yaml.safe_load(file.read_text())))
        for file in folder.glob("connections.yaml")
    ]
    return bodies[0]["metadata"]["name"], bodies, (catalog or [EMPTY])[0]


@pytest.mark.parametrize("large", [packed.LARGE, 0])
@pytest.mark.parametrize("case", CASES)
async def test_a_worker_decides_what_is_decided_here(
    pool: Pool, case: str, large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, bodies, catalog = read_case(case)
    expected = await decide(
        make_world(pool, *bodies, read_catalog=lambda: catalog), name, here=True
    )
    monkeypatch.setattr(packed, "LARGE", large)
    world = make_world(pool, *bodies, read_catalog=lambda: catalog)
    assert told(await decide(world, name)) == told(expected)
    if not large:
        with pytest.raises(NeedsWorker):
            await decide(world, name, here=True)


def job(**spec: Any) -> Manifest:
    run = {
        "kind": "job",
        "container": {"image": "busybox", "command": ["true"], **spec.pop("container", {})},
    }
    return {"metadata": {"name": "run"}, "spec": {"component": {"run": run}, **spec}}


@pytest.mark.parametrize("large", [packed.LARGE, 0])
async def test_what_other_objects_say_is_asked_for(
    pool: Pool, large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "LARGE", large)
    hub = {
        "kind": "Component",
        "metadata": {"name": "echo"},
        "spec": job(container={"args": ["{{ x | int + 1 }}"]})["spec"]["component"],
    }
    hub["spec"]["inputs"] = [{"name": "x", "type": "int"}]
    status = {"phase": "Succeeded", "outputs": {"y": 41}, "pod": {"name": "b"}}
    asks = {"hubRef": "echo", "params": {"x": {"ref": "ops.b", "value": "outputs.y"}}}
    body = {"metadata": {"name": "a"}, "spec": asks}
    world = make_world(pool, body, hub, {**job(), "metadata": {"name": "b"}, "status": status})
    found = await decide(world, "a")
    assert (found.status or {})["inputs"] == {"x": 41}
    assert told(found)[0][0]["spec"]["containers"][0]["args"] in ([42], ["42"])
    without = make_world(pool, body)
    assert (await decide(without, "a")).status["reason"] == "ComponentNotFound"  # type: ignore[index]
    joined = job(
        joins=[
            {
                "query": "status: succeeded",
                "params": {"ys": {"value": "outputs.y", "contextOnly": True}},
            }
        ]
    )
    found = await decide(
        make_world(pool, joined, {**job(), "metadata": {"name": "b"}, "status": status}), "run"
    )
    assert (found.status or {})["inputs"] == {"ys": [41]}


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ({"args": [LOOP] * 30}, "longer than 1 s of computing time"),
        ({"args": ["{{ 'a' * 10**9 }}"]}, "too much memory"),
    ],
)
async def test_a_run_that_takes_too_much_ends_at_once(
    pool: Pool, container: Any, words: str
) -> None:
    found = await decide(make_world(pool, job(container=container)), "run")
    assert found.status is not None
    assert (found.status["phase"], found.status["reason"] in ("TooExpensive", "TemplateError")) == (
        "Failed",
        True,
    )
    assert words in found.status["message"]


async def test_the_allowance_of_a_run_is_for_all_its_decisions(pool: Pool) -> None:
    world = make_world(
        pool,
        job(container={"args": ["{{ range(10**6) | sum }}"]}),
        settings={"decision_seconds_per_run": 1},
    )
    reasons = []
    for _ in range(200):
        reasons.append((await decide(world, "run")).status["reason"])  # type: ignore[index]
        if reasons[-1] != "PodCreated":
            break
    assert (reasons[0], reasons[-1]) == ("PodCreated", "TooExpensive")


BACKUP = {"metadata": {"labels": {"velero.io/restore-name": "x"}}}


@pytest.mark.parametrize(
    "change", [{"spec": {"control": {"stop": True}}}, {"spec": {"control": {"skip": True}}}, BACKUP]
)
async def test_what_needs_nothing_of_the_file_is_decided_here(
    pool: Pool, change: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "LARGE", 0)
    body = job(container={"args": [LOOP]})
    for key, more in change.items():
        body[key] = {**body[key], **more}
    found = await decide(make_world(pool, body), "run", here=True)
    assert (found.status or {})["phase"] in ("Stopped", "Skipped")
