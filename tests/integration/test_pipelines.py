"""Pipelines on a real API server: runs that make runs, and end as they do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from opstrand.core import names
from opstrand.core.names import run_uuid
from opstrand.core.phase import parse_phase
from opstrand.kube.client import KubeApi
from opstrand.kube.errors import NotFound
from opstrand.kube.resources import OPERATIONS
from opstrand.types import Manifest
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import OPERATOR_USER, in_phase, operation, wait_for
from tests.support.audit import read_audit
from tests.support.scripted_kubelet import ScriptedKubelet

pytestmark = pytest.mark.usefixtures("operator", "kubelet")


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def kubelet(kube: KubeApi) -> AsyncIterator[ScriptedKubelet]:
    async with ScriptedKubelet(kube) as kubelet:
        yield kubelet


def op(
    name: str, *dependencies: str, test: Mapping[str, str] | None = None, **own: Any
) -> dict[str, Any]:
    """Return an operation of a pipeline; `test`: what the kubelet's stand-in does with its Pod."""
    annotations = {f"test/{key}": value for key, value in (test or {}).items()}
    run = {
        "kind": "job",
        "environment": {"annotations": annotations},
        "container": {"image": "busybox", "command": ["true"]},
    }
    named = {"dependencies": list(dependencies)} if dependencies else {}
    return {"name": name, "component": {"run": run}, **named, **own}


def pipeline(name: str, *operations: Mapping[str, Any], **own: Any) -> Manifest:
    run = {"kind": "dag", "operations": list(operations), **own.pop("run", {})}
    return operation(name, {"component": {"run": run}, **own})


def reading(ref: str, **values: str) -> dict[str, Any]:
    return {
        name: {"ref": ref, "value": value, "contextOnly": True} for name, value in values.items()
    }


async def children_of(kube: KubeApi, namespace: str, body: Manifest) -> dict[str, Manifest]:
    """Return the runs of a pipeline by the name of their operation."""
    bodies, _ = await kube.list(OPERATIONS, namespace)
    uid = body["metadata"]["uid"]
    return {one["spec"]["name"]: one for one in bodies if names.is_owned_by(one, uid)}


async def run_to_the_end(kube: KubeApi, namespace: str, body: Manifest) -> Manifest:
    await kube.create(OPERATIONS, namespace, body)
    return await wait_for(kube, namespace, body["metadata"]["name"], is_over, seconds=60)


def is_over(body: Manifest) -> bool:
    return parse_phase(body.get("status")).is_final


async def test_a_diamond_runs_each_operation_after_its_upstreams(
    kube: KubeApi, namespace: str
) -> None:
    ran = {"until": "Running"}
    body = await run_to_the_end(
        kube,
        namespace,
        pipeline(
            "diamond",
            op("d", "b", "c", test=ran),
            op("a", test=ran),
            op("b", "a", test=ran),
            op("c", "a", test=ran),
        ),
    )
    status = body["status"]
    assert (status["phase"], status["kind"]) == ("Succeeded", "dag")
    assert status["children"]["states"] == "ssss"
    assert status["children"]["succeeded"] == status["children"]["total"] == 4
    children = await children_of(kube, namespace, body)
    times = {
        name: (one["status"]["startedAt"], one["status"]["finishedAt"])
        for name, one in children.items()
    }
    created = {name: one["metadata"]["creationTimestamp"] for name, one in children.items()}
    for upstream, downstream in (("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")):
        assert times[upstream][1][:19] <= created[downstream][:19]
    uuid = run_uuid(body["metadata"]["uid"])
    for name, one in children.items():
        assert one["metadata"]["labels"][names.PIPELINE] == uuid
        assert one["metadata"]["name"] == names.child_name("diamond", uuid, name)
        assert one["status"]["phase"] == "Succeeded"


