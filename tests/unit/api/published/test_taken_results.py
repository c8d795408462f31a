"""A run that took an earlier run's result, as the published client sees it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.builders import body

from opstrand.api.published.listing import Searched
from opstrand.api.published.views import clone_view, run_view
from opstrand.core.packed import is_large, pack
from opstrand.runs.bodies import files_uuid, read_beside
from opstrand.runs.protocols import Listed
from opstrand.runs.records import make_row

UUID = "b" * 32


def make(**status: Any) -> dict[str, Any]:
    original = {"uuid": UUID, "name": "first", "kind": "cache"}
    facts = {"phase": "Succeeded", "reason": "CacheHit", "kind": "job", "cacheKey": "k"}
    return body(status={**facts, "outputs": {"loss": 0.25}, "original": original, **status})


def test_a_run_names_the_run_whose_result_it_took() -> None:
    taken = make()
    view = run_view(taken, "default")
    assert (view["status"], view["outputs"]) == ("succeeded", {"loss": 0.25})
    assert view["original"] == {"uuid": UUID, "name": "first", "kind": "cache"}
    assert clone_view(taken)["cloning_kind"] == "cache"
    assert make_row(taken).original == UUID


@pytest.mark.parametrize("text", ["", "x" * 100_000], ids=["small", "large"])
def test_a_list_is_searched_by_it(text: str) -> None:
    taken = make(meta={"text": text})
    head = pack(taken)
    assert is_large(head) is bool(text)
    run = Searched(Listed(head, read_beside(taken)), "default")
    found = {name: run.read(name) for name in ("original", "cloning_kind", "cache_key")}
    assert found == {"original": UUID, "cloning_kind": "cache", "cache_key": "k"}


def test_its_files_are_those_of_that_run() -> None:
    assert files_uuid(make()) == UUID
    other = make(original={"uuid": "../up"})
    assert files_uuid(other) == other["metadata"]["uid"].replace("-", "")


def test_a_run_that_waits_for_a_result_is_pending() -> None:
    waiting = make(phase="Waiting", reason="CachePending", original={})
    assert run_view(waiting, "default")["pending"] == "cache"
