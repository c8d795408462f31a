"""What is asked of the store, and what is said while it has not answered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.builders import ME, UP, operation, upstream

from opstrand.core.limits import EDGES
from opstrand.core.resolving.joins import Searched, list_searches
from opstrand.core.resolving.refs import Ref, Upstream
from opstrand.core.resolving.resolve import Resolved, resolve
from opstrand.core.resolving.stored import StoredRuns, Unanswered
from opstrand.core.resolving.waits import Waiting
from opstrand.core.templates.evaluation import evaluate
from opstrand.errors import SpecError

OLD = Ref("runs", "b" * 32)
LOST = Ref("runs", "c" * 32)
AWAY = Unanswered("the API does not answer")
UNKNOWN = "it is not known whether there is a run"


def read(
    *found: Upstream | Unanswered | None, params: dict[str, Any] | None = None
) -> Resolved | Waiting:
    """Resolve params that read of `runs.b...`, `runs.c...` and `ops.prep`, as many as are given."""
    refs = (OLD, LOST, UP)[: len(found)]
    named = {
        f"p{number}": {"ref": str(ref), "value": "outputs.acc"} for number, ref in enumerate(refs)
    }
    return resolve(operation({**named, **(params or {})}), ME, dict(zip(refs, found, strict=True)))


@pytest.mark.parametrize(
    ("found", "reason", "message"),
    [
        ([Unanswered()], "", ""),
        ([Unanswered(), None], "", ""),
        ([AWAY, Unanswered()], "", ""),
        (
            [AWAY],
            "StoreUnavailable",
            f"params.p0: {UNKNOWN} 'runs.{'b' * 32}': the API does not answer",
        ),
        (
            [AWAY, None, upstream("Running")],
            "StoreUnavailable",
            f"params.p0: {UNKNOWN} 'runs.{'b' * 32}': the API does not answer; "
            f"params.p1: there is no run 'runs.{'c' * 32}' here; "
            "waits for 'ops.prep' (Running): outputs.acc for params.p2",
        ),
    ],
)
def test_a_run_is_missing_only_after_the_store_has_answered(
    found: list[Any], reason: str, message: str
) -> None:
    waiting = read(*found)
    assert isinstance(waiting, Waiting)
    assert (waiting.reason, waiting.message) == (reason, message)


def test_what_is_wrong_anyway_is_reported_before_the_store_answers() -> None:
    with pytest.raises(SpecError, match="has no output 'acc'"):
        read(AWAY, upstream(outputs={"loss": 1}))


def join(**parts: Any) -> dict[str, Any]:
    return {"query": "status: succeeded", "params": {"names": "globals.name"}, **parts}


@pytest.mark.parametrize(
    ("parts", "asked"),
    [
        ({}, StoredRuns("status: succeeded", "", EDGES)),
        ({"sort": "name", "limit": 3}, StoredRuns("status: succeeded", "name", 3)),
        ({"limit": 3, "offset": 2}, StoredRuns("status: succeeded", "", 5)),
        ({"limit": EDGES + 1}, StoredRuns("status: succeeded", "", EDGES)),
        ({"sort": "{{ s }}"}, None),
        ({"query": "name: {{ q }}"}, None),
        ({"limit": "{{ l }}"}, None),
    ],
)
def test_a_search_without_templates_is_known_at_once(
    parts: dict[str, Any], asked: StoredRuns | None
) -> None:
    assert list_searches(operation(joins=[join(**parts)])) == ({asked} - {None})


def find(searched: Searched, *joins: dict[str, Any], **given: Any) -> Resolved | Waiting:
    project = [
        replace(upstream(), uuid=str(number) * 32, name=name)
        for number, name in enumerate(("live", "gone"))
    ]
    params = {"q": "live", **given}
    return resolve(operation(params, joins=list(joins)), ME, {}, project=project, searched=searched)


def test_without_a_store_nothing_is_asked() -> None:
    found = find(None, join(sort="name"))
    assert isinstance(found, Resolved)
    assert found.inputs["names"] == ["prep", "prep"]
    assert [edge.name for edge in found.edges] == ["gone", "live"]


def test_a_search_is_asked_of_the_store_once_its_templates_are_rendered() -> None:
    second = {"query": "name: {{ names | join('|') }}", "params": {"losses": "outputs.loss"}}
    compiled = operation({"q": "live"}, joins=[join(query="name: {{ q }}"), second])
    project = [replace(upstream(), name="live")]

    def settle(*answered: StoredRuns) -> Resolved | Waiting:
        searched = dict.fromkeys(answered)
        return resolve(compiled, ME, {}, project=project, searched=searched, evaluate=evaluate)

    first, then = (StoredRuns(f"name: {name}", "", EDGES) for name in ("live", "prep"))
    assert settle() == Waiting("", "", asks=frozenset({first}))
    assert settle(first) == Waiting("", "", asks=frozenset({then}))
    found = settle(first, then)
    assert isinstance(found, Resolved)
    assert (found.inputs["names"], found.inputs["losses"]) == (["prep"], [])


def test_a_search_that_is_not_answered_makes_the_run_wait() -> None:
    ask = StoredRuns("status: succeeded", "", EDGES)
    waiting = find({ask: AWAY}, join())
    assert isinstance(waiting, Waiting)
    assert (waiting.reason, waiting.message) == (
        "StoreUnavailable",
        "joins[0]: it is not known which runs without an Operation it finds: the API does not "
        "answer",
    )
    brief = find({ask: Unanswered()}, join())
    assert isinstance(brief, Waiting)
    assert (brief.reason, brief.asks) == ("", frozenset())
    with pytest.raises(SpecError, match="xx"):
        find({ask: AWAY}, join(), t="{{ xx }}")


def test_a_page_too_far_away_is_refused_where_there_is_a_store() -> None:
    assert isinstance(find(None, join(offset=EDGES + 1)), Resolved)
    with pytest.raises(SpecError, match="an offset of at most 5000 can be searched"):
        find({}, join(offset=EDGES + 1))
