"""The indexes of results: what is in them, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from opstrand.controller.cache import Cache
from opstrand.core.names import CONTROLLER
from opstrand.kube.resources import OPERATIONS


def make(number: int, phase: str = "Succeeded", digest: str = "k", **own: Any) -> dict[str, Any]:
    """Return a run with a key; `own` are further parts of its body."""
    frozen = {"pod": {"name": f"r{number}"}, "cacheKey": digest}
    status = {
        **frozen,
        "cache": {"component": "c"},
        "phase": phase,
        "finishedAt": f"2026-01-01T00:00:00.{number:06}Z",
        **own.get("status", {}),
    }
    metadata = {
        "name": f"r{number}",
        "namespace": "ns",
        "uid": f"{number:032x}",
        "resourceVersion": str(number + 1),
        **own.get("metadata", {}),
    }
    return {"metadata": metadata, "spec": own.get("spec", {}), "status": status}


def fill(*bodies: dict[str, Any]) -> Cache:
    cache = Cache()
    for body in bodies:
        cache.put(OPERATIONS, body)
    return cache


def find(cache: Cache, digest: str = "k", outermost: str = "") -> tuple[str, str]:
    """Return the names of the run that has the result, and of the one that computes it."""
    done = cache.results.find_done("ns", digest, outermost)
    started = cache.results.find_started("ns", digest, outermost)
    return ("" if done is None else done[1]), ("" if started is None else started[1])


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (make(1), ("r1", "")),
        (make(1, "Running"), ("", "r1")),
        (make(1, "Retrying"), ("", "r1")),
        (make(1, "Failed"), ("", "")),
        (make(1, "Stopping"), ("", "")),
        (make(1, "Waiting", status={"pod": {}}), ("", "")),
        (make(1, "Running", spec={"control": {"stop": True}}), ("", "")),
        (make(1, spec={"control": {"invalidate": True}}), ("", "")),
        (make(1, metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}), ("", "")),
        (make(1, status={"original": {"uuid": "a"}}), ("", "")),
        (make(1, status={"cacheKey": 1}), ("", "")),
        (make(1, digest="other"), ("", "")),
        (make(1, metadata={"namespace": "other"}), ("", "")),
        (make(1, status={"large": "x" * 100_000}), ("r1", "")),
    ],
)
def test_what_has_a_result(body: dict[str, Any], found: tuple[str, str]) -> None:
    assert find(fill(body)) == found


def test_the_newest_result_counts_in_whatever_order_runs_are_listed() -> None:
    for order in ((1, 2, 3), (3, 1, 2)):
        assert find(fill(*map(make, order)))[0] == "r3"


def test_a_run_that_changes_or_goes_is_followed() -> None:
    cache = fill(make(1, "Running"))
    cache.put(OPERATIONS, make(1, metadata={"resourceVersion": "3"}))
    assert find(cache) == ("r1", "")
    gone = {"resourceVersion": "4", "deletionTimestamp": "2026-01-01T00:00:00Z"}
    cache.drop(OPERATIONS, make(1, metadata=gone))
    assert find(cache) == ("", "")
    assert cache.results.list_alike("ns", "c", "") == []


def test_another_run_of_the_same_name_replaces_the_first() -> None:
    cache = fill(make(1), make(1, "Failed", metadata={"uid": "other", "resourceVersion": "9"}))
    assert find(cache) == ("", "")


OF_A_PIPELINE = {
    "labels": {CONTROLLER: "p"},
    "ownerReferences": [
        {
            "apiVersion": "opstrand.dev/v1",
            "kind": "Operation",
            "name": "p",
            "uid": "p",
            "controller": True,
        }
    ],
}


class Compared(str):
    """The name of a pipeline that counts how often it is compared."""

    __slots__ = ("times",)
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        self.times = getattr(self, "times", 0) + 1
        return str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other


def count_steps(siblings: int) -> int:
    """Return the comparisons of one look-up in each index by a run with so many siblings."""
    own = Compared("p")
    cache = fill(
        make(1),
        make(2, "Running"),
        *(make(3 + one, metadata=OF_A_PIPELINE) for one in range(siblings)),
        *(make(500 + one, "Running", metadata=OF_A_PIPELINE) for one in range(siblings)),
    )
    assert find(cache, outermost=own) == ("r1", "r2")
    assert set(cache.results.list_alike("ns", "c", own)) == {("ns", "r1"), ("ns", "r2")}
    return own.times


def test_siblings_cost_a_look_up_nothing() -> None:
    assert count_steps(20) == count_steps(40)


def test_the_newest_of_all_pipelines_are_listed_in_their_order() -> None:
    created = {one: {"creationTimestamp": f"2026-01-01T00:00:{one:02}Z"} for one in range(30)}
    bodies = [
        make(one, metadata={**created[one], **(OF_A_PIPELINE if one % 3 else {})})
        for one in range(30)
    ]
    cache = fill(*bodies)
    newest = [key[1] for key in cache.results.list_alike("ns", "c", "other")]
    assert newest == [f"r{one}" for one in range(29, 21, -1)]
    for body in bodies[20:]:
        cache.drop(OPERATIONS, body)
    newest = [key[1] for key in cache.results.list_alike("ns", "c", "other")]
    assert newest == [f"r{one}" for one in range(19, 11, -1)]


def test_runs_of_one_pipeline_are_left_out() -> None:
    cache = fill(make(1), make(2, metadata=OF_A_PIPELINE))
    assert find(cache)[0] == "r2"
    assert find(cache, outermost="p")[0] == "r1"
    assert cache.results.list_alike("ns", "c", "p") == [("ns", "r1")]
