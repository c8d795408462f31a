"""The index of all runs: the newest body wins, whatever the order of arrival."""

import asyncio
from typing import Any

from opstrand.runs.index import Index

UID = "4f0c1a2b-4f0c-1a2b-4f0c-1a2b4f0c1a2b"
UUID = UID.replace("-", "")


def body(version: int, *, uid: str = UID, name: str = "echo", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "p", "name": name, "uid": uid, "resourceVersion": str(version)},
        "status": status,
    }


def test_an_older_body_changes_nothing() -> None:
    index = Index()
    index.put(body(10, phase="Running"))
    assert index.put_newest(body(9, phase="Starting"))["status"] == {"phase": "Running"}
    assert index.find("p", UUID) == body(10, phase="Running")
    assert index.find("other", UUID) is None


def child(version: int, name: str, uid: str, pipeline: str = UID) -> dict[str, Any]:
    made = body(version, name=name, uid=uid)
    owner = {
        "apiVersion": "opstrand.dev/v1",
        "kind": "Operation",
        "name": "echo",
        "uid": pipeline,
        "controller": True,
    }
    made["metadata"]["ownerReferences"] = [owner]
    return made


def test_the_runs_of_a_pipeline_are_found_and_their_changes_are_seen_without_the_others() -> None:
    index, versions = Index(), list[int]()

    def look() -> list[str]:
        versions.append(index.version_below("p", UID))
        return sorted(one.head["metadata"]["name"] for one in index.made_by("p", UID))

    assert look() == []
    index.put(child(1, "a", "a" * 32))
    assert look() == ["a"]
    index.put(child(2, "b", "b" * 32))
    index.put(child(3, "other", "c" * 32, pipeline="d" * 32))
    assert look() == ["a", "b"]
    index.put(child(4, "other", "c" * 32, pipeline="d" * 32))
    index.put(body(5))
    assert look() == ["a", "b"]
    assert versions[-1] == versions[-2], "nothing below it changed"
    index.put(child(6, "a", "a" * 32))
    assert look() == ["a", "b"]
    index.put(body(7, name="a", uid="e" * 32))  # the name was taken again, outside the pipeline
    assert look() == ["b"]
    index.drop(child(8, "b", "b" * 32))
    assert look() == []
    assert versions.pop(3) == versions[2]
    assert len(set(versions)) == len(versions) - 1, (
        "each change is seen, and none is left at the end"
    )


def test_a_name_that_is_taken_again_is_another_run() -> None:
    index = Index()
    index.put(body(10))
    index.put(body(12, uid="b" * 32))
    assert index.find("p", UUID) is None
    assert index.find("p", "b" * 32) is not None
    index.drop(body(11))  # arrives late
    assert index.find("p", "b" * 32) is not None


def test_a_run_that_was_forgotten_returns_and_one_that_was_dropped_does_not() -> None:
    index = Index()
    index.put(body(10))
    index.forget(body(10))
    assert index.find("p", UUID) is None
    assert index.put(body(11))
    index.drop(body(12))
    assert not index.put(body(11))
    assert index.put_newest(body(11)) == body(11)
    assert index.find("p", UUID) is None


async def test_who_waits_is_woken_by_a_change_and_by_the_end() -> None:
    index = Index()
    index.put(body(1, phase="Queued"))

    def is_running(run: Any) -> bool:
        return bool(run["status"].get("phase") == "Running")

    waiting = asyncio.create_task(index.wait("p", UUID, is_running, 5))
    await asyncio.sleep(0)
    index.put(body(2, phase="Starting"))
    await asyncio.sleep(0)
    index.put(body(3, phase="Running"))
    found = await waiting
    assert found is not None
    assert found["metadata"]["resourceVersion"] == "3"
    assert await index.wait("p", UUID, lambda _: False, 0.01) == found
    leaving = asyncio.create_task(index.wait("p", UUID, lambda _: False, 5))
    await asyncio.sleep(0)
    index.drop(found)
    assert await leaving is None
