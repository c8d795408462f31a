"""Waiting for other runs: by subscription, with one write however long it takes, and three
outcomes.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from opstrand.core.names import run_uuid
from opstrand.core.phase import parse_phase
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import COMPONENTS, OPERATIONS
from opstrand.types import Manifest
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import OPERATOR_USER, in_phase, operation, pod_of, wait_for
from tests.support.audit import count_requests
from tests.support.kubelet_stand_in import ended, mark, running

pytestmark = pytest.mark.usefixtures("operator")
STARTED = "2026-01-01T00:00:00Z"


def asking(ref: str, **values: str) -> dict[str, Any]:
    """Return a spec whose params take these values from that run."""
    return {
        "params": {
            name: {"ref": ref, "value": value, "contextOnly": True}
            for name, value in values.items()
        }
    }


async def report(kube: KubeApi, namespace: str, name: str, outputs: dict[str, Any]) -> None:
    """Store outputs as the API stores a run's report."""
    ops = [
        {"op": "add", "path": f"/status/outputs/{key}", "value": value}
        for key, value in outputs.items()
    ]
    await kube.json_patch(OPERATIONS, namespace, name, ops, subresource="status")


async def finish(kube: KubeApi, namespace: str, body: Manifest, code: int = 0) -> None:
    await mark(kube, await pod_of(kube, namespace, body), ended(code, STARTED))


async def test_b_applied_first_waits_for_a_and_gets_every_falsy_value(
    kube: KubeApi, namespace: str
) -> None:
    values = {
        "zero": 0,
        "no": False,
        "empty": "",
        "none": None,
        "float": 0.5,
        "list": [],
        "text": "1",
    }
    wanted = {name: f"outputs.{name}" for name in values}
    await kube.create(
        OPERATIONS,
        namespace,
        operation("b", asking("ops.a", uuid="globals.uuid", x="inputs.x", **wanted)),
    )
    body = await wait_for(kube, namespace, "b", in_phase("Waiting"))
    assert (body["status"]["reason"], "a" in body["status"]["message"]) == (
        "UpstreamNotFound",
        True,
    )
    await kube.create(
        OPERATIONS, namespace, operation("a", {"params": {"x": {"value": 7, "contextOnly": True}}})
    )
    a = await wait_for(kube, namespace, "a", in_phase("Starting"))
    await wait_for(kube, namespace, "b", lambda one: one["status"]["reason"] == "UpstreamPending")
    await report(kube, namespace, "a", values)
    await finish(kube, namespace, a)
    body = await wait_for(kube, namespace, "b", in_phase("Starting"))
    assert body["status"]["inputs"] == {"uuid": run_uuid(a["metadata"]["uid"]), "x": 7, **values}
    (edge,) = body["status"]["upstream"]
    assert (edge["uuid"], edge["kind"]) == (run_uuid(a["metadata"]["uid"]), "run")
    assert edge["values"] == {"uuid": "globals.uuid", "x": "inputs.x", **wanted}


async def test_inputs_and_identity_do_not_wait_for_the_end(kube: KubeApi, namespace: str) -> None:
    await kube.create(
        OPERATIONS, namespace, operation("a", {"params": {"x": {"value": 7, "contextOnly": True}}})
    )
    a = await wait_for(kube, namespace, "a", in_phase("Starting"))
    uuid = run_uuid(a["metadata"]["uid"])
    await kube.create(
        OPERATIONS,
        namespace,
        operation("b", asking(f"runs.{uuid}", uuid="globals.uuid", x="inputs.x")),
    )
    body = await wait_for(kube, namespace, "b", in_phase("Starting"))
    assert body["status"]["inputs"] == {"uuid": uuid, "x": 7}


