"""The query language over runs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import ME, operation

from opstrand.core.resolving.query import select
from opstrand.core.resolving.query_grammar import Condition, parse_query, parse_sort
from opstrand.core.resolving.refs import Ref
from opstrand.core.resolving.resolve import Resolved, Waiting, resolve
from opstrand.core.resolving.upstream import read_upstream
from opstrand.core.templates.evaluation import evaluate_traced
from opstrand.core.templates.template import render
from opstrand.errors import SpecError
from opstrand.settings import Settings

RUNS: list[dict[str, Any]] = [
    {"uuid": "1" * 32, "name": "train-a", "status": "succeeded", "kind": "job",
     "tags": ["x", "y"], "duration": 10,
     "created_at": "2026-01-01T10:00:00Z", "inputs": {"lr": 0.1},
     "outputs": {"loss": 0.5, "ok": True},
     "meta_info": {"stage": "final"}, "project": "demo"},
    {"uuid": "2" * 32, "name": "train-b", "status": "failed", "kind": "job",
     "tags": [], "duration": None,
     "created_at": "2026-01-02T10:00:00+02:00", "inputs": {"lr": 1}, "outputs": {}},
    {"uuid": "3" * 32, "name": "eval", "status": "succeeded", "kind": "service",
     "tags": ["y"], "duration": 5,
     "created_at": "2026-01-03T10:00:00Z", "inputs": {"lr": "high"}, "outputs": {"loss": 0.25},
     "artifacts": [{"name": "model", "path": "outputs/model", "kind": "model"}],
     "upstream": [{"uuid": "1" * 32, "name": "train-a", "kind": "run", "values": {}}]},
]  # fmt: skip


def find(
    query: str, sort: str | None = "created_at", limit: int | None = None, offset: int | None = None
) -> str:
    return "".join(run["uuid"][0] for run in select(query, sort, limit, offset, RUNS))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "123"),
        ("status: succeeded", "13"),
        ("status: ~succeeded", "2"),
        ("status: failed|stopped", "2"),
        ("status: ~failed|stopped", "13"),
        (f"uuid: {'1' * 8}-{'1' * 4}-{'1' * 4}-{'1' * 4}-{'1' * 12}", "1"),
        (f"id: {'3' * 32}|{'2' * 32}", "23"),
        ("name: %a%", "123"),
        ("name: train%", "12"),
        ("name: %-b", "2"),
        ("name: ~train%", "3"),
        ("tags: y", "13"),
        ("tags: ~y", "2"),
        ("metrics.loss: <0.5", "3"),
        ("metrics.loss: <=0.5", "13"),
        ("outputs.loss: 0.2..0.3", "3"),
        ("outputs.loss: ~0.2..0.3", "12"),
        ("outputs.loss: nil", "2"),
        ("outputs.loss: ~nil", "13"),
        ("outputs.ok: true", "1"),
        ("params.lr: 1", "2"),
        ("inputs.lr: >0", "12"),
        ("inputs.lr: high", "3"),
        ("duration: >=5", "13"),
        ("artifacts.model: ~nil", "3"),
        ("created_at: 2026-01-02", "2"),
        ("created_at: >2026-01-01", "123"),
        ("created_at: 2026-01-01..2026-01-02", "12"),
        ("created_at: <2026-01-02 08:30:00", "12"),
        ("status: succeeded, metrics.loss: <0.3, kind: service", "3"),
        ("tags: nil", "2"),
        ("tags: ~nil", "13"),
        ("meta_values.stage: final", "1"),
        ("artifacts.name: model", "3"),
        ("artifacts.kind: model|metric", "3"),
        ("artifacts.kind: ~nil", "3"),
        (f"upstream: {'1' * 8}-{'1' * 4}-{'1' * 4}-{'1' * 4}-{'1' * 12}", "3"),
        ("upstream.name: train%", "3"),
        ("upstream.kind: ~join", "123"),
        ("project.name: demo", "1"),
    ],
)
def test_conditions(query: str, found: str) -> None:
    assert find(query) == found


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("created_at", "123"),
        ("-created_at", "321"),
        (None, "321"),
        ("metrics.loss", "312"),
        ("-metrics.loss", "132"),
        ("kind, -name", "213"),
        ("inputs.lr", "123"),
    ],
)
def test_order_puts_runs_without_the_value_last(sort: str | None, found: str) -> None:
    assert find("", sort) == found


def test_a_time_that_cannot_be_read_is_neither_before_nor_after() -> None:
    for condition in (">2026-01-01", "<=2026-01-01", "2025-01-01..2027-01-01"):
        assert (
            list(
                select(
                    f"started_at: {condition}",
                    None,
                    None,
                    None,
                    [{"uuid": "1" * 32, "started_at": "?"}],
                )
            )
            == []
        )


def test_what_is_equal_comes_by_name() -> None:
    runs = [{"uuid": name, "name": name, "created_at": "2026-01-01T10:00:00Z"} for name in "bca"]
    for some in (runs, runs[::-1]):
        assert [run["name"] for run in select("", None, None, None, some)] == ["a", "b", "c"]


def test_a_join_can_ask_for_whatever_a_list_can() -> None:
    status = {
        "phase": "Waiting", "reason": "AwaitingApproval", "kind": "job", "tags": ["x"],
        "meta": {"stage": "final"},
        "history": [{"status": "created", "at": "2026-01-02T00:00:00Z"}],
        "startedAt": "2026-01-01T00:00:05Z",
        "upstream": [{"uuid": "1" * 32, "name": "up", "kind": "run", "values": {}}],
        "artifacts": [{"name": "model", "kind": "model", "path": "m"}],
    }  # fmt: skip
    metadata = {
        "name": "a",
        "namespace": "demo",
        "uid": "2" * 32,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"opstrand.dev/controller": "4" * 32},
        "annotations": {"opstrand.dev/restart-of": "5" * 32},
        "ownerReferences": [
            {
                "apiVersion": "opstrand.dev/v1",
                "kind": "Operation",
                "name": "p",
                "uid": "3" * 32,
                "controller": True,
            }
        ],
    }
    known = [read_upstream({"metadata": metadata, "spec": {}, "status": status}, Settings())]
    query = (
        "meta_values.stage: final, project.name: demo, upstream.name: up, artifacts.kind: model, "
        f"tags: x, kind: job, is_managed: true, pipeline: {'3' * 32}, controller: {'4' * 32}, "
        f"original: {'5' * 32}, cloning_kind: restart"
    )
    assert (
        select(
            f"{query}, pending: approval, wait_time: 5, updated_at: 2026-01-02",
            None,
            None,
            None,
            known,
        )
        == known
    )
    assert select("meta_values.stage: ~final", None, None, None, known) == []
    stuck = read_upstream(
        {
            "metadata": metadata,
            "spec": {},
            "status": {"phase": "Starting", "reason": "Unschedulable"},
        },
        Settings(),
    )
    assert select("status: unschedulable", None, None, None, [*known, stuck]) == [stuck]


def test_a_join_takes_what_a_running_run_has_reported_so_far() -> None:
    """A list of runs shows the same: the same query finds the same runs."""
    status = {
        "phase": "Running",
        "pod": {"name": "a"},
        "inputs": {},
        "outputs": {"loss": 0.5},
        "artifacts": [{"name": "m", "path": "m"}],
    }
    known = read_upstream(
        {
            "metadata": {"name": "a", "namespace": "n", "uid": "2" * 32},
            "spec": {},
            "status": status,
        },
        Settings(),
    )
    joins = [
        {"query": "metrics.loss: <1", "params": {"losses": "outputs.loss", "models": "artifacts.m"}}
    ]
    found = resolve(operation(joins=joins), ME, {}, project=[known])
    assert isinstance(found, Resolved)
    assert found.inputs == {"losses": [0.5], "models": [f"{'2' * 32}/m"]}
    asked = operation({"p": {"ref": "ops.a", "value": "outputs.loss"}})
    assert isinstance(resolve(asked, ME, {Ref("ops", "a"): known}), Waiting)


def test_limit_and_offset() -> None:
    assert find("", limit=2) == "12"
    assert find("", limit=2, offset=2) == "3"
    assert find("", limit=0) == "123"
    assert find("", offset=5) == ""


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("statsu: succeeded", "a run has no 'statsu' to search by (did you mean 'status'?"),
        ("inputs.: 1", "a run has no 'inputs.' to search by"),
        ("status", "expected 'field: condition', found 'status'"),
        ("status: ", "expected 'field: condition'"),
        ("duration: >a", "'duration' is compared with a number, found 'a'"),
        ("created_at: >soon", "'created_at' is compared with a date, found 'soon'"),
        ("created_at: 2026-01-01..soon", "'created_at' is compared with a date, found 'soon'"),
        ("upstream.values: a", "a run has no 'upstream.values' to search by"),
    ],
)
def test_a_wrong_query_says_what_is_wrong(query: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        select(query, None, None, None, [])
    assert caught.value.reason == "InvalidSpec"
    assert message in str(caught.value)


def test_a_wrong_count_is_refused() -> None:
    with pytest.raises(SpecError, match="expected a count, found -1"):
        find("", limit=-1)


def test_conditions_are_data() -> None:
    (condition,) = parse_query("metrics.loss: ~<=0.1")
    assert (condition.field, condition.operator, condition.values, condition.negated) == (
        "metrics.loss",
        "<=",
        ("0.1",),
        True,
    )


TAGS = [
    "a", "a,b", "a, status: failed", "a|b", "~a", ">1", "<=1", "1..2", "nil", "null",
    "%", "%a%", "a%", " a ", "a:b", "\0001\0", "{{ a }}", "-a",
]  # fmt: skip


def search(query: str, **printed: Any) -> list[str]:
    """Return the tags, in order, of the runs that a query with templates finds."""
    runs = [
        {"name": str(index), "inputs": {"tag": tag}, "created_at": f"2026-01-{index + 1:02}"}
        for index, tag in enumerate(TAGS)
    ]
    text = render(query, printed, evaluate=evaluate_traced, traced=True)
    return [run["inputs"]["tag"] for run in select(text, "created_at", None, None, runs)]


@pytest.mark.parametrize("tag", TAGS)
def test_what_a_template_prints_is_one_value(tag: str) -> None:
    assert search("inputs.tag: {{ tag }}", tag=tag) == [tag]
    assert search("inputs.tag:{{ tag | trim('x') }},", tag=tag) == [tag]
    assert search("inputs.tag: ~{{ tag }}", tag=tag) == [one for one in TAGS if one != tag]
    assert search("inputs.tag: {{ tag }}|{{ other }}", tag=tag, other="a") == [
        one for one in TAGS if one in (tag, "a")
    ]
    assert search("inputs.tag: %{{ tag }}%", tag=tag) == [one for one in TAGS if tag in one]
    assert search("inputs.tag: {{ tag }}%", tag=tag) == [one for one in TAGS if one.startswith(tag)]
    assert search("inputs.tag: %{{ tag }}", tag=tag) == [one for one in TAGS if one.endswith(tag)]


@given(st.text(",:|~<>=.% ab\0", min_size=1))
def test_no_printed_value_adds_or_changes_a_condition(value: str) -> None:
    query = render(
        "status: succeeded, inputs.tag: {{ value }}, outputs.loss: <{{ loss }}",
        {"value": value, "loss": 1},
        traced=True,
    )
    assert parse_query(query) == (
        Condition("status", "=", ("succeeded",)),
        Condition("inputs.tag", "=", (value,)),
        Condition("outputs.loss", "<", ("1",)),
    )


@pytest.mark.parametrize(
    "query",
    ["name: a, {{ printed }}", "name: a,{{ printed }}", "{{ printed }}: a", "name: {{ nothing }}"],
)
def test_a_printed_value_is_no_condition_and_no_other_field(query: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_query(render(query, {"printed": "status: failed", "nothing": ""}, traced=True))
    assert caught.value.reason == "InvalidSpec"


def test_a_printed_field_is_one_field() -> None:
    context = {"metric": "loss", "keys": "name, -status"}
    assert (
        parse_query(render("metrics.{{ metric }}: <1", context, traced=True))[0].field
        == "metrics.loss"
    )
    assert parse_sort(render("-metrics.{{ metric }}, name", context, traced=True)) == [
        ("metrics.loss", True),
        ("name", False),
    ]
    with pytest.raises(SpecError, match="no 'name, -status'"):
        parse_sort(render("-{{ keys }}", context, traced=True))


def test_a_query_may_be_handed_over_as_a_whole() -> None:
    context = {"query": "name: a, status: failed|stopped", "sort": "-created_at, name"}
    assert len(parse_query(render("{{ query }}", context, traced=True))) == 2
    assert parse_sort(render("{{ sort }}", context, traced=True)) == [
        ("created_at", True),
        ("name", False),
    ]


def test_a_join_finds_by_a_value_and_nothing_else() -> None:
    project = [read_upstream(run(index, tag), Settings()) for index, tag in enumerate(TAGS)]
    joins = [
        {"query": "status: succeeded, inputs.tag: {{ tag }}", "params": {"tags": "inputs.tag"}}
    ]
    for tag in (one for one in TAGS if "{{" not in one):
        found = resolve(operation({"tag": tag}, joins=joins), ME, {}, project=project)
        assert isinstance(found, Resolved)
        assert found.inputs["tags"] == [tag]


def run(index: int, tag: str) -> dict[str, Any]:
    metadata = {"name": f"r{index}", "namespace": "demo", "uid": f"{index:032}"}
    return {
        "metadata": metadata,
        "status": {"phase": "Succeeded", "uuid": f"{index:032}", "inputs": {"tag": tag}},
    }
