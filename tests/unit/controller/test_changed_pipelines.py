"""A pipeline and a matrix whose runs are deleted by hand, and which are stopped, deleted or edited
themselves, in every phase.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import pytest
from tests.support.builders import JOB
from tests.support.memory_cluster import MemoryCluster

from opstrand.core.phase import parse_phase

HELD = {"name": "held", **JOB, "isApproved": False}
DAG = {"component": {"run": {"kind": "dag", "operations": [{"name": "0", **JOB}, HELD]}}}
GRID = {
    "matrix": {"kind": "grid", "params": {"x": {"kind": "choice", "value": [1, 2]}}},
    "component": {"inputs": [{"name": "x", "type": "int"}], **JOB["component"]},
}
KINDS = {"dag": DAG, "matrix": GRID}
Act = Callable[[MemoryCluster, str], Awaitable[None]]


@pytest.fixture
def cluster() -> Iterator[MemoryCluster]:
    with MemoryCluster() as cluster:
        yield cluster


def states(cluster: MemoryCluster) -> str:
    return str(cluster.status("p")["children"]["states"])


def find(cluster: MemoryCluster, key: str) -> str:
    """Return the name of the run of an operation, or of an index of a matrix."""
    is_matrix = cluster.status("p")["kind"] == "matrix"
    return cluster.find_child("p", int(key) if is_matrix else key)


async def finish(cluster: MemoryCluster) -> dict[str, Any]:
    """Play every Pod to its end, until the pipeline has ended; return its status."""
    for _ in range(20):
        await cluster.end_stopped_pods()
        for one in (await cluster.children("p")).values():
            name, phase = one["metadata"]["name"], parse_phase(one.get("status")).value
            if phase in ("Starting", "Running"):
                await cluster.end_pod(name)
            elif phase == "Waiting":
                await cluster.edit(name, "isApproved", True)
        await cluster.wait()
        if parse_phase(cluster.status("p")).is_final:
            return cluster.status("p")
    raise AssertionError(f"it has not ended: {cluster.status('p')}")


# -- a run that is deleted by hand -----------------------------------------------------------------


async def stay(cluster: MemoryCluster, name: str) -> None:
    """Leave the run as it is."""


async def run(cluster: MemoryCluster, name: str) -> None:
    await cluster.run_pod(name)


async def stop(cluster: MemoryCluster, name: str) -> None:
    await cluster.run_pod(name)
    await cluster.settle()
    await cluster.edit(name, "control", {"stop": True})


async def succeed(cluster: MemoryCluster, name: str) -> None:
    await cluster.end_pod(name)


async def fail(cluster: MemoryCluster, name: str) -> None:
    await cluster.end_pod(name, 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("reach", "phase", "letter"),
    [
        (stay, "Starting", "x"),
        (run, "Running", "x"),
        (stop, "Stopping", "x"),
        (succeed, "Succeeded", "s"),
        (fail, "Failed", "f"),
    ],
)
@pytest.mark.parametrize("is_restarted", [False, True], ids=["watched", "while-no-operator-runs"])
async def test_a_run_that_is_deleted_keeps_its_end_and_else_counts_as_stopped(
    cluster: MemoryCluster, kind: str, reach: Act, phase: str, letter: str, is_restarted: bool
) -> None:
    await cluster.create("p", KINDS[kind])
    await cluster.settle()
    name = find(cluster, "0")
    await reach(cluster, name)
    await cluster.settle()
    await cluster.wait()  # its letter is written
    assert cluster.status(name)["phase"] == phase
    await cluster.delete(name)
    await cluster.collect_garbage()
    if is_restarted:
        await cluster.restart()
    await cluster.settle()
    await cluster.wait()
    assert states(cluster)[0] == letter
    assert "0" not in await cluster.children("p"), "it was made again"
    status = await finish(cluster)
    assert status["phase"] == ("Failed" if letter == "f" else "Succeeded")
    assert status["children"]["states"] == f"{letter}s"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("reach", "letter"), [(succeed, "s"), (fail, "f")])
async def test_a_run_that_is_deleted_before_its_end_is_written_keeps_its_end(
    cluster: MemoryCluster, kind: str, reach: Act, letter: str
) -> None:
    await cluster.create("p", KINDS[kind])
    await cluster.settle()
    await cluster.wait()
    name = find(cluster, "0")
    await reach(cluster, name)
    await cluster.settle()
    assert states(cluster)[0] in "wr"
    await cluster.delete(name)
    await cluster.settle()
    assert states(cluster)[0] == letter, "it is written at once: only this process knows it"
    status = await finish(cluster)
    assert status["children"]["states"] == f"{letter}s"
    assert [one["reason"] for one in status["children"]["failures"]] == (
        ["ContainerFailed"] if letter == "f" else []
    )


async def test_a_run_that_is_deleted_while_it_waits_counts_as_stopped(
    cluster: MemoryCluster,
) -> None:
    await cluster.create("p", DAG)
    await cluster.settle()
    await cluster.wait()
    await cluster.delete(find(cluster, "held"))
    await cluster.settle()
    assert states(cluster)[1] == "x"
    assert (await finish(cluster))["children"]["states"] == "sx"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_run_that_is_deleted_before_its_letter_is_written_is_made_again_and_ends(
    cluster: MemoryCluster, kind: str
) -> None:
    await cluster.create("p", KINDS[kind])
    await cluster.settle()
    assert states(cluster)[0] == "."
    await cluster.delete(find(cluster, "0"))
    await cluster.collect_garbage()
    await cluster.settle()
    assert (await finish(cluster))["children"]["states"] == "ss"


# -- the pipeline itself ---------------------------------------------------------------------------

WEB = {
    "name": "0",
    "component": {
        "run": {
            "kind": "service",
            "ports": [80],
            "container": {"image": "busybox", "command": ["httpd"]},
        }
    },
}
SERVICE = {"component": {"run": {"kind": "dag", "operations": [WEB]}}}
STOPPED_EARLY = {
    "matrix": {
        **GRID["matrix"],
        "earlyStopping": [
            {"kind": "metric_early_stopping", "metric": "y", "value": 1, "optimization": "minimize"}
        ],
    },
    "component": GRID["component"],
}


async def wait_for_approval(cluster: MemoryCluster) -> None:
    await cluster.create("p", {**DAG, "isApproved": False})


async def start_dag(cluster: MemoryCluster) -> None:
    await cluster.create("p", DAG)


async def start_matrix(cluster: MemoryCluster) -> None:
    await cluster.create("p", GRID)


async def leave_services(cluster: MemoryCluster) -> None:
    await cluster.create("p", SERVICE)
    await cluster.settle()
    await cluster.run_pod(find(cluster, "0"))


async def stop_early(cluster: MemoryCluster) -> None:
    await cluster.create("p", STOPPED_EARLY)
    await cluster.settle()
    await cluster.run_pod(find(cluster, "0"), y=0)


async def stop_on_request(cluster: MemoryCluster) -> None:
    await start_dag(cluster)
    await cluster.settle()
    await cluster.run_pod(find(cluster, "0"))
    await cluster.settle()
    await cluster.edit("p", "control", {"stop": True})


async def end(cluster: MemoryCluster) -> None:
    await start_matrix(cluster)
    await cluster.settle()
    await finish(cluster)


Reach = Callable[[MemoryCluster], Awaitable[None]]
PHASES: Mapping[str, tuple[Reach, str]] = {
    "waiting": (wait_for_approval, "Waiting"),
    "dag": (start_dag, "Running"),
    "matrix": (start_matrix, "Running"),
    "services": (leave_services, "Processing"),
    "early": (stop_early, "Stopping"),
    "stopping": (stop_on_request, "Stopping"),
    "over": (end, "Succeeded"),
}


async def reach_phase(cluster: MemoryCluster, name: str) -> None:
    reach, phase = PHASES[name]
    await reach(cluster)
    await cluster.settle()
    await cluster.wait()
    assert cluster.status("p")["phase"] == phase


#: How each ends after it is stopped in that phase.
AFTER_STOP = {
    **dict.fromkeys(("waiting", "dag", "matrix", "services", "stopping"), "Stopped"),
    "early": "Succeeded",
    "over": "Succeeded",
}


@pytest.mark.parametrize("name", PHASES)
async def test_a_stop_ends_it_after_its_runs_and_changes_no_end_that_was_decided(
    cluster: MemoryCluster, name: str
) -> None:
    await reach_phase(cluster, name)
    await cluster.edit("p", "control", {"stop": True})
    await cluster.settle()
    status = await finish(cluster)
    assert status["phase"] == AFTER_STOP[name], status
    for one in (await cluster.children("p")).values():
        assert parse_phase(one["status"]).is_final
    before = len(await cluster.children("p"))
    await cluster.edit("p", "control", {"stop": False})
    await cluster.restart()
    await cluster.wait()
    assert (cluster.status("p"), len(await cluster.children("p"))) == (status, before)


@pytest.mark.parametrize("name", ["stopping", "early"])
async def test_a_stop_that_has_begun_is_not_taken_back(cluster: MemoryCluster, name: str) -> None:
    await reach_phase(cluster, name)
    await cluster.edit("p", "control", {"stop": False})
    await cluster.settle()
    assert cluster.status("p")["phase"] == "Stopping"
    assert (await finish(cluster))["phase"] == ("Succeeded" if name == "early" else "Stopped")


@pytest.mark.parametrize("name", PHASES)
@pytest.mark.parametrize("is_seen", [True, False], ids=["collected-later", "collected-at-once"])
async def test_a_deleted_one_leaves_nothing_and_makes_nothing_more(
    cluster: MemoryCluster, name: str, is_seen: bool
) -> None:
    await reach_phase(cluster, name)
    known = set(await cluster.children("p"))
    pipeline = cluster.get("p")
    await cluster.delete("p")
    if is_seen:
        await cluster.wait()
        await cluster.end_stopped_pods()
        await cluster.wait()
    left = await cluster.children_of(pipeline)
    assert set(left) <= known
    if is_seen:
        assert all(parse_phase(one["status"]).is_final for one in left.values())
    await cluster.collect_garbage()
    await cluster.settle()
    await cluster.restart()
    await cluster.wait()
    assert await cluster.everything() == []


@pytest.mark.parametrize("name", PHASES)
async def test_an_edit_of_its_limits_changes_neither_its_runs_nor_its_end(
    cluster: MemoryCluster, name: str
) -> None:
    await reach_phase(cluster, name)
    await cluster.edit("p", "termination", {"maxRetries": 3, "timeout": 1})
    await cluster.settle()
    if name == "waiting":
        # Nothing is frozen yet: the edit counts for its runs.
        await cluster.edit("p", "isApproved", True)
        await cluster.settle()
        assert cluster.status("p")["inherited"]["termination"]["maxRetries"] == 3
        return
    assert "termination" not in cluster.status("p").get("inherited", {})
    status = await finish(cluster)
    assert status["phase"] == {"stopping": "Stopped"}.get(name, "Succeeded")


@pytest.mark.parametrize("name", PHASES)
async def test_a_skip_counts_only_before_the_start(cluster: MemoryCluster, name: str) -> None:
    await reach_phase(cluster, name)
    await cluster.edit("p", "control", {"skip": True, "stop": name == "stopping"})
    await cluster.settle()
    phase = (await finish(cluster))["phase"]
    assert phase == {"waiting": "Skipped", "stopping": "Stopped"}.get(name, "Succeeded")