async def test_what_was_frozen_stays_when_the_upstream_is_deleted(
    kube: KubeApi, namespace: str
) -> None:
    await kube.create(OPERATIONS, namespace, operation("a"))
    a = await wait_for(kube, namespace, "a", in_phase("Starting"))
    await report(kube, namespace, "a", {"loss": 0.25})
    await finish(kube, namespace, a)
    await wait_for(kube, namespace, "a", in_phase("Succeeded"))
    await kube.create(OPERATIONS, namespace, operation("b", asking("ops.a", loss="outputs.loss")))
    body = await wait_for(kube, namespace, "b", in_phase("Starting"))
    await kube.delete(OPERATIONS, namespace, "a")
    await finish(kube, namespace, body)
    body = await wait_for(kube, namespace, "b", in_phase("Succeeded"))
    assert body["status"]["inputs"] == {"loss": 0.25}


async def test_who_waits_for_a_name_gets_the_run_that_has_it_then_and_who_waits_for_a_uuid_no_other(
    kube: KubeApi, namespace: str
) -> None:
    await kube.create(OPERATIONS, namespace, operation("a"))
    first = await wait_for(kube, namespace, "a", in_phase("Starting"))
    refs = {"by-name": "ops.a", "by-uuid": f"runs.{first['metadata']['uid'].upper()}"}
    for name, ref in refs.items():
        await kube.create(OPERATIONS, namespace, operation(name, asking(ref, p="outputs.x")))
        await wait_for(
            kube,
            namespace,
            name,
            lambda one: (one.get("status") or {}).get("reason") == "UpstreamPending",
        )
    await kube.delete(OPERATIONS, namespace, "a")
    for name in refs:
        await wait_for(
            kube, namespace, name, lambda one: one["status"]["reason"] == "UpstreamNotFound"
        )
    await kube.create(OPERATIONS, namespace, operation("a"))
    second = await wait_for(kube, namespace, "a", in_phase("Starting"))
    await report(kube, namespace, "a", {"x": 2})
    await finish(kube, namespace, second)
    body = await wait_for(kube, namespace, "by-name", in_phase("Starting"))
    assert (body["status"]["inputs"], body["status"]["upstream"][0]["uuid"]) == (
        {"p": 2},
        run_uuid(second["metadata"]["uid"]),
    )
    status = (await kube.get(OPERATIONS, namespace, "by-uuid"))["status"]
    assert (status["phase"], status["reason"]) == ("Waiting", "UpstreamNotFound")


async def test_a_component_that_goes_while_an_upstream_is_waited_for_is_waited_for_again(
    kube: KubeApi, namespace: str
) -> None:
    def component(message: str) -> dict[str, Any]:
        spec = {
            "inputs": [{"name": "p", "type": "int"}],
            "run": {"kind": "job", "container": {"image": "busybox", "command": [message]}},
        }
        return {
            "apiVersion": "opstrand.dev/v1",
            "kind": "Component",
            "metadata": {"name": "c"},
            "spec": spec,
        }

    await kube.create(COMPONENTS, namespace, component("first"))
    await kube.create(OPERATIONS, namespace, operation("a"))
    a = await wait_for(kube, namespace, "a", in_phase("Starting"))
    await kube.create(
        OPERATIONS,
        namespace,
        {
            **operation("b"),
            "spec": {"hubRef": "c", "params": {"p": {"ref": "ops.a", "value": "outputs.x"}}},
        },
    )
    await wait_for(
        kube,
        namespace,
        "b",
        lambda one: (one.get("status") or {}).get("reason") == "UpstreamPending",
    )
    await kube.delete(COMPONENTS, namespace, "c")
    await report(kube, namespace, "a", {"x": 3})
    await finish(kube, namespace, a)
    await wait_for(kube, namespace, "b", lambda one: one["status"]["reason"] == "ComponentNotFound")
    await kube.create(COMPONENTS, namespace, component("second"))
    body = await wait_for(kube, namespace, "b", in_phase("Starting"))
    assert body["status"]["inputs"] == {"p": 3}
    assert body["status"]["component"]["run"]["container"]["command"] == ["second"]