async def test_values_flow_between_siblings_and_from_the_pipeline(
    kube: KubeApi, namespace: str
) -> None:
    train = op("train", test={"outputs": '{"loss": 0, "path": "x"}', "until": "Running"})
    train["params"] = reading("dag", rate="inputs.rate", whose="globals.name", all="inputs")
    report = op("report")
    report["params"] = {
        **reading("ops.train", loss="outputs.loss", rate="inputs.rate", state="globals.status"),
        **reading("dag", pipeline="globals.uuid"),
    }
    body = await run_to_the_end(
        kube,
        namespace,
        pipeline("flow", report, train, params={"rate": {"value": 0.5, "contextOnly": True}}),
    )
    assert body["status"]["phase"] == "Succeeded", body["status"]
    children = await children_of(kube, namespace, body)
    assert children["train"]["status"]["inputs"] == {
        "rate": 0.5,
        "whose": "flow",
        "all": {"rate": 0.5},
    }
    assert children["report"]["status"]["inputs"] == {
        "loss": 0,
        "rate": 0.5,
        "state": "succeeded",
        "pipeline": run_uuid(body["metadata"]["uid"]),
    }
    edges = {edge["name"]: edge["kind"] for edge in children["report"]["status"]["upstream"]}
    assert edges["train"] == "dag"


async def test_a_failing_branch_and_every_trigger(kube: KubeApi, namespace: str) -> None:
    triggers = {
        "all_succeeded": "u",
        "all_failed": "u",
        "all_done": "s",
        "one_succeeded": "s",
        "one_failed": "s",
        "one_done": "s",
    }
    body = await run_to_the_end(
        kube,
        namespace,
        pipeline(
            "triggers",
            op("good"),
            op("bad", test={"exit-codes": "3"}),
            *(op(trigger, "good", "bad", trigger=trigger) for trigger in triggers),
            op("after", "all_succeeded", trigger="all_done"),
            op("skipped", conditions="{{ 1 > 2 }}"),
            op("past-the-skipped", "skipped"),
            op("with-the-skipped", "skipped", skipOnUpstreamSkip=True),
            op(
                "asks-the-failed",
                trigger="all_done",
                params=reading("ops.all_succeeded", state="globals.status", name="globals.name"),
            ),
        ),
    )
    status = body["status"]
    assert status["children"]["states"] == "sf" + "".join(triggers.values()) + "sksks", status
    assert (status["phase"], status["reason"]) == ("Failed", "ChildFailed")
    assert status["message"].startswith("1 of 13 failed: bad (ContainerFailed)")
    (failure,) = status["children"]["failures"]
    assert failure["op"] == "bad"
    children = await children_of(kube, namespace, body)
    assert "all_succeeded" not in children
    assert children["asks-the-failed"]["status"]["inputs"] == {
        "state": "upstream_failed",
        "name": "all_succeeded",
    }


async def test_a_pipeline_and_its_runs_may_be_large(kube: KubeApi, namespace: str) -> None:
    """A large file is read in a worker, once for the pipeline and once for each run."""
    bulk = {"runPatch": {"container": {"env": [{"name": "BULK", "value": "x" * 40_000}]}}}
    large = op("large", test={"outputs": '{"x": 3}', "until": "Running"})
    last = op("last", params=reading("ops.large", x="outputs.x"), trigger="all_done")
    operations = ({**large, **bulk}, {**last, **bulk}, op("never", "last", trigger="all_failed"))
    body = await run_to_the_end(kube, namespace, pipeline("bulky", *operations))
    assert body["status"]["phase"] == "Succeeded", body["status"]
    assert body["status"]["children"]["states"] == "ssu"
    children = await children_of(kube, namespace, body)
    assert children["last"]["status"]["inputs"] == {"x": 3}


async def test_a_run_that_the_api_server_refuses_ends_the_pipeline(
    kube: KubeApi, namespace: str
) -> None:
    refused = op("a", description="x" * 5000)
    body = await run_to_the_end(kube, namespace, pipeline("refused", refused))
    assert (body["status"]["phase"], body["status"]["reason"]) == ("Failed", "ChildRefused")
    assert "spec.description: Too long" in body["status"]["message"]


async def test_an_event_starts_an_operation_and_a_metric_stops_the_rest(
    kube: KubeApi, namespace: str
) -> None:
    event = {"ref": "ops.train", "kinds": ["run_status_running"]}
    early = {
        "kind": "metric_early_stopping",
        "metric": "acc",
        "value": 0.9,
        "optimization": "maximize",
    }
    train = op("train", test={"until": "stopped"})
    evaluation = op("evaluate", test={"until": "Running", "outputs": '{"acc": 0.95}'})
    body = await run_to_the_end(
        kube,
        namespace,
        pipeline(
            "early",
            train,
            {**evaluation, "events": [event]},
            op("deploy", "train"),
            run={"earlyStopping": [early]},
        ),
    )
    assert (body["status"]["phase"], body["status"]["reason"]) == ("Succeeded", "MetricReached")
    assert body["status"]["children"]["states"] in ("xsx", "xxx")
    assert "evaluate has acc 0.95" in body["status"]["message"]


