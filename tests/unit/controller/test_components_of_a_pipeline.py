"""Operations of a pipeline that name a Component: all of them run what it was when their pipeline
started, and none of them is the pipeline itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from tests.support.builders import JOB
from tests.support.memory_cluster import MemoryCluster

#: Larger than what is decided in the operator's own process.
LONG = "line of text\n" * 4_000


@pytest.fixture
def cluster() -> Iterator[MemoryCluster]:
    with MemoryCluster() as cluster:
        yield cluster


def version(text: str, **own: Any) -> dict[str, Any]:
    run = {"kind": "job", "container": {"image": "busybox", "args": [text]}}
    return {"run": run, **own}


def dag(*operations: Mapping[str, Any]) -> dict[str, Any]:
    return {"run": {"kind": "dag", "operations": list(operations)}}


def hub(name: str, ref: str, *dependencies: str, **own: Any) -> dict[str, Any]:
    return {"name": name, "hubRef": ref, "dependencies": list(dependencies), **own}


def args_of(cluster: MemoryCluster, name: str) -> list[str]:
    found: list[str] = cluster.status(name)["component"]["run"]["container"]["args"]
    return found


@pytest.mark.parametrize("more", ["", LONG], ids=["small", "large"])
async def test_a_run_that_starts_later_uses_what_its_pipeline_froze(
    cluster: MemoryCluster, more: str
) -> None:
    await cluster.put_component("c", version(f"one{more}"))
    await cluster.create("p", {"component": dag(hub("a", "c"), hub("b", "c", "a"))})
    await cluster.settle()
    frozen = cluster.status("p")["components"]["c"]
    assert frozen["spec"] == version(f"one{more}")
    await cluster.put_component("c", version(f"two{more}"))
    await cluster.settle()
    await cluster.restart()
    first, last = cluster.find_child("p", "a"), cluster.find_child("p", "b")
    await cluster.end_pod(first)
    await cluster.settle()
    assert args_of(cluster, first) == args_of(cluster, last) == [f"one{more}"]
    await cluster.create("q", {"component": dag(hub("a", "c"))})
    await cluster.settle()
    assert cluster.status("q")["components"]["c"]["digest"] != frozen["digest"]
    assert args_of(cluster, cluster.find_child("q", "a")) == [f"two{more}"]


async def test_it_holds_for_a_pipeline_and_a_matrix_inside(cluster: MemoryCluster) -> None:
    await cluster.put_component("c", version("one", inputs=[{"name": "x", "type": "int"}]))
    grid = {"kind": "grid", "params": {"x": {"kind": "choice", "value": [1, 2]}}}
    inner = {"name": "inner", "component": dag(hub("deep", "c", matrix=grid))}
    await cluster.create(
        "p", {"component": dag({"name": "a", **JOB}, {**inner, "dependencies": ["a"]})}
    )
    await cluster.settle()
    await cluster.put_component("c", version("two", inputs=[{"name": "x", "type": "int"}]))
    await cluster.end_pod(cluster.find_child("p", "a"))
    await cluster.settle()
    deep = cluster.find_child(cluster.find_child("p", "inner"), "deep")
    runs = await cluster.children(deep)
    assert sorted(runs) == ["0", "1"]
    for one in runs.values():
        assert one["spec"]["component"]["run"]["container"]["args"] == ["one"]
        assert one["status"]["phase"] == "Starting"


async def test_a_component_that_comes_later_is_waited_for_by_its_run(
    cluster: MemoryCluster,
) -> None:
    await cluster.create("p", {"component": dag(hub("a", "c"))})
    await cluster.settle()
    child = cluster.find_child("p", "a")
    assert "components" not in cluster.status("p")
    assert cluster.status(child)["reason"] == "ComponentNotFound"
    await cluster.put_component("c", version("one"))
    await cluster.settle()
    assert args_of(cluster, child) == ["one"]


async def test_a_component_that_contains_itself_is_refused_before_anything_is_made(
    cluster: MemoryCluster,
) -> None:
    await cluster.put_component("c", dag({"name": "a", **JOB}, hub("again", "c", "a")))
    await cluster.create("p", {"hubRef": "c"})
    await cluster.settle()
    status = cluster.status("p")
    assert (status["phase"], status["reason"]) == ("Failed", "RefToItself")
    assert status["message"].startswith("run.operations[1].hubRef: the Component 'c' would contain")
    assert await cluster.children("p") == {}


@pytest.mark.parametrize("more", ["", LONG], ids=["small", "large"])
async def test_a_circle_of_components_is_refused_where_it_closes(
    cluster: MemoryCluster, more: str
) -> None:
    own = {"description": more}
    await cluster.put_component("c", {**dag(hub("to-d", "d")), **own})
    await cluster.put_component("d", {**dag(hub("to-c", "c:1")), **own})
    await cluster.put_component("c.1", {**dag(hub("to-d", "d")), **own})
    await cluster.create("p", {"hubRef": "c"})
    await cluster.settle()
    middle = cluster.find_child("p", "to-d")
    last = cluster.find_child(cluster.find_child(middle, "to-c"), "to-d")
    status = cluster.status(last)
    assert (status["phase"], status["reason"]) == ("Failed", "RefToItself")
    assert f"the run '{middle}' above this one is one of it" in status["message"]
    assert await cluster.children(last) == {}
    assert cluster.status("p")["phase"] == "Failed"