@pytest.mark.parametrize(
    ("ref", "value", "phase", "reason", "words"),
    [
        ("ops.a", "outputs.los", "Failed", "MissingValue", "loss"),
        ("ops.b", "outputs.x", "Failed", "RefToItself", "ops.b"),
        ("ops.a.b", "outputs.x", "Failed", "RefInvalid", "ops.a.b"),
        ("runs.123", "outputs.x", "Failed", "RefInvalid", "123"),
        ("ops.a", "status", "Failed", "RefInvalid", "status"),
    ],
)
async def test_a_ref_that_cannot_be_had_says_what_there_is(
    kube: KubeApi, namespace: str, ref: str, value: str, phase: str, reason: str, words: str
) -> None:
    await kube.create(OPERATIONS, namespace, operation("a"))
    a = await wait_for(kube, namespace, "a", in_phase("Starting"))
    await report(kube, namespace, "a", {"loss": 0.25})
    await finish(kube, namespace, a)
    await wait_for(kube, namespace, "a", in_phase("Succeeded"))
    await kube.create(OPERATIONS, namespace, operation("b", asking(ref, p=value)))
    body = await wait_for(kube, namespace, "b", in_phase(phase))
    assert body["status"]["reason"] == reason
    assert words in body["status"]["message"]


async def test_a_failed_upstream_ends_who_waits_for_its_outputs(
    kube: KubeApi, namespace: str
) -> None:
    await kube.create(OPERATIONS, namespace, operation("b", asking("ops.a", p="outputs.x")))
    await kube.create(OPERATIONS, namespace, operation("a"))
    a = await wait_for(kube, namespace, "a", in_phase("Starting"))
    await finish(kube, namespace, a, code=1)
    body = await wait_for(kube, namespace, "b", in_phase("UpstreamFailed"))
    assert body["status"]["reason"] == "UpstreamFailed"


async def test_a_skipped_upstream_skips_who_waits_for_its_outputs(
    kube: KubeApi, namespace: str
) -> None:
    await kube.create(OPERATIONS, namespace, operation("b", asking("ops.a", p="outputs.x")))
    await kube.create(OPERATIONS, namespace, operation("a", {"control": {"skip": True}}))
    body = await wait_for(kube, namespace, "b", in_phase("Skipped"))
    assert body["status"]["reason"] == "UpstreamSkipped"
    assert "run 'a' was skipped and has no 'outputs.x'" in body["status"]["message"]


async def test_an_upstream_that_is_being_deleted_is_not_waited_for(
    kube: KubeApi, namespace: str
) -> None:
    await kube.create(OPERATIONS, namespace, operation("a", finalizers=["test.opstrand.dev/hold"]))
    await wait_for(kube, namespace, "a", in_phase("Starting"))
    await kube.create(OPERATIONS, namespace, operation("b", asking("ops.a", p="outputs.x")))
    await wait_for(kube, namespace, "b", in_phase("Waiting"))
    await kube.delete(OPERATIONS, namespace, "a")
    body = await wait_for(kube, namespace, "b", in_phase("Failed"))
    assert body["status"]["reason"] == "UpstreamDeleted"
    assert "run 'a' is being deleted before it has 'outputs.x'" in body["status"]["message"]
    await kube.json_patch(
        OPERATIONS, namespace, "a", [{"op": "remove", "path": "/metadata/finalizers"}]
    )


async def test_an_output_of_another_type_says_whose_it_was(kube: KubeApi, namespace: str) -> None:
    await kube.create(OPERATIONS, namespace, operation("a"))
    a = await wait_for(kube, namespace, "a", in_phase("Starting"))
    await report(kube, namespace, "a", {"x": "high"})
    await finish(kube, namespace, a)
    await wait_for(kube, namespace, "a", in_phase("Succeeded"))
    b = operation("b", {"params": {"p": {"ref": "ops.a", "value": "outputs.x"}}})
    b["spec"]["component"] = {**b["spec"]["component"], "inputs": [{"name": "p", "type": "float"}]}
    await kube.create(OPERATIONS, namespace, b)
    body = await wait_for(kube, namespace, "b", in_phase("Failed"))
    assert body["status"]["reason"] == "ParamInvalid"
    assert "params.p: ops.a outputs.x: cannot read 'high' as float" in body["status"]["message"]


