"""Results of earlier runs: who takes one, what is copied, who waits, and what is said about it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.memory_cluster import NAMESPACE, MemoryCluster

from opstrand.core.names import is_owned_by
from opstrand.core.phase import parse_phase
from opstrand.kube.resources import OPERATIONS

ON = {"disable": False}
COMPONENT: dict[str, Any] = {
    "inputs": [{"name": "lr", "type": "float", "value": 0.5}, {"name": "seed", "value": 1}],
    "outputs": [{"name": "acc", "type": "float", "isOptional": True}],
    "run": {
        "kind": "job",
        "init": [{"file": {"filename": "a", "content": "b"}}],
        "container": {"image": "busybox", "command": ["train"], "args": ["{{ lr }}"]},
    },
}
JOB = {"component": COMPONENT}
CACHED = {**JOB, "cache": ON}
SEARCH = {
    "kind": "hyperband",
    "maxIterations": 4,
    "eta": 2,
    "seed": 7,
    "resource": {"name": "seed", "type": "int"},
    "metric": {"name": "acc", "optimization": "maximize"},
    "params": {"lr": {"kind": "choice", "value": [0.25, 0.5, 0.75]}},
}


@pytest.fixture
def cluster() -> Iterator[MemoryCluster]:
    with MemoryCluster() as cluster:
        yield cluster


def dag(*names: str, **more: Any) -> dict[str, Any]:
    ops = [{"name": name, **JOB, "params": {"seed": {"value": name}}, **more} for name in names]
    return {"component": {"run": {"kind": "dag", "operations": ops}}}


async def create(cluster: MemoryCluster, name: str, spec: Any, **metadata: Any) -> dict[str, Any]:
    await cluster.create(name, spec, **metadata)
    await cluster.settle()
    return cluster.status(name)


async def run(cluster: MemoryCluster, name: str, spec: Any, **outputs: Any) -> dict[str, Any]:
    """Create a run, let it end well, and return its status."""
    await create(cluster, name, spec)
    await end(cluster, name, **outputs)
    return cluster.status(name)


async def end(cluster: MemoryCluster, name: str, code: int = 0, **outputs: Any) -> None:
    await cluster.run_pod(name, **outputs)
    await cluster.end_pod(name, code)
    await cluster.settle()


async def finish(cluster: MemoryCluster, name: str) -> str:
    """Let every Pod of a pipeline end well, and return its letters."""
    for _ in range(20):
        for child in (await cluster.children(name)).values():
            if parse_phase(child.get("status")).value in ("Starting", "Running"):
                await end(cluster, child["metadata"]["name"], acc=0.75)
        await cluster.wait()
        if parse_phase(cluster.status(name)).is_final:
            return str(cluster.status(name)["children"]["states"])
    raise AssertionError(f"it has not ended: {cluster.status(name)}")


def patched(**run: Any) -> dict[str, Any]:
    return {**CACHED, "runPatch": run}


def given(**params: Any) -> dict[str, Any]:
    return {**CACHED, "params": {name: {"value": value} for name, value in params.items()}}


# -- a hit -----------------------------------------------------------------------------------------


async def test_a_result_is_taken_by_one_write_and_without_a_pod(cluster: MemoryCluster) -> None:
    first = await run(cluster, "a", CACHED, acc=0.75)
    await cluster.kube.json_patch(
        OPERATIONS,
        NAMESPACE,
        "a",
        [
            {
                "op": "add",
                "path": "/status/artifacts",
                "value": [
                    {"name": "model", "kind": "model", "path": "outputs/model"},
                    {"name": "s3", "kind": "dir", "path": "s3://b/c"},
                    {"name": "in", "kind": "file", "path": "in", "isInput": True},
                ],
            }
        ],
    )
    created = await cluster.create("b", CACHED)
    await cluster.settle()
    body, status = cluster.get("b"), cluster.status("b")
    assert (status["phase"], status["reason"]) == ("Succeeded", "CacheHit")
    assert status["message"] == (
        "taken from a because it ran the same component with the same values (lr, seed), and with "
        "the same init, connections, containers"
    )
    assert status["outputs"] == {"acc": 0.75}
    assert status["inputs"] == first["inputs"]
    assert status["original"] == {"uuid": first["uuid"], "name": "a", "kind": "cache"}
    assert status["cacheKey"] == first["cacheKey"]
    made = [one for one in status["artifacts"] if not one.get("isInput")]
    assert [(one["name"], one["path"]) for one in made] == [
        ("model", f"{first['uuid']}/outputs/model"),
        ("s3", "s3://b/c"),
    ]
    assert "pod" not in status
    assert await cluster.pods_of("b") == []
    versions = [int(one["metadata"]["resourceVersion"]) for one in (created, body)]
    assert versions[1] - versions[0] == 1
    conditions = {one["type"]: one["status"] for one in status["conditions"]}
    assert (conditions["Succeeded"], conditions["Finished"]) == ("True", "True")


async def test_an_operator_that_dies_at_a_hit_takes_it_once(cluster: MemoryCluster) -> None:
    await run(cluster, "a", CACHED, acc=0.75)
    await cluster.create("b", CACHED)
    await cluster.restart()
    await cluster.settle()
    version = cluster.get("b")["metadata"]["resourceVersion"]
    assert cluster.status("b")["reason"] == "CacheHit"
    await cluster.restart()
    await cluster.settle()
    await cluster.wait()
    assert cluster.get("b")["metadata"]["resourceVersion"] == version
    assert await cluster.pods_of("b") == []


async def test_a_result_is_taken_from_the_run_that_has_it(cluster: MemoryCluster) -> None:
    first = await run(cluster, "a", CACHED, acc=0.75)
    await create(cluster, "b", CACHED)
    third = await create(cluster, "c", CACHED)
    assert third["original"]["uuid"] == first["uuid"]
    await cluster.delete("a")
    await cluster.settle()
    assert (await create(cluster, "d", CACHED))["phase"] == "Starting"


async def test_what_refers_to_a_run_with_a_taken_result_reads_the_original(
    cluster: MemoryCluster,
) -> None:
    first = await run(cluster, "a", CACHED, acc=0.75)
    await create(cluster, "b", CACHED)
    asked = {"y": "outputs.acc", "id": "globals.uuid", "files": "artifacts.base"}
    params = {
        name: {"ref": "ops.b", "value": value, "contextOnly": True} for name, value in asked.items()
    }
    status = await create(cluster, "c", {**JOB, "params": params})
    known = {name: status["inputs"][name] for name in asked}
    assert known == {"y": 0.75, "id": first["uuid"], "files": first["uuid"]}
    (edge,) = status["upstream"]
    assert (edge["name"], edge["original"]) == ("b", first["uuid"])


async def test_the_hooks_of_a_run_with_a_taken_result_fire(cluster: MemoryCluster) -> None:
    container = {"image": "busybox", "command": ["true"]}
    await cluster.put_component("tell", {"run": {"kind": "job", "container": container}})
    spec = {**CACHED, "hooks": [{"hubRef": "tell", "trigger": "succeeded"}]}
    await run(cluster, "a", spec)
    assert (await create(cluster, "b", spec))["reason"] == "CacheHit"
    uid = cluster.get("b")["metadata"]["uid"]
    (hook,) = [one for one in (await cluster.kube.list(OPERATIONS))[0] if is_owned_by(one, uid)]
    assert hook["status"]["phase"] == "Starting"
    assert "cacheKey" not in hook["status"]


async def test_a_resumed_run_has_a_result_of_its_own(cluster: MemoryCluster) -> None:
    await run(cluster, "a", CACHED, acc=0.75)
    await create(cluster, "b", CACHED)
    await cluster.edit("b", "control", {"resume": 1})
    await cluster.settle()
    status = cluster.status("b")
    assert (status["phase"], status.get("original")) == ("Starting", None)
    await end(cluster, "b", acc=0.5)
    third = await create(cluster, "c", CACHED)
    assert (third["original"]["name"], third["outputs"]) == ("b", {"acc": 0.5})


# -- who takes results -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "is_taken"),
    [
        (CACHED, True),
        (JOB, False),
        ({**JOB, "cache": {"ttl": 60}}, False),
        ({**JOB, "cache": {"disable": True}}, False),
    ],
)
async def test_a_run_alone_takes_a_result_if_its_file_says_so(
    cluster: MemoryCluster, spec: Any, is_taken: bool
) -> None:
    await run(cluster, "a", spec)
    status = await create(cluster, "b", spec)
    assert status.get("reason") == ("CacheHit" if is_taken else "PodCreated")
    assert ("cacheKey" in status) is is_taken


async def test_the_second_run_of_a_pipeline_takes_every_result(cluster: MemoryCluster) -> None:
    await create(cluster, "p", dag("x", "y"))
    assert await finish(cluster, "p") == "ss"
    await create(cluster, "q", dag("x", "y"))
    await cluster.wait()
    status = cluster.status("q")
    assert (status["phase"], status["children"]["states"]) == ("Succeeded", "cc")
    for child in (await cluster.children("q")).values():
        assert await cluster.pods_of(child["metadata"]["name"]) == []


async def test_the_second_run_of_a_matrix_takes_every_result_and_metric(
    cluster: MemoryCluster,
) -> None:
    spec = {**JOB, "matrix": SEARCH}
    await create(cluster, "p", spec)
    states = await finish(cluster, "p")
    assert "s" in states
    await create(cluster, "q", spec)
    for _ in range(4):
        await cluster.wait()
    status = cluster.status("q")
    assert (status["phase"], status["children"]["states"]) == (
        "Succeeded",
        states.replace("s", "c"),
    )
    assert status["search"]["results"] == cluster.status("p")["search"]["results"]


@pytest.mark.parametrize("cache", [{"disable": True}, {"disable": False}])
async def test_a_pipeline_hands_down_whether_its_runs_take_results(
    cluster: MemoryCluster, cache: dict[str, Any]
) -> None:
    spec = {**dag("x"), "cache": cache}
    await create(cluster, "p", spec)
    assert await finish(cluster, "p") == "s"
    await create(cluster, "q", spec)
    assert await finish(cluster, "q") == ("s" if cache["disable"] else "c")


async def test_equal_operations_of_one_pipeline_all_run(cluster: MemoryCluster) -> None:
    equal = {"params": {"seed": {"value": 1}}}
    await create(cluster, "p", dag("x", "y", **equal))
    assert await finish(cluster, "p") == "ss"
    await create(cluster, "q", dag("x", "y", **equal))
    assert await finish(cluster, "q") == "cc"


async def test_the_runs_of_a_schedule_run_each_time(cluster: MemoryCluster) -> None:
    spec = {**dag("x"), "schedule": {"kind": "interval", "frequency": 60}}
    await create(cluster, "s", spec)
    ticks: list[str] = []
    for _ in range(2):
        await cluster.wait(61)
        made = await cluster.children("s")
        (name,) = {one["metadata"]["name"] for one in made.values()} - set(ticks)
        ticks.append(name)
        assert await finish(cluster, name) == "s"
        (child,) = (await cluster.children(name)).values()
        assert "cacheKey" not in child["status"]


async def test_a_restarted_run_runs(cluster: MemoryCluster) -> None:
    first = await run(cluster, "a", CACHED)
    annotations = {"opstrand.dev/restart-of": first["uuid"]}
    status = await create(cluster, "b", CACHED, annotations=annotations)
    assert (status["phase"], status.get("cacheKey")) == ("Starting", None)


async def test_a_service_gives_no_result(cluster: MemoryCluster) -> None:
    service = {"kind": "service", "ports": [80], "container": {"image": "a"}}
    status = await create(cluster, "a", {"component": {"run": service}, "cache": ON})
    assert "cacheKey" not in status


# -- what counts -----------------------------------------------------------------------------------

#: The cache of both runs, what the second one does otherwise, and what is said about it; empty: its
#: result is taken.
DIFFERENCES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (ON, {"params": {"lr": {"value": 0.25}}}, "input lr differs from a"),
    (
        ON,
        {"params": {"lr": {"value": 1}, "seed": {"value": 2}}},
        "input lr, input seed differ from a",
    ),
    ({**ON, "io": ["lr"]}, {"params": {"seed": {"value": 2}}}, ""),
    ({**ON, "io": ["lr"]}, {"params": {"lr": {"value": 0.25}}}, "input lr differs from a"),
    (ON, {"params": {"more": {"value": 2}}}, "input more differs from a"),
    (ON, {"params": {"acc": {"value": 2}}}, "output acc differs from a"),
    (ON, {"runPatch": {"container": {"args": ["x"]}}}, "containers differ from a"),
    (ON, {"runPatch": {"container": {"image": "other"}}}, "containers differ from a"),
    (ON, {"runPatch": {"sidecars": [{"name": "s", "image": "a"}]}}, "containers differ from a"),
    (
        ON,
        {"runPatch": {"init": [{"file": {"filename": "c", "content": "d"}}]}},
        "init differs from a",
    ),
    (
        ON,
        {"runPatch": {"volumes": [{"name": "v", "emptyDir": {}}]}},
        "the rest of run differs from a",
    ),
    ({**ON, "sections": ["init"]}, {"runPatch": {"container": {"args": ["x"]}}}, ""),
    (
        {**ON, "sections": ["containers"]},
        {"runPatch": {"init": [{"file": {"filename": "c", "content": "d"}}]}},
        "",
    ),
    (
        {**ON, "sections": ["containers"]},
        {"runPatch": {"container": {"args": ["x"]}}},
        "containers differ from a",
    ),
    (ON, {"runPatch": {"environment": {"nodeSelector": {"a": "b"}}}}, ""),
    (ON, {"termination": {"timeout": 60}}, ""),
    (ON, {"name": "other", "tags": ["t"], "description": "other"}, ""),
    (
        ON,
        {"runPatch": {"container": {"env": [{"name": "A", "value": "1"}]}}},
        "containers differ from a",
    ),
]


@pytest.mark.parametrize(("cache", "change", "said"), DIFFERENCES)
async def test_what_counts_for_a_result(
    cluster: MemoryCluster, cache: dict[str, Any], change: dict[str, Any], said: str
) -> None:
    await run(cluster, "a", {**JOB, "cache": cache})
    status = await create(cluster, "b", {**JOB, "cache": cache, **change})
    if not said:
        assert status["reason"] == "CacheHit"
        return
    # A cluster in memory refuses some Pods.
    assert status["reason"] in ("PodCreated", "PodRefused")
    assert (status["cache"]["message"], status["cache"]["run"]) == (f"not taken: {said}", "a")


async def test_another_component_is_no_earlier_run(cluster: MemoryCluster) -> None:
    await run(cluster, "a", CACHED)
    other = {**COMPONENT, "run": {"kind": "job", "container": {"image": "busybox"}}}
    status = await create(cluster, "b", {"component": other, "cache": ON})
    assert status["cache"]["message"] == "not taken: no earlier run of the same component"


async def test_the_run_with_the_fewest_differences_is_named(cluster: MemoryCluster) -> None:
    await run(cluster, "near", given(lr=0.25, seed=3))
    await run(cluster, "far", given(lr=0.75, seed=7))
    status = await create(cluster, "b", given(lr=0.25, seed=4))
    assert status["cache"]["message"] == "not taken: input seed differs from near"


async def test_a_run_with_a_secret_has_no_key_and_says_so(cluster: MemoryCluster) -> None:
    spec = {**JOB, "cache": ON, "params": {"db_password": {"value": "hunter2"}}}
    await run(cluster, "a", spec)
    status = await create(cluster, "b", spec)
    assert status["reason"] == "PodCreated"
    assert "cacheKey" not in status
    message = status["cache"]["message"]
    assert message.startswith("not taken: db_password looks like a secret, and such a run has no")
    assert "hunter2" not in json.dumps(status["cache"])


async def test_runs_that_differ_in_a_number_of_a_secret_s_name_share_none(
    cluster: MemoryCluster,
) -> None:
    def make(tokens: int) -> dict[str, Any]:
        return {**JOB, "cache": ON, "params": {"train_tokens": {"value": tokens}}}

    await run(cluster, "a", make(1000))
    status = await create(cluster, "b", make(2000))
    assert status["reason"] == "PodCreated"
    assert status["cache"]["message"].startswith("not taken: input train_tokens differ")
    assert (await create(cluster, "c", make(1000)))["reason"] == "CacheHit"


# -- which results are usable ----------------------------------------------------------------------


async def test_a_result_is_usable_for_its_ttl(cluster: MemoryCluster) -> None:
    spec = {**JOB, "cache": {**ON, "ttl": 60}}
    await run(cluster, "a", spec)
    await cluster.wait(50)
    assert (await create(cluster, "b", spec))["reason"] == "CacheHit"
    await cluster.wait(20)
    status = await create(cluster, "c", spec)
    assert status["reason"] == "PodCreated"
    assert "not taken: a, which is the same, ended 1m" in status["cache"]["message"]
    assert "(cache.ttl: 60 s)" in status["cache"]["message"]


async def test_an_invalidated_result_is_not_taken(cluster: MemoryCluster) -> None:
    await run(cluster, "a", CACHED)
    await cluster.edit("a", "control", {"invalidate": True})
    status = await create(cluster, "b", CACHED)
    assert status["cache"]["message"] == "not taken: a, which is the same, is invalidated"
    await end(cluster, "b")
    assert (await create(cluster, "c", CACHED))["original"]["name"] == "b"


async def test_a_failed_run_has_no_result(cluster: MemoryCluster) -> None:
    await create(cluster, "a", CACHED)
    await end(cluster, "a", 1)
    status = await create(cluster, "b", CACHED)
    assert status["cache"]["message"] == "not taken: a, which is the same, is Failed"


async def test_files_that_are_gone_are_no_result(cluster: MemoryCluster) -> None:
    await run(cluster, "a", CACHED)
    cluster.world.has_files = lambda body: False
    assert (await create(cluster, "b", CACHED))["reason"] == "PodCreated"


# -- a run that has not ended ----------------------------------------------------------------------


async def test_a_run_waits_for_one_that_computes_the_same(cluster: MemoryCluster) -> None:
    await create(cluster, "a", CACHED)
    status = await create(cluster, "b", CACHED)
    assert (status["phase"], status["reason"]) == ("Waiting", "CachePending")
    assert status["message"] == "waits for a, which computes the same"
    version = cluster.get("b")["metadata"]["resourceVersion"]
    await cluster.wait()
    assert cluster.get("b")["metadata"]["resourceVersion"] == version
    await end(cluster, "a", acc=0.5)
    status = cluster.status("b")
    assert (status["reason"], status["outputs"]) == ("CacheHit", {"acc": 0.5})


@pytest.mark.parametrize("how", ["fails", "is deleted", "is stopped"])
async def test_a_run_that_waited_for_a_failure_runs_itself(
    cluster: MemoryCluster, how: str
) -> None:
    await create(cluster, "a", CACHED)
    await create(cluster, "b", CACHED)
    await create(cluster, "c", CACHED)
    if how == "is deleted":
        await cluster.delete("a")
        await cluster.settle()
    elif how == "is stopped":
        await cluster.edit("a", "control", {"stop": True})
        await cluster.settle()
        await cluster.end_stopped_pods()
        await cluster.settle()
    else:
        await end(cluster, "a", 1)
    reasons = sorted(str(cluster.status(name)["reason"]) for name in ("b", "c"))
    assert reasons == ["CachePending", "PodCreated"]
    for name in ("b", "c"):
        if cluster.status(name)["reason"] == "PodCreated":
            await end(cluster, name)
    assert sorted(str(cluster.status(name)["reason"]) for name in ("b", "c"))[0] == "CacheHit"


async def test_a_run_that_waits_can_be_stopped(cluster: MemoryCluster) -> None:
    await create(cluster, "a", CACHED)
    await create(cluster, "b", CACHED)
    await cluster.edit("b", "control", {"stop": True})
    await cluster.settle()
    assert cluster.status("b")["phase"] == "Stopped"


async def test_no_run_waits_for_one_that_has_not_started(cluster: MemoryCluster) -> None:
    params = {"lr": {"ref": "ops.none", "value": "outputs.y"}}
    await create(cluster, "a", {**CACHED, "params": params})
    assert (await create(cluster, "b", CACHED))["phase"] == "Starting"
    assert cluster.status("a")["phase"] == "Waiting"


async def test_a_waiting_run_survives_the_operator(cluster: MemoryCluster) -> None:
    await create(cluster, "a", CACHED)
    await create(cluster, "b", CACHED)
    await cluster.restart()
    await cluster.settle()
    await end(cluster, "a")
    assert cluster.status("b")["reason"] == "CacheHit"
