"""The cache: the newest body wins, waiting keys are woken when it matters, and deleted objects are
known to be gone.
"""

from __future__ import annotations

from typing import Any

from opstrand.controller.cache import Cache, Subject
from opstrand.core.resolving.upstream import read_upstream
from opstrand.kube.resources import OPERATIONS, PODS
from opstrand.settings import Settings
from opstrand.types import key_of

UID = "d1410a91-4d18-4575-89b9-1926d8c23db4"


def run(
    version: int,
    name: str = "a",
    uid: str = UID,
    status: dict[str, Any] | None = None,
    **metadata: Any,
) -> dict[str, Any]:
    fixed = {
        "name": name,
        "namespace": "ns",
        "uid": uid,
        "resourceVersion": str(version),
        **metadata,
    }
    return {
        "metadata": fixed,
        "spec": {"component": {}, "control": {}},
        **({"status": status} if status else {}),
    }


def pod(version: int, owner: str = "a") -> dict[str, Any]:
    reference = {"apiVersion": "opstrand.dev/v1", "kind": "Operation", "name": owner, "uid": UID}
    return {
        "metadata": {
            "name": "p",
            "namespace": "ns",
            "uid": "u",
            "resourceVersion": str(version),
            "ownerReferences": [reference],
        }
    }


def test_an_older_event_never_overwrites_the_answer_to_a_write() -> None:
    cache = Cache()
    assert cache.put(OPERATIONS, run(10)) == {("ns", "a")}
    assert cache.put(OPERATIONS, run(9)) == set()
    assert cache.put(OPERATIONS, run(10)) == set()
    found = cache.operation(("ns", "a"))
    assert found is not None
    assert found["metadata"]["resourceVersion"] == "10"


def test_versions_are_numbers_and_not_texts() -> None:
    cache = Cache()
    cache.put(OPERATIONS, run(9))
    assert cache.put(OPERATIONS, run(10)) == {("ns", "a")}


def test_waiters_are_woken_by_what_they_could_see_and_by_nothing_else() -> None:
    cache = Cache()
    cache.wait(("ns", "b"), frozenset({Subject("operation", "ns", "a")}))
    cache.wait(("ns", "c"), frozenset({Subject("run", "ns", UID.replace("-", ""))}))
    everyone = {("ns", "a"), ("ns", "b"), ("ns", "c")}
    assert cache.put(OPERATIONS, run(1)) == everyone
    assert cache.put(OPERATIONS, run(2, labels={"x": "y"})) == {("ns", "a")}
    assert cache.put(OPERATIONS, run(3, status={"pod": {"name": "p"}})) == everyone
    assert cache.put(OPERATIONS, run(4, status={"pod": {"name": "p"}, "outputs": {"x": 1}})) == {
        ("ns", "a")
    }
    assert (
        cache.put(OPERATIONS, run(5, status={"pod": {"name": "p"}, "phase": "Succeeded"}))
        == everyone
    )
    cache.wait(("ns", "b"), frozenset())
    assert cache.put(OPERATIONS, run(6, status={"pod": {"name": "p"}, "phase": "Failed"})) == {
        ("ns", "a"),
        ("ns", "c"),
    }


def replica(name: str, version: int = 1, uuid: str = UID.replace("-", "")) -> dict[str, Any]:
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "a-d1410a91-5d", "uid": "r"}
    metadata = {
        "name": name,
        "namespace": "ns",
        "uid": f"u-{name}",
        "resourceVersion": str(version),
    }
    return {
        "metadata": {
            **metadata,
            "labels": {"opstrand.dev/uuid": uuid},
            "ownerReferences": [reference],
        }
    }


def test_the_pods_of_a_service_are_found_by_its_run_and_wake_it() -> None:
    cache, uuid = Cache(), UID.replace("-", "")
    assert cache.put(PODS, replica("early")) == set()
    cache.put(OPERATIONS, run(1))
    assert cache.put(PODS, replica("late")) == {("ns", "a")}
    cache.put(PODS, pod(1))
    cache.put(PODS, replica("stranger", uuid="0" * 32))
    assert [one["metadata"]["name"] for one in cache.labelled(PODS, "ns", uuid)] == [
        "early",
        "late",
    ]
    assert cache.drop(PODS, replica("early", 2)) == {("ns", "a")}
    assert cache.drop(PODS, replica("late", 2)) == {("ns", "a")}
    assert cache.labelled(PODS, "ns", uuid) == ()