async def test_runs_that_wait_for_each_other_end_and_say_so(kube: KubeApi, namespace: str) -> None:
    for name, other in {"a": "b", "b": "c", "c": "a", "d": "a"}.items():
        await kube.create(
            OPERATIONS, namespace, operation(name, asking(f"ops.{other}", p="outputs.x"))
        )
    bodies = {
        name: await wait_for(
            kube, namespace, name, lambda body: parse_phase(body.get("status")).is_final
        )
        for name in "abcd"
    }
    ends = {name: body["status"]["reason"] for name, body in bodies.items()}
    # A run that is looked at later may find the cycle already broken by the end of another.
    assert ends.pop("d") == "UpstreamFailed"
    assert "RefToItself" in ends.values()
    assert set(ends.values()) <= {"RefToItself", "UpstreamFailed"}
    told = next(
        body["status"]["message"]
        for body in bodies.values()
        if body["status"]["reason"] == "RefToItself"
    )
    assert "these runs wait for each other: " in told


async def test_another_projects_run_is_exactly_a_run_not_found(
    kube: KubeApi, namespace: str
) -> None:
    await kube.create(OPERATIONS, "default", operation(f"there-{namespace}"))
    there = await wait_for(kube, "default", f"there-{namespace}", in_phase("Starting"))
    uuid = run_uuid(there["metadata"]["uid"])
    nobody = "0" * 32
    for name, asked in (("foreign", uuid), ("missing", nobody)):
        await kube.create(
            OPERATIONS, namespace, operation(name, asking(f"runs.{asked}", p="globals.uuid"))
        )
    foreign = await wait_for(kube, namespace, "foreign", in_phase("Waiting"))
    missing = await wait_for(kube, namespace, "missing", in_phase("Waiting"))
    assert foreign["status"]["reason"] == missing["status"]["reason"] == "UpstreamNotFound"
    assert foreign["status"]["message"].replace(uuid, nobody) == missing["status"]["message"]


async def test_approval_is_waited_for(kube: KubeApi, namespace: str) -> None:
    await kube.create(OPERATIONS, namespace, operation("run", {"isApproved": False}))
    body = await wait_for(kube, namespace, "run", in_phase("Waiting"))
    assert body["status"]["reason"] == "AwaitingApproval"
    await kube.json_patch(
        OPERATIONS, namespace, "run", [{"op": "replace", "path": "/spec/isApproved", "value": True}]
    )
    await wait_for(kube, namespace, "run", in_phase("Starting"))


async def test_a_hub_component_is_waited_for_and_frozen(kube: KubeApi, namespace: str) -> None:
    spec = {"hubRef": "trainer:v2", "params": {"lr": {"value": 0.5}}}
    body = {**operation("run"), "spec": spec}
    await kube.create(OPERATIONS, namespace, body)
    body = await wait_for(kube, namespace, "run", in_phase("Waiting"))
    assert (body["status"]["reason"], "trainer.v2" in body["status"]["message"]) == (
        "ComponentNotFound",
        True,
    )
    component = {
        "apiVersion": "opstrand.dev/v1",
        "kind": "Component",
        "metadata": {"name": "trainer.v2"},
        "spec": {
            "inputs": [{"name": "lr", "type": "float"}],
            "run": {"kind": "job", "container": {"image": "busybox", "command": ["true"]}},
        },
    }
    await kube.create(COMPONENTS, namespace, component)
    body = await wait_for(kube, namespace, "run", in_phase("Starting"))
    assert body["status"]["inputs"] == {"lr": 0.5}
    assert body["status"]["component"]["inputs"] == component["spec"]["inputs"]