async def test_a_stopped_pipeline_stops_what_runs_and_starts_nothing_more(
    kube: KubeApi, namespace: str
) -> None:
    await kube.create(
        OPERATIONS,
        namespace,
        pipeline("long", op("a", test={"until": "stopped"}), op("b", "a"), op("c")),
    )
    body = await wait_for(kube, namespace, "long", in_phase("Running"))
    name = names.child_name("long", run_uuid(body["metadata"]["uid"]), "a")
    await wait_until_there(kube, namespace, name)
    await wait_for(kube, namespace, name, in_phase("Running"))
    control = [{"op": "add", "path": "/spec/control", "value": {"stop": True}}]
    await kube.json_patch(OPERATIONS, namespace, "long", control)
    body = await wait_for(kube, namespace, "long", is_over)
    assert (body["status"]["phase"], body["status"]["reason"]) == ("Stopped", "Stopped")
    assert body["status"]["children"]["states"][:2] == "xx"
    children = await children_of(kube, namespace, body)
    assert children["a"]["status"]["phase"] == "Stopped"
    assert "b" not in children
    steps = [step["status"] for step in body["status"]["history"]]
    assert steps[-2:] == ["stopping", "stopped"]


async def wait_until_there(kube: KubeApi, namespace: str, name: str) -> Manifest:
    for _ in range(500):
        try:
            return await kube.get(OPERATIONS, namespace, name)
        except NotFound:
            await asyncio.sleep(0.02)
    raise AssertionError(f"no Operation {name}")


async def test_concurrency_bounds_what_runs(kube: KubeApi, namespace: str) -> None:
    await kube.create(
        OPERATIONS,
        namespace,
        pipeline("narrow", *(op(f"op{n}") for n in range(6)), run={"concurrency": 2}),
    )
    most = 0
    while True:
        body = await kube.get(OPERATIONS, namespace, "narrow")
        bodies = [one for one in await all_of(kube, namespace) if names.find_controller(one)]
        most = max(most, sum(not is_over(one) for one in bodies))
        if is_over(body):
            break
        await asyncio.sleep(0.02)
    assert body["status"]["children"]["states"] == "ssssss"
    assert most <= 2


async def all_of(kube: KubeApi, namespace: str) -> list[Manifest]:
    return (await kube.list(OPERATIONS, namespace))[0]


async def test_a_pipeline_inside_a_pipeline(kube: KubeApi, namespace: str) -> None:
    leaf = op("leaf", test={"outputs": '{"x": 3}', "until": "Running"})
    user = op("user", params=reading("ops.leaf", x="outputs.x"))
    inner = {"name": "inner", "component": {"run": {"kind": "dag", "operations": [leaf, user]}}}
    body = await run_to_the_end(
        kube,
        namespace,
        pipeline(
            "outer",
            inner,
            op("last", "inner"),
            run={"environment": {"labels": {"team": "a"}}},
            termination={"maxRetries": 1},
        ),
    )
    assert body["status"]["phase"] == "Succeeded", body["status"]
    children = await children_of(kube, namespace, body)
    grandchildren = await children_of(kube, namespace, children["inner"])
    assert grandchildren["user"]["status"]["inputs"] == {"x": 3}
    assert grandchildren["leaf"]["metadata"]["labels"][names.CONTROLLER] == run_uuid(
        body["metadata"]["uid"]
    )
    assert grandchildren["leaf"]["spec"]["inherited"] == {
        "environment": {"labels": {"team": "a"}},
        "termination": {"maxRetries": 1},
    }
    assert grandchildren["leaf"]["status"]["termination"] == {"maxRetries": 1}