def test_another_namespace_is_another_world() -> None:
    cache = Cache()
    cache.put(OPERATIONS, run(1))
    assert cache.find_by_uuid("ns", UID.replace("-", "")) is not None
    assert cache.find_by_uuid("other", UID.replace("-", "")) is None


def test_a_pod_that_was_seen_and_is_gone_is_remembered() -> None:
    cache = Cache()
    assert cache.put(PODS, pod(1)) == {("ns", "a")}
    assert not cache.was_seen(PODS, ("ns", "p"))
    assert cache.drop(PODS, pod(2)) == {("ns", "a")}
    assert cache.was_seen(PODS, ("ns", "p"))


def test_a_late_deletion_does_not_take_a_new_object_of_the_same_name() -> None:
    cache = Cache()
    cache.put(OPERATIONS, run(20, uid="ffffffff-4d18-4575-89b9-1926d8c23db4"))
    cache.drop(OPERATIONS, run(10))
    assert cache.operation(("ns", "a")) is not None


def test_finished_runs_are_kept_without_their_spec() -> None:
    cache = Cache()
    cache.put(OPERATIONS, run(1, status={"phase": "Succeeded", "outputs": {"x": 1}}))
    found = cache.operation(("ns", "a"))
    assert found is not None
    assert set(found["spec"]) == {"control"}
    assert found["status"]["outputs"] == {"x": 1}


def test_what_a_full_list_lacks_is_asked_about() -> None:
    cache = Cache()
    cache.put(OPERATIONS, run(1))
    cache.put(OPERATIONS, run(2, name="b", uid="ffffffff-4d18-4575-89b9-1926d8c23db4"))
    asked_when = cache.keys(OPERATIONS)
    cache.put(OPERATIONS, run(3, name="c", uid="eeeeeeee-4d18-4575-89b9-1926d8c23db4"))
    assert [
        one["metadata"]["name"] for one in cache.missing(OPERATIONS, asked_when, {key_of(run(1))})
    ] == ["b"]


def test_a_name_that_is_taken_again_is_another_run() -> None:
    """The deletion was missed: the new run must not be read under the old one's uuid, and a run
    that waits for the old one is told of its end.
    """
    cache = Cache()
    old = UID.replace("-", "")
    cache.put(OPERATIONS, run(1, status={"phase": "Running"}))
    cache.wait(("ns", "b"), frozenset({Subject("run", "ns", old)}))
    assert cache.put(OPERATIONS, run(2, uid="ffffffff-4d18-4575-89b9-1926d8c23db4")) == {
        ("ns", "a"),
        ("ns", "b"),
    }
    assert cache.find_by_uuid("ns", old) is None


def test_a_list_from_before_a_deletion_restores_nothing() -> None:
    cache = Cache()
    for resource, body in ((OPERATIONS, run(5)), (PODS, pod(5))):
        cache.put(resource, body)
        cache.drop(resource, body)
        assert cache.put(resource, body) == set()
        assert cache.count(resource) == 0


def test_a_late_deletion_leaves_the_new_object_and_no_way_back_for_the_old() -> None:
    cache = Cache()
    new = run(20, uid="ffffffff-4d18-4575-89b9-1926d8c23db4")
    cache.put(OPERATIONS, new)
    assert cache.drop(OPERATIONS, run(10)) == set()
    cache.drop(OPERATIONS, new)
    assert cache.put(OPERATIONS, run(11)) == set()


def test_a_run_that_is_over_still_gives_its_values_in_their_types() -> None:
    cache = Cache()
    component = {
        "inputs": [{"name": "lr", "type": "float", "description": "d"}],
        "run": {"kind": "job"},
    }
    body = {
        **run(1, status={"phase": "Succeeded", "pod": {"name": "p"}, "inputs": {"lr": 1}}),
        "spec": {"component": component},
    }
    cache.put(OPERATIONS, body)
    found = cache.operation(("ns", "a"))
    assert found is not None
    assert found["spec"] == {"component": {"inputs": [{"name": "lr", "type": "float"}]}}
    assert repr((read_upstream(found, Settings()).inputs or {})["lr"]) == "1.0"
