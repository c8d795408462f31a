"""Resolving: the three outcomes, and the message of each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.builders import ME, UP, operation, upstream, values

from opstrand.core.limits import EDGES
from opstrand.core.resolving.refs import Ref, Upstream, collect_refs
from opstrand.core.resolving.resolve import Resolved, Waiting, resolve, restore_value
from opstrand.errors import SpecError


def ask(value: Any, given: Upstream | None, **own: Any) -> Resolved | Waiting:
    return resolve(operation({"p": {"ref": "ops.prep", "value": value}}, **own), ME, {UP: given})


def refuse(value: Any, given: Upstream | None, **own: Any) -> tuple[str, str]:
    with pytest.raises(SpecError) as caught:
        ask(value, given, **own)
    return caught.value.reason, str(caught.value)


def test_values_come_in_the_order_of_params_then_inputs() -> None:
    compiled = operation(
        {
            "p": {"ref": "ops.prep", "value": "outputs.acc"},
            "x": 3,
            "t": "{{ globals.name }}-{{ x }}",
        },
        inputs=[{"name": "x", "type": "int"}, {"name": "d", "type": "int", "value": 7}],
    )
    found = resolve(compiled, ME, {UP: upstream()})
    assert isinstance(found, Resolved)
    assert list(found.inputs.items()) == [("p", 0.9), ("t", "eval-3"), ("x", 3), ("d", 7)]


def test_refs_to_one_run_leave_one_edge_with_all_values() -> None:
    params = {
        "a": {"ref": "ops.prep", "value": "outputs.acc"},
        "b": {"ref": f"runs.{'b' * 32}", "value": "globals.uuid"},
    }
    compiled = operation({**params, "c": {"ref": "ops.prep", "value": {"files": ["x"]}}})
    found = resolve(compiled, ME, {UP: upstream(), Ref("runs", "b" * 32): upstream()})
    assert isinstance(found, Resolved)
    assert [(e.uuid, e.name, e.kind, e.values) for e in found.edges] == [
        (
            "b" * 32,
            "prep",
            "run",
            {"a": "outputs.acc", "b": "globals.uuid", "c": '{"files": ["x"]}'},
        )
    ]
    assert found.inputs["c"] == {"files": [f"{'b' * 32}/x"]}


@pytest.mark.parametrize("value", ["globals.uuid", "globals.name", "inputs.lr", "inputs"])
def test_what_a_running_upstream_already_has_is_not_waited_for(value: str) -> None:
    assert isinstance(ask(value, upstream("Running")), Resolved)


@pytest.mark.parametrize(
    "value",
    [
        "outputs.acc",
        "outputs",
        "artifacts",
        "artifacts.base",
        "io",
        "globals.status",
        "globals",
        {"files": ["a"]},
    ],
)
def test_what_only_its_end_settles_is_waited_for(value: Any) -> None:
    found = ask(value, upstream("Running"))
    assert isinstance(found, Waiting)
    assert (found.reason, found.on) == ("UpstreamPending", {UP})
    assert "'ops.prep' (Running)" in found.message
    assert "params.p" in found.message


def test_inputs_are_waited_for_until_they_are_frozen() -> None:
    assert isinstance(ask("inputs.lr", upstream("Waiting", inputs=None, frozen=False)), Waiting)


def test_a_run_that_is_not_there_is_waited_for_by_name() -> None:
    found = ask("outputs.acc", None)
    assert found == Waiting(
        "UpstreamNotFound", "params.p: there is no run 'ops.prep' here", frozenset({UP})
    )


def test_all_waits_are_reported_at_once() -> None:
    params = {
        "a": {"ref": "ops.prep", "value": "outputs.acc"},
        "b": {"ref": "ops.gone", "value": "outputs.x"},
    }
    found = resolve(operation(params), ME, {UP: upstream("Running"), Ref("ops", "gone"): None})
    assert isinstance(found, Waiting)
    assert found.reason == "UpstreamNotFound"
    assert found.on == {UP, Ref("ops", "gone")}
    assert "ops.gone" in found.message
    assert "outputs.acc" in found.message


@pytest.mark.parametrize(
    ("value", "given", "reason", "words"),
    [
        (
            "outputs.los",
            upstream(),
            "MissingValue",
            "params.p.value: run 'prep' has no output 'los' (did you mean 'loss'? it has: acc, "
            "loss)",
        ),
        ("inputs.lrr", upstream(), "MissingValue", "has no input 'lrr' (did you mean 'lr'?"),
        (
            "artifacts.modle",
            upstream(),
            "MissingValue",
            "did you mean 'model'? it has: base, outputs, model",
        ),
        ("outputs.acc", upstream("Failed"), "UpstreamFailed", "run 'prep' is Failed"),
        ("outputs", upstream("Stopped"), "UpstreamFailed", "run 'prep' is Stopped"),
        (
            "outputs.acc",
            upstream("Skipped", outputs={}),
            "UpstreamSkipped",
            "run 'prep' was skipped",
        ),
        (
            "outputs.acc",
            upstream("Running", deleting=True),
            "UpstreamDeleted",
            "run 'prep' is being deleted before it has 'outputs.acc'",
        ),
        (
            "inputs.lr",
            upstream("Failed", inputs=None, frozen=False),
            "UpstreamFailed",
            "ended before 'inputs.lr' was known",
        ),
    ],
)
def test_a_value_that_will_never_come_is_an_error_with_its_own_reason(
    value: str, given: Upstream, reason: str, words: str
) -> None:
    found, message = refuse(value, given)
    assert found == reason
    assert words in message


def test_a_wrong_type_says_whose_value_it_was() -> None:
    reason, message = refuse("outputs.acc", upstream(), inputs=[{"name": "p", "type": "int"}])
    assert (reason, message) == (
        "ParamInvalid",
        "params.p: ops.prep outputs.acc: cannot read 0.9 as int: expected a whole number such as 3",
    )


@pytest.mark.parametrize("name", ["Prep", "prep_1", "-prep", "ünï", "p" * 53])
def test_a_name_that_no_run_can_have_is_not_waited_for(name: str) -> None:
    compiled = operation({"p": {"ref": f"ops.{name}", "value": "globals.uuid"}})
    with pytest.raises(SpecError, match=r"params\.p\.ref: no run can be named") as caught:
        resolve(compiled, ME, {Ref("ops", name): None})
    assert caught.value.reason == "RefInvalid"
    sibling = replace(ME, is_independent=False)
    assert isinstance(resolve(compiled, sibling, {Ref("ops", name): None}), Waiting)


def test_a_run_does_not_refer_to_itself() -> None:
    compiled = operation({"p": {"ref": f"runs.{ME.uuid}", "value": "globals.uuid"}})
    with pytest.raises(SpecError) as caught:
        resolve(compiled, ME, {Ref("runs", ME.uuid): None})
    assert caught.value.reason == "RefToItself"


def test_a_run_without_a_pipeline_does_not_wait_for_one() -> None:
    with pytest.raises(
        SpecError,
        match=r"^params\.p\.ref: 'dag' is the pipeline that a run belongs to, "
        r"and this run belongs to none$",
    ):
        resolve(operation({"p": {"ref": "dag", "value": "inputs.x"}}), ME, {Ref("dag"): None})


def test_what_a_failed_run_left_behind_is_read_by_its_uuid_and_by_a_trigger_that_allows_it() -> (
    None
):
    failed = upstream("Failed")
    by_uuid = operation({"p": {"ref": f"runs.{'b' * 32}", "value": "outputs.acc"}})
    assert isinstance(resolve(by_uuid, ME, {Ref("runs", "b" * 32): failed}), Resolved)
    assert isinstance(ask("outputs.acc", failed, trigger="all_done"), Resolved)


def test_errors_come_before_waits() -> None:
    params = {
        "a": {"ref": "ops.gone", "value": "outputs.x"},
        "b": {"ref": "ops.prep", "value": "outputs.nope"},
    }
    with pytest.raises(SpecError, match=r"params\.b\.value"):
        resolve(operation(params), ME, {Ref("ops", "gone"): None, UP: upstream()})
    with pytest.raises(SpecError, match="cannot read 'a' as int"):
        resolve(operation({"x": "a", **params}, inputs=[{"name": "x", "type": "int"}]), ME, {})


def test_a_text_of_another_run_is_never_a_template() -> None:
    given = upstream(outputs={"acc": "{{ globals.uuid }}", "d": {"{{ x }}": "{% if x %}"}})
    found = resolve(
        operation(
            {
                "p": {"ref": "ops.prep", "value": "outputs.acc"},
                "q": "<{{ p }}>",
                "r": {"ref": "ops.prep", "value": "outputs.d"},
            }
        ),
        ME,
        {UP: given},
    )
    assert isinstance(found, Resolved)
    assert found.inputs == {
        "p": "{{ globals.uuid }}",
        "q": "<{{ globals.uuid }}>",
        "r": {"{{ x }}": "{% if x %}"},
    }


def test_every_problem_of_the_params_is_reported_at_once() -> None:
    inputs = [
        {"name": "a", "type": "int"},
        {"name": "b", "type": "int"},
        {"name": "c", "type": "str", "options": ["x"]},
    ]
    with pytest.raises(SpecError) as caught:
        values(
            operation(
                {"a": "one", "c": "y", "d": {"value": 1, "contextOnly": False}}, inputs=inputs
            )
        )
    assert sorted((p.path, p.reason) for p in caught.value.problems) == [
        ("params.a", "ParamInvalid"),
        ("params.b", "ParamRequired"),
        ("params.c", "ParamValidation"),
        ("params.d", "ParamUndeclared"),
    ]


def test_values_settle_in_the_order_in_which_they_read_each_other() -> None:
    assert values(operation({"a": "{{ b }}!", "b": "{{ params.c.value }}?", "c": 1})).inputs == {
        "a": "1?!",
        "b": "1?",
        "c": 1,
    }


def test_every_template_that_fails_is_reported_and_none_that_only_reads_one() -> None:
    params = {
        "a": "{{ globals.nope }}",
        "b": "{{ nobody }}",
        "c": "{{ a }}-{{ b }}",
        "d": "{{ c }}",
        "e": "{{ globals.uuid }}",
    }
    with pytest.raises(SpecError) as caught:
        values(operation(params))
    assert {problem.path for problem in caught.value.problems} == {"params.a", "params.b"}


def test_a_circle_is_named() -> None:
    with pytest.raises(
        SpecError, match=r"^params\.a: the values read each other in a circle: a -> b -> c -> a$"
    ) as caught:
        values(operation({"a": "{{ b }}", "b": "{{ c }}", "c": "{{ a }}"}))
    assert caught.value.reason == "TemplateError"


def test_inputs_that_are_too_large_are_refused_with_both_sizes() -> None:
    with pytest.raises(SpecError) as caught:
        values(operation({"x": "a" * 300 * 1024}))
    assert caught.value.reason == "TooLarge"
    assert "300.0 KiB" in str(caught.value)
    assert "256.0 KiB" in str(caught.value)


def test_refs_are_collected_once_each() -> None:
    params = {
        "a": {"ref": "ops.prep", "value": "inputs"},
        "b": {"ref": "ops.prep", "value": "outputs"},
        "c": {"ref": "dag", "value": "io"},
    }
    assert collect_refs(operation(params)) == {UP, Ref("dag")}


def test_every_wrong_ref_is_reported_at_once() -> None:
    params = {
        "a": {"ref": "ops", "value": "inputs"},
        "b": {"ref": "ops.x", "value": "outputs.a.b"},
        "c": {"ref": "ops.x", "value": 1},
    }
    with pytest.raises(SpecError) as caught:
        collect_refs(operation(params))
    assert [problem.path for problem in caught.value.problems] == [
        "params.a.ref",
        "params.b.value",
        "params.c.value",
    ]


def test_frozen_values_come_back_with_their_types() -> None:
    inputs = [
        {"name": "f", "type": "float"},
        {"name": "l", "type": "float", "isList": True},
        {"name": "s", "type": "str"},
    ]
    compiled = operation(
        {"f": 1, "l": [1, 2.5], "s": 1, "x": {"a": 2.0}},
        inputs=inputs,
        outputs=[{"name": "o", "type": "float", "value": 3}],
    )
    before = values(compiled)
    stored = {"x": {"a": 2}, "f": 1, "l": [1, 2.5], "s": "1"}
    after = restore_value(compiled, stored, {"o": 3})
    assert (
        repr(after.inputs)
        == repr(before.inputs)
        == repr({"x": {"a": 2}, "f": 1.0, "l": [1.0, 2.5], "s": "1"})
    )
    assert repr(after.outputs) == repr({"o": 3.0})


def test_what_was_frozen_is_the_truth_even_if_it_no_longer_fits() -> None:
    compiled = operation({"x": 1}, inputs=[{"name": "x", "type": "int"}])
    assert restore_value(compiled, {"x": "edited", "y": None}, {}).inputs == {
        "x": "edited",
        "y": None,
    }


def test_a_join_without_a_search_is_refused() -> None:
    joins = [{"query": "status: succeeded", "params": {"q": {"value": "outputs.acc"}}}]
    with pytest.raises(SpecError, match="joins: joins are not searched here"):
        values(operation(joins=joins))
    found = resolve(operation(joins=joins), ME, {}, project=[upstream(), upstream("Failed")])
    assert isinstance(found, Resolved)
    assert found.inputs == {"q": [0.9]}


def run(number: int, **outputs: Any) -> Upstream:
    facts = {
        "name": f"r{number}",
        "status": "succeeded",
        "created_at": f"2026-01-01T10:00:{number % 60:02}Z",
    }
    return Upstream(
        f"{number:032x}",
        f"r{number}",
        "Succeeded",
        facts,
        inputs={},
        outputs=outputs,
        done=True,
        frozen=True,
    )


def test_a_search_reads_every_value_and_every_value_can_read_what_it_found() -> None:
    """Defaults, templates, refs and the results of other joins: each is resolved before the search
    that needs it.
    """
    project = [run(number, loss=number / 10, group=f"g{number % 2}") for number in range(6)]
    joins = [
        {
            "query": "outputs.group: {{ group }}, metrics.loss: <={{ limit }}",
            "sort": "{{ sort }}",
            "params": {"losses": "outputs.loss"},
        },
        {
            "query": "outputs.loss: {{ best }}",
            "limit": "{{ few }}",
            "params": {"winner": "globals.name"},
        },
    ]
    params = {
        "group": "g{{ half }}",
        "half": 1,
        "limit": {"ref": "ops.prep", "value": "outputs.acc"},
        "best": "{{ losses[0] }}",
    }
    inputs = [
        {"name": "sort", "type": "str", "value": "-metrics.loss"},
        {"name": "few", "type": "int", "value": 1},
    ]
    found = resolve(
        operation(params, inputs, joins=joins),
        ME,
        {UP: upstream(outputs={"acc": 0.4})},
        project=project,
    )
    assert isinstance(found, Resolved)
    assert (found.inputs["losses"], found.inputs["best"], found.inputs["winner"]) == (
        [0.3, 0.1],
        0.3,
        ["r3"],
    )
    assert [(edge.name, edge.kind, dict(edge.values)) for edge in found.edges] == [
        ("prep", "run", {"limit": "outputs.acc"}),
        ("r3", "join", {"losses": "outputs.loss", "winner": "globals.name"}),
        ("r1", "join", {"losses": "outputs.loss"}),
    ]


def test_a_search_that_reads_what_it_finds_is_a_circle() -> None:
    joins = [{"query": "outputs.loss: {{ q }}", "params": {"q": "outputs.loss"}}]
    with pytest.raises(SpecError, match="in a circle: q -> q"):
        resolve(operation(joins=joins), ME, {}, project=[])


def test_what_a_template_makes_of_a_search_is_validated_with_its_place() -> None:
    joins = [
        {"query": "{{ q }}", "sort": "{{ s }}", "limit": "{{ l }}", "params": {"x": "outputs.loss"}}
    ]
    with pytest.raises(SpecError) as caught:
        resolve(operation({"q": "los: 1", "s": 3, "l": "many"}, joins=joins), ME, {}, project=[])
    assert [problem.path for problem in caught.value.problems] == [
        "joins[0].query",
        "joins[0].sort",
        "joins[0].limit",
    ]


def test_a_join_takes_a_whole_page_of_runs_and_no_more_fit_into_a_status() -> None:
    project = [run(number, loss=0) for number in range(EDGES + 5)]
    joins = [{"query": "status: succeeded", "params": {"q": "outputs.loss"}}]
    found = resolve(operation(joins=joins), ME, {}, project=project)
    assert isinstance(found, Resolved)
    assert (len(found.inputs["q"]), len(found.edges)) == (EDGES, EDGES)
    with pytest.raises(
        SpecError, match=f"its values come from {EDGES + 1} runs; at most {EDGES} fit"
    ) as caught:
        resolve(
            operation({"p": {"ref": "ops.prep", "value": "outputs.acc"}}, joins=joins),
            ME,
            {UP: upstream()},
            project=project,
        )
    assert caught.value.reason == "TooLarge"


MISFITS: list[tuple[Any, dict[str, Any], str]] = [
    ("globals.uuid", {"type": "int"}, "gives a text, and this accepts int"),
    (
        "globals.uuid",
        {"type": "str", "isList": True},
        "gives a text, and this accepts a list of str",
    ),
    ("globals", {"type": "float"}, "gives a mapping, and this accepts float"),
    ("globals", {"isList": True}, "gives a mapping, and this accepts a list of values"),
    (
        "inputs",
        {"type": "dict", "isList": True},
        "gives a mapping, and this accepts a list of dict",
    ),
    ("globals.run_info", {"type": "git"}, "gives a text, and this accepts git"),
    ("globals.duration", {"type": "dict"}, "gives a number, and this accepts dict"),
    ({"dirs": ["a"]}, {"type": "bool"}, "gives a mapping, and this accepts bool"),
    (
        {"dirs": ["a"]},
        {"type": "artifacts", "isList": True},
        "gives a mapping, and this accepts a list of artifacts",
    ),
]


@pytest.mark.parametrize(("value", "io", "words"), MISFITS)
def test_what_can_never_fit_is_refused_before_anything_is_waited_for(
    value: Any, io: dict[str, Any], words: str
) -> None:
    reason, message = refuse(value, None, inputs=[{"name": "p", **io}])
    assert reason == "ParamInvalid"
    assert message.startswith("params.p.value: ")
    assert words in message


@pytest.mark.parametrize(
    ("value", "io"),
    [
        ("globals", {"type": "str"}),
        ("inputs", {"type": "metadata"}),
        ("globals.name", {"type": "int"}),
        ("globals.created_at", {"type": "datetime"}),
        ("globals.duration", {"type": "timedelta"}),
        ("globals.ports", {"type": "int", "isList": True}),
        ("outputs.acc", {"type": "float", "isList": True}),
        ("artifacts.base", {"type": "path"}),
        ({"files": ["a"]}, {"type": "dict"}),
        ({"files": [["a", "b"]]}, {"type": "artifacts"}),
    ],
)
def test_what_may_fit_is_waited_for(value: Any, io: dict[str, Any]) -> None:
    assert isinstance(ask(value, None, inputs=[{"name": "p", **io}]), Waiting)


@pytest.mark.parametrize(
    ("value", "io", "words"),
    [
        (
            "outputs.loss",
            {"type": "float"},
            "a join gives a list, and this accepts one float; declare isList: true",
        ),
        (
            "globals.uuid",
            {"type": "int", "isList": True},
            "a join gives a list, and this accepts a list of int",
        ),
        (
            {"files": ["a"]},
            {"type": "artifacts", "isList": True},
            "a join gives a mapping, and this accepts a list of artifacts",
        ),
    ],
)
def test_what_a_join_gives_must_fit_too(value: Any, io: dict[str, Any], words: str) -> None:
    compiled = operation(
        inputs=[{"name": "q", **io}],
        joins=[{"query": "status: succeeded", "params": {"q": {"value": value}}}],
    )
    with pytest.raises(SpecError) as caught:
        resolve(compiled, ME, {}, project=[])
    assert str(caught.value) == f"joins[0].params.q.value: {words}"


def test_both_halves_of_a_wrong_ref_are_reported_with_the_nearest_word() -> None:
    with pytest.raises(SpecError) as caught:
        collect_refs(operation({"p": {"ref": "op.prep", "value": "output.acc"}}))
    assert [problem.path for problem in caught.value.problems] == ["params.p.ref", "params.p.value"]
    assert "did you mean 'ops'?" in caught.value.problems[0].message
    assert "did you mean 'outputs'?" in caught.value.problems[1].message


@pytest.mark.parametrize(
    "value",
    [
        "{{ outputs.x | upper }}",
        "{{ outputs.x }}{{ outputs.y }}",
        "{{ outputs['x'] }}",
        "{{ outputs.f(1) }}",
    ],
)
def test_no_template_works_on_what_is_asked_for(value: str) -> None:
    with pytest.raises(
        SpecError, match=r"^params\.p\.value: .* is more than what is asked of a run"
    ) as caught:
        collect_refs(operation({"p": {"ref": "ops.prep", "value": value}}))
    assert caught.value.reason == "RefInvalid"


def test_a_name_has_one_value() -> None:
    joins = [{"query": "status: succeeded", "params": {"q": {"value": "outputs.acc"}}}]
    with pytest.raises(SpecError, match="gets its value in two places"):
        values(operation({"q": 1}, joins=joins))