async def test_a_thousand_waiting_runs_cost_one_patch_each_and_all_start(
    kube: KubeApi, namespace: str, control_plane: ControlPlane
) -> None:
    count = 1000
    await kube.create(OPERATIONS, namespace, operation("a"))
    a = await wait_for(kube, namespace, "a", in_phase("Starting"))
    pod = await pod_of(kube, namespace, a)
    offset = control_plane.audit_log.stat().st_size
    await asyncio.gather(
        *(
            kube.create(OPERATIONS, namespace, operation(f"w-{i}", asking("ops.a", p="outputs.x")))
            for i in range(count)
        )
    )

    def requests() -> Counter[tuple[str, str, int]]:
        found = count_requests(
            control_plane.audit_log, OPERATOR_USER, after=offset, namespace=namespace
        )
        return Counter(
            {key: number for key, number in found.items() if key[0] not in ("list", "watch")}
        )

    async def until(key: tuple[str, str, int], number: int) -> None:
        for _ in range(80):
            if requests()[key] >= number:
                return
            await asyncio.sleep(0.5)
        raise AssertionError(requests())

    patched, made = ("patch", "operations/status", 200), ("create", "pods", 201)
    await until(patched, count)
    # Before its end, the steps of the upstream concern no waiting run: only its own step is
    # written.
    await mark(kube, pod, running(STARTED))
    await wait_for(kube, namespace, "a", in_phase("Running"))
    for number in range(5):
        await report(kube, namespace, "a", {"x": number})
    await asyncio.sleep(1)
    assert requests() == {patched: count + 1}
    await finish(kube, namespace, a)
    await until(made, count)
    # Its end, and the freeze of each; not one GET: the upstream was known when it ended.
    assert requests() == {patched: 2 * count + 2, made: count}
    items, _ = await kube.list(OPERATIONS, namespace)
    assert {
        json.dumps(one["status"]["inputs"]) for one in items if one["metadata"]["name"] != "a"
    } == {'{"p": 4}'}
    # All of them exist for a join, and its edges fit into the status.
    spec = {
        "joins": [
            {
                "query": "kind: job",
                "params": {"names": {"value": "globals.name", "contextOnly": True}},
            }
        ]
    }
    await kube.create(OPERATIONS, namespace, operation("all", spec))
    body = await wait_for(kube, namespace, "all", in_phase("Starting"))
    assert (len(body["status"]["inputs"]["names"]), len(body["status"]["upstream"])) == (
        count + 1,
        count + 1,
    )


async def test_a_join_gives_the_lists_of_the_runs_that_its_query_finds(
    kube: KubeApi, namespace: str
) -> None:
    for name, loss in {"a": 0.5, "b": 0.25, "c": 1}.items():
        await kube.create(OPERATIONS, namespace, operation(name, {"tags": ["sweep"]}))
        body = await wait_for(kube, namespace, name, in_phase("Starting"))
        await report(kube, namespace, name, {"loss": loss})
        await finish(kube, namespace, body, code=int(name == "c"))
        await wait_for(kube, namespace, name, in_phase("Failed" if name == "c" else "Succeeded"))
    join = {
        "query": "tags: sweep, status: succeeded",
        "sort": "outputs.loss",
        "params": {"losses": {"value": "outputs.loss"}},
    }
    spec = {**operation("best")["spec"], "joins": [join]}
    spec["component"] = {
        **spec["component"],
        "inputs": [{"name": "losses", "type": "float", "isList": True}],
    }
    await kube.create(OPERATIONS, namespace, {**operation("best"), "spec": spec})
    body = await wait_for(kube, namespace, "best", in_phase("Starting"))
    assert body["status"]["inputs"] == {"losses": [0.25, 0.5]}
    assert [(edge["name"], edge["kind"]) for edge in body["status"]["upstream"]] == [
        ("b", "join"),
        ("a", "join"),
    ]
