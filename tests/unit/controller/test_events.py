"""Events of other runs in the whole operator: what a run waits for, what wakes it, what ends it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.memory_cluster import MemoryCluster

from opstrand.core import names
from opstrand.kube.resources import OPERATIONS

JOB = {"run": {"kind": "job", "container": {"image": "busybox", "command": ["true"]}}}


@pytest.fixture
def cluster() -> Iterator[MemoryCluster]:
    with MemoryCluster() as cluster:
        yield cluster


async def start(cluster: MemoryCluster, name: str, **spec: Any) -> dict[str, Any]:
    await cluster.create(name, {"component": JOB, **spec})
    await cluster.settle()
    return cluster.status(name)


def event(ref: str, *statuses: str) -> dict[str, Any]:
    return {"ref": ref, "kinds": [f"run_status_{status}" for status in statuses]}


async def end(cluster: MemoryCluster, name: str, code: int = 0) -> None:
    await cluster.end_pod(name, code)
    await cluster.settle()


def state(cluster: MemoryCluster, name: str) -> tuple[str, str]:
    status = cluster.status(name)
    return status["phase"], status["reason"]


WAITS = ("Waiting", "UpstreamPending")
STARTS = ("Starting", "PodCreated")
NEVER = ("UpstreamFailed", "UpstreamFailed")


@pytest.mark.parametrize(
    ("statuses", "before", "running", "good", "bad"),
    [
        (["succeeded"], WAITS, WAITS, STARTS, NEVER),
        (["failed"], WAITS, WAITS, NEVER, STARTS),
        (["failed", "succeeded"], WAITS, WAITS, STARTS, STARTS),
        (["done"], WAITS, WAITS, STARTS, STARTS),
        (["running"], WAITS, STARTS, STARTS, STARTS),
        (["running", "failed"], WAITS, STARTS, STARTS, STARTS),
        (["starting"], STARTS, STARTS, STARTS, STARTS),
        (["created"], STARTS, STARTS, STARTS, STARTS),
        (["stopped"], WAITS, WAITS, NEVER, NEVER),
    ],
)
@pytest.mark.parametrize("code", [0, 1])
async def test_a_run_starts_once_the_other_reached_a_status_or_a_later_one(
    cluster: MemoryCluster,
    statuses: list[str],
    before: Any,
    running: Any,
    good: Any,
    bad: Any,
    code: int,
) -> None:
    uuid = (await start(cluster, "a"))["uuid"]
    await start(cluster, "b", events=[event("ops.a", *statuses)])
    await start(cluster, "c", events=[event(f"runs.{uuid}", *statuses)])
    assert (state(cluster, "b"), state(cluster, "c")) == (before, before)
    await cluster.run_pod("a")
    await cluster.settle()
    assert (state(cluster, "b"), state(cluster, "c")) == (running, running)
    await end(cluster, "a", code)
    expected = bad if code else good
    assert (state(cluster, "b"), state(cluster, "c")) == (expected, expected)
    await start(cluster, "late", events=[event("ops.a", *statuses)])
    assert state(cluster, "late") == expected


async def test_every_event_must_happen(cluster: MemoryCluster) -> None:
    await start(cluster, "a")
    await start(cluster, "b")
    both = [event("ops.a", "succeeded"), event("ops.b", "failed", "stopped")]
    status = await start(cluster, "c", events=both)
    assert status["message"] == (
        "events[0]: waits for 'a' to reach succeeded; "
        "events[1]: waits for 'b' to reach failed or stopped"
    )
    await end(cluster, "a")
    assert state(cluster, "c") == WAITS
    await end(cluster, "b", 1)
    assert state(cluster, "c") == STARTS
    kinds = [(edge["name"], edge["kind"]) for edge in cluster.status("c")["upstream"]]
    assert kinds == [("a", "event"), ("b", "event")]


async def test_the_end_that_makes_it_impossible_is_named(cluster: MemoryCluster) -> None:
    await start(cluster, "a")
    await start(cluster, "b", events=[event("ops.a", "succeeded")])
    await end(cluster, "a", 1)
    message = "events[0]: 'a' has ended (Failed), and never reached succeeded"
    assert cluster.status("b")["message"] == message


async def test_a_run_that_does_not_exist_yet_is_waited_for(cluster: MemoryCluster) -> None:
    status = await start(cluster, "b", events=[event("ops.a", "created")])
    assert (status["phase"], status["reason"]) == ("Waiting", "UpstreamNotFound")
    assert status["message"] == "events[0].ref: there is no run 'ops.a' here"
    await start(cluster, "a")
    assert state(cluster, "b") == STARTS


async def test_a_long_wait_is_one_write(cluster: MemoryCluster) -> None:
    await start(cluster, "a")
    await start(cluster, "b", events=[event("ops.a", "succeeded")])
    before = cluster.get("b")
    await cluster.run_pod("a")
    await cluster.wait(100_000)
    assert cluster.get("b") == before


async def test_approval_is_asked_for_after_the_event(cluster: MemoryCluster) -> None:
    await start(cluster, "a")
    await start(cluster, "b", events=[event("ops.a", "succeeded")], isApproved=False)
    assert state(cluster, "b") == WAITS
    await end(cluster, "a")
    assert state(cluster, "b") == ("Waiting", "AwaitingApproval")


async def test_a_run_cannot_wait_for_itself(cluster: MemoryCluster) -> None:
    status = await start(cluster, "a", events=[event("ops.a", "succeeded")])
    assert (status["phase"], status["reason"]) == ("Failed", "RefToItself")


async def test_runs_that_wait_for_events_of_each_other_are_refused(cluster: MemoryCluster) -> None:
    await start(cluster, "a", events=[event("ops.b", "succeeded")])
    await start(cluster, "b", events=[event("ops.a", "running")])
    found = [cluster.status(name) for name in "ab"]
    assert sorted(one["phase"] for one in found) == ["Failed", "UpstreamFailed"]
    (wrong,) = (one for one in found if one["reason"] == "RefToItself")
    assert "these runs wait for each other: " in wrong["message"]


async def test_the_event_of_a_matrix_is_waited_for_once(cluster: MemoryCluster) -> None:
    await start(cluster, "a")
    grid = {"kind": "grid", "params": {"lr": {"kind": "choice", "value": [1, 2]}}}
    component = {**JOB, "inputs": [{"name": "lr", "type": "int"}]}
    spec = {"component": component, "matrix": grid, "events": [event("ops.a", "done")]}
    await cluster.create("m", spec)
    await cluster.settle()
    assert (state(cluster, "m"), await cluster.children("m")) == (WAITS, {})
    await end(cluster, "a")
    runs = await cluster.children("m")
    assert len(runs) == 2
    assert all("events" not in one["spec"] for one in runs.values())


async def test_each_run_of_a_schedule_waits_for_the_event(cluster: MemoryCluster) -> None:
    await start(cluster, "a")
    once = {"kind": "datetime", "startAt": "2020-01-01T00:00:00Z"}
    await start(cluster, "s", events=[event("ops.a", "done")], schedule=once)
    assert cluster.status("s")["phase"] == "Running"
    (tick,) = [
        one for one in (await cluster.kube.list(OPERATIONS))[0] if names.find_controller(one)
    ]
    name = tick["metadata"]["name"]
    assert state(cluster, name) == WAITS
    await end(cluster, "a")
    assert state(cluster, name) == STARTS


async def test_an_operation_of_a_pipeline_waits_for_siblings_and_for_other_runs(
    cluster: MemoryCluster,
) -> None:
    uuid = (await start(cluster, "other"))["uuid"]
    events = [event("ops.x", "running"), event(f"runs.{uuid}", "succeeded")]
    operations = [
        {"name": "x", "component": JOB},
        {"name": "y", "component": JOB, "events": events},
    ]
    await cluster.create("p", {"component": {"run": {"kind": "dag", "operations": operations}}})
    await cluster.settle()
    assert sorted(await cluster.children("p")) == ["x"]
    await cluster.run_pod(cluster.find_child("p", "x"))
    await cluster.wait()
    child = cluster.find_child("p", "y")
    assert state(cluster, child) == WAITS
    await end(cluster, "other")
    assert state(cluster, child) == STARTS


@pytest.mark.parametrize(
    ("events", "path"),
    [
        ([{"ref": "ops.a", "kinds": ["run_new_artifacts"]}], "events[0].kinds"),
        ([{"ref": "connections.a", "kinds": ["connection_git_commit"]}], "events[0].ref"),
        ([event("runs.a", "done")], "events[0].ref"),
        ("{{ x }}", "events"),
    ],
)
async def test_what_cannot_be_waited_for_is_refused_by_name(
    cluster: MemoryCluster, events: Any, path: str
) -> None:
    await start(cluster, "a")
    status = await start(cluster, "b", events=events)
    assert status["phase"] == "Failed"
    assert status["message"].startswith(f"{path}: "), status["message"]


async def test_kinds_that_work_are_listed(cluster: MemoryCluster) -> None:
    status = await start(cluster, "b", events=[{"ref": "ops.a", "kinds": ["alert_info"]}])
    assert "this version does not know 'alert_info'" in status["message"]
    assert "run_status_succeeded" in status["message"]