async def test_a_foreign_run_with_a_childs_name_is_not_touched(
    kube: KubeApi, namespace: str
) -> None:
    """The pipeline ends after what it runs, and another one goes on."""
    slow = op("slow", test={"until": "stopped"})
    made = pipeline("mine", op("a", isApproved=False), op("b", "a"), slow)
    await kube.create(OPERATIONS, namespace, made)
    body = await wait_for(kube, namespace, "mine", in_phase("Running"))
    first, taken, running = (
        names.child_name("mine", run_uuid(body["metadata"]["uid"]), one)
        for one in ("a", "b", "slow")
    )
    await wait_until_there(kube, namespace, first)
    foreign = await kube.create(OPERATIONS, namespace, operation(taken, {"isApproved": False}))
    await wait_until_there(kube, namespace, running)
    await wait_for(kube, namespace, running, in_phase("Running"))
    approval = [{"op": "replace", "path": "/spec/isApproved", "value": True}]
    await kube.json_patch(OPERATIONS, namespace, first, approval)
    await kube.create(OPERATIONS, namespace, pipeline("other", op("a"), op("b", "a")))
    body = await wait_for(kube, namespace, "mine", is_over)
    assert (body["status"]["phase"], body["status"]["reason"]) == ("Failed", "NameConflict")
    assert body["status"]["children"]["states"] == "sxx"
    after = await kube.get(OPERATIONS, namespace, taken)
    assert after["spec"] == foreign["spec"]
    assert after["metadata"].get("ownerReferences") is None
    assert parse_phase(after["status"]).value == "Waiting"
    other = await wait_for(kube, namespace, "other", is_over)
    assert other["status"]["phase"] == "Succeeded"


async def test_a_child_that_is_deleted_by_hand_counts_as_stopped(
    kube: KubeApi, namespace: str
) -> None:
    made = pipeline("holed", op("a", test={"until": "stopped"}), op("b", "a", trigger="all_done"))
    await kube.create(OPERATIONS, namespace, made)
    body = await wait_for(kube, namespace, "holed", in_phase("Running"))
    name = names.child_name("holed", run_uuid(body["metadata"]["uid"]), "a")
    await wait_for(
        kube, namespace, "holed", lambda one: one["status"]["children"]["states"][0] in "wr"
    )
    await kube.delete(OPERATIONS, namespace, name)
    body = await wait_for(kube, namespace, "holed", is_over)
    assert body["status"]["children"]["states"] == "xs"
    assert body["status"]["phase"] == "Succeeded"


async def test_the_parent_of_many_is_written_seldom(
    kube: KubeApi, namespace: str, control_plane: ControlPlane
) -> None:
    """One hundred children that end at once, each with its three writes and its Pod."""
    begun = asyncio.get_running_loop().time()
    body = await run_to_the_end(
        kube,
        namespace,
        pipeline(
            "wide",
            op("first"),
            *(op(f"op{n}", "first") for n in range(100)),
            run={"concurrency": 30},
        ),
    )
    seconds = asyncio.get_running_loop().time() - begun
    assert body["status"]["children"]["states"] == "s" * 101
    # The freeze, Running, the end, and letters every five seconds.
    written = (
        entry["objectRef"]["name"]
        for entry in read_audit(control_plane.audit_log, OPERATOR_USER)
        if entry["verb"] == "patch" and entry["objectRef"]["namespace"] == namespace
    )
    counted = Counter(written)
    children = await children_of(kube, namespace, body)
    most = max(counted[one["metadata"]["name"]] for one in children.values())
    assert most <= 3
    writes = counted["wide"]
    assert writes <= 4 + seconds / 5


async def test_a_cycle_is_refused_before_anything_is_made(kube: KubeApi, namespace: str) -> None:
    body = await run_to_the_end(kube, namespace, pipeline("loop", op("a", "b"), op("b", "a")))
    assert (body["status"]["phase"], body["status"]["reason"]) == ("Failed", "InvalidSpec")
    assert await children_of(kube, namespace, body) == {}


async def test_the_children_go_with_a_deleted_pipeline(kube: KubeApi, namespace: str) -> None:
    await kube.create(OPERATIONS, namespace, pipeline("gone", op("a", test={"until": "stopped"})))
    body = await wait_for(kube, namespace, "gone", in_phase("Running"))
    name = names.child_name("gone", run_uuid(body["metadata"]["uid"]), "a")
    await wait_until_there(kube, namespace, name)
    await kube.delete(OPERATIONS, namespace, "gone")
    for _ in range(1500):
        if not await all_of(kube, namespace):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the children are still there")
