"""From data to a checked file: kinds, unknown keys, types, templates, and every problem at once
with its line.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.processor_time import within

from opstrand.core.compiling.compile import compile_operation
from opstrand.errors import REASONS, Problem, SpecError
from opstrand.spec.component import Component
from opstrand.spec.document import parse_document
from opstrand.spec.operation import Operation
from opstrand.spec.polyaxonfile import parse_component, parse_operation, parse_polyaxonfile
from opstrand.spec.shape import Shape, fields_of

JOB = {"kind": "job", "container": {"image": "busybox"}}


def refuse(data: Any) -> SpecError:
    with pytest.raises(SpecError) as caught:
        parse_operation(data)
    return caught.value


def problems_of(call: Callable[[], Any]) -> tuple[Problem, ...]:
    try:
        call()
    except SpecError as error:
        return error.problems
    return ()


def only(data: Any) -> tuple[str, str, str]:
    (problem,) = refuse(data).problems
    return problem.reason, problem.path, problem.message


def test_a_component_is_wrapped_where_either_may_stand_and_refused_where_an_operation_must() -> (
    None
):
    component = {"kind": "component", "run": JOB}
    assert parse_polyaxonfile(component).written == {"component": component}
    assert parse_polyaxonfile({"component": component}).component is not None
    assert refuse(component).reason == "NotAnOperation"
    assert parse_component(component).written is component


@pytest.mark.parametrize("data", [None, [], "a", 3, True])
def test_what_is_no_mapping_is_said_to_be_none(data: Any) -> None:
    for parse in (parse_operation, parse_component, parse_polyaxonfile):
        with pytest.raises(SpecError, match="a mapping"):
            parse(data)


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean 'operation'"):
        parse_polyaxonfile({"kind": "opration"})


@pytest.mark.parametrize(
    ("data", "path", "near"),
    [
        ({"parms": {}}, "parms", "params"),
        ({"runpatch": {}}, "runpatch", "runPatch"),
        ({"termination": {"maxretries": 1}}, "termination.maxretries", "maxRetries"),
        (
            {"component": {"inputs": [{"nmae": "a", "name": "b"}]}},
            "component.inputs[0].nmae",
            "name",
        ),
        (
            {"inputs": [{"name": "a", "validation": {"minlength": 1}}]},
            "inputs[0].validation.minlength",
            "minLength",
        ),
        (
            {"inputs": [{"name": "a", "validation": {"contain": "b"}}]},
            "inputs[0].validation.contain",
            "contains",
        ),
        ({"mount": [{"fro": "a"}]}, "mount[0].fro", "from"),
        ({"params": {"x": {"value": 1, "conection": "a"}}}, "params.x.conection", "connection"),
        (
            {"run": {**JOB, "init": [{"file": {"content": "", "filname": "a"}}]}},
            "run.init[0].file.filname",
            "filename",
        ),
        ({"joins": [{"query": "a", "sortt": "b"}]}, "joins[0].sortt", "sort"),
        (
            {"joins": [{"query": "a", "params": {"x": {"value": "outputs.b", "toInti": True}}}]},
            "joins[0].params.x.toInti",
            "toInit",
        ),
        (
            {
                "matrix": {
                    "kind": "grid",
                    "params": {"a": {"kind": "choice", "value": []}},
                    "numruns": 1,
                }
            },
            "matrix.numruns",
            "numRuns",
        ),
        (
            {"run": {"kind": "dag", "operations": [{"name": "a", "dependancies": []}]}},
            "run.operations[0].dependancies",
            "dependencies",
        ),
        ({"run": {"kind": "mpijob", "worker": {"replica": 1}}}, "run.worker.replica", "replicas"),
        (
            {"schedule": {"kind": "cron", "cron": "@daily", "maxRun": 1}},
            "schedule.maxRun",
            "maxRuns",
        ),
        ({"control": {"stopp": True}}, "control.stopp", "stop"),
    ],
)
def test_an_unknown_key_is_named_with_its_path_and_the_nearest(
    data: dict[str, Any], path: str, near: str
) -> None:
    reason, where, message = only({"hubRef": "a", **data})
    assert (reason, where) == ("UnknownField", path)
    assert f"did you mean '{near}'?" in message


@pytest.mark.parametrize(
    ("data", "path", "words"),
    [
        ({"name": "a b"}, "name", "letters, digits"),
        ({"tags": [1]}, "tags[0]", "expected text, found the number 1"),
        ({"strictParams": "perhaps"}, "strictParams", "true or false"),
        (
            {"termination": {"timeout": "soon"}},
            "termination.timeout",
            "expected a whole number, found the text 'soon'",
        ),
        ({"termination": []}, "termination", "expected a mapping, found an empty list"),
        ({"conditions": True}, "conditions", "expected text, found true"),
        ({"trigger": "all_suceeded"}, "trigger", "did you mean 'all_succeeded'?"),
        ({"patchStrategy": "merge"}, "patchStrategy", "expected one of"),
        ({"run": {"kind": "jobb"}}, "run.kind", "did you mean 'job'?"),
        ({"run": {}}, "run.kind", "runtime needs a kind"),
        ({"run": "job"}, "run", "expected a mapping with a `kind`"),
        ({"matrix": {"kind": "grid"}}, "matrix.params", "is required"),
        ({"matrix": {"kind": "hyperopt"}}, "matrix.kind", "expected a kind of matrix"),
        (
            {"schedule": {"kind": "interval", "frequency": 0}},
            "schedule.frequency",
            "at least 1 second",
        ),
        (
            {"schedule": {"kind": "datetime", "startAt": "soon"}},
            "schedule.startAt",
            "expected a date and time",
        ),
        ({"run": {**JOB, "init": [{"git": {}}]}}, "run.init[0]", "needs a connection"),
        (
            {"run": {**JOB, "init": [{"git": {"url": "a"}, "paths": ["b"]}]}},
            "run.init[0]",
            "one source, found paths, git",
        ),
        ({"hubRef": "a", "urlRef": "b"}, "", "at most one of hubRef"),
        (
            {"joins": [{"query": "a", "params": {"x": {"ref": "ops.a", "value": "b"}}}]},
            "joins[0].params.x.ref",
            "cannot have a `ref`",
        ),
        (
            {"matrix": {"kind": "mapping", "values": [{"x": {"ref": "dag", "value": "b"}}]}},
            "matrix.values[0].x.ref",
            "cannot have a `ref`",
        ),
        (
            {"matrix": {"kind": "grid", "params": {"x": {"ref": "dag"}}}},
            "matrix.params.x.ref",
            "cannot have a `ref`",
        ),
        (
            {"matrix": {"kind": "grid", "params": {}}},
            "matrix.params",
            "expected at least one, found an empty mapping",
        ),
        (
            {"events": [{"ref": "ops.a", "kinds": ["run_status_succeded"]}]},
            "events[0].kinds[0]",
            "did you mean 'run_status_succeeded'?",
        ),
        (
            {"events": [{"ref": "train", "kinds": ["alert_info"]}]},
            "events[0].ref",
            "expected ops.NAME, runs.UUID or connections.NAME",
        ),
        (
            {"schedule": {"kind": "cron", "cron": "0 6 * *"}},
            "schedule.cron",
            "expected minute, hour, day, month and weekday",
        ),
        (
            {"schedule": {"kind": "cron", "cron": "61 6 * * *"}},
            "schedule.cron",
            "found the text '61 6 * * *'",
        ),
        ({"schedule": {"kind": "cron", "cron": "@fortnightly"}}, "schedule.cron", "@monthly"),
        ({"schedule": {"kind": "cron", "cron": "0 0 30 2 *"}}, "schedule.cron", "day-of-month"),
        (
            {"schedule": {"kind": "cron", "cron": "TZ=Europe/Berln @daily"}},
            "schedule.cron",
            "did you mean 'Europe/Berlin'?",
        ),
        (
            {"schedule": {"kind": "interval", "frequency": 60, "maxRuns": 0}},
            "schedule.maxRuns",
            "expected a number of at least 1, found the number 0",
        ),
        (
            {
                "schedule": {
                    "kind": "cron",
                    "cron": "@daily",
                    "startAt": "2026-02-01",
                    "endAt": "2026-01-31T23:59:59Z",
                }
            },
            "schedule.endAt",
            "expected a time after startAt (2026-02-01)",
        ),
        ({"schedule": {"kind": "datetime", "startAt": "0001-01-01"}}, "schedule.startAt", "date"),
        ({"mount": [3]}, "mount[0]", "expected text or a mapping, found the number 3"),
        (
            {"run": {**JOB, "init": [{"paths": 3}]}},
            "run.init[0].paths",
            "expected a list or text, found the number 3",
        ),
        (
            {"run": {**JOB, "init": [{"paths": [["a", 3]]}]}},
            "run.init[0].paths[0][1]",
            "expected text, found the number 3",
        ),
        ({"run": {**JOB, "init": [{"file": {}}]}}, "run.init[0].file.content", "is required"),
        (
            {"run": {**JOB, "init": [{"dockerfile": {"image": "a", "env": "b"}}]}},
            "run.init[0].dockerfile.env",
            "a mapping or a list",
        ),
        ({"env": {"A": 1}}, "env.A", "quote it"),
        ({"cmd": [" "]}, "cmd", "expected a command"),
        ({"resources": {"cpu": "2..1"}}, "resources.cpu", "above the limit"),
        ({"resources": {"gpus": 1}}, "resources.gpus", "unknown resource"),
        ({"control": {"resume": "1"}}, "control.resume", "expected a whole number"),
        ({"params": {"x": {"value": float("nan")}}}, "params.x.value", "not a finite number"),
        ({"params": {"x": 2**63}}, "params.x", "64 bits"),
        ({"params": {1: 2}}, "params", "a key must be text, found the number 1"),
    ],
)
def test_a_wrong_value_says_what_was_found_and_expected(
    data: dict[str, Any], path: str, words: str
) -> None:
    reason, where, message = only(data)
    assert where == path
    assert words in message
    assert reason in REASONS


def test_a_literal_may_have_more_keys_than_any_section() -> None:
    table = {f"key-{number}": number for number in range(500)}
    assert parse_operation({"params": {"x": table}}).params["x"].value == table


def test_every_wrong_param_of_a_join_and_a_matrix_is_reported() -> None:
    joined = {"x": {"ref": "ops.a"}, "y": {"value": "outputs.a", "wrong": 1}}
    spaces = {"x": {"ref": "ops.a"}, "y": {"kind": "choice", "value": [1], "wrong": 1}}
    error = refuse(
        {
            "joins": [{"query": "name: a", "params": joined}],
            "matrix": {"kind": "grid", "params": spaces},
        }
    )
    assert {problem.path for problem in error.problems} == {
        "joins[0].params.x.ref",
        "joins[0].params.y.wrong",
        "matrix.params.x.ref",
        "matrix.params.y.wrong",
    }


def test_all_problems_come_at_once_in_the_order_of_the_file_with_their_lines() -> None:
    text = (
        "parms: {}\nrun:\n  kind: job\n  container:\n    imge: a\n    comand: [b]\ntermination:\n  "
        "timeout: x\ntrigger: no\n"
    )
    document = parse_document(text, source="a.yaml")
    with pytest.raises(SpecError) as caught:
        parse_polyaxonfile(document.data, document=document)
    assert [(p.line, p.column, p.path) for p in caught.value.problems] == [
        (1, 1, "parms"),
        (5, 5, "run.container.imge"),
        (6, 5, "run.container.comand"),
        (8, 3, "termination.timeout"),
        (9, 1, "trigger"),
    ]
    assert str(caught.value).startswith("a.yaml:1:1: parms: unknown key 'parms'")


@pytest.mark.parametrize(
    "data",
    [
        {"termination": "{{ t }}", "cache": "{{ c }}", "plugins": "{{ p }}", "hooks": "{{ h }}"},
        {"termination": {"timeout": "{{ t }}", "maxRetries": "{% if a %}1{% endif %}"}},
        {
            "isApproved": "{{ a }}",
            "cost": "{{ c }}",
            "trigger": "{{ t }}",
            "dependencies": "{{ d }}",
        },
        {
            "run": {
                "kind": "job",
                "container": "{{ c }}",
                "init": "{{ i }}",
                "environment": "{{ e }}",
                "volumes": "{{ v }}",
            }
        },
        {
            "run": {
                "kind": "job",
                "container": {
                    "resources": {"limits": {"{{ r }}": "{{ n }}"}},
                    "{{ k }}": 1,
                    "args": "{{ a }}",
                },
            }
        },
        {
            "run": {
                "kind": "job",
                "environment": {"nodeSelector": {"{{ k }}": "{{ v }}"}, "priority": "{{ p }}"},
            }
        },
        {"matrix": {"kind": "grid", "params": {"x": {"kind": "choice", "value": "{{ xs }}"}}}},
        {"schedule": {"kind": "interval", "frequency": "{{ f }}", "startAt": "{{ s }}"}},
    ],
)
def test_a_template_may_stand_for_what_is_rendered_later(data: dict[str, Any]) -> None:
    assert parse_operation(data).written is data


@pytest.mark.parametrize(
    "cron",
    [
        "* * * * *",
        "*/5 0-6,12 1 JAN-MAR MON#2",
        "0 0 L * 5L",
        "0 6 * * 1 30",
        "@quarterly",
        "CRON_TZ=America/New_York 0 6 * * 1-5",
        "TZ=UTC @daily",
        "{{ every }}",
    ],
)
def test_a_schedule_takes_every_form_of_cron(cron: str) -> None:
    assert parse_operation({"schedule": {"kind": "cron", "cron": cron}}).schedule.cron == cron


def _example_of(shape: Shape) -> Any:
    return {"text": "a", "whole": 1, "number": 1.5, "flag": True}.get(shape.kind)


def _sections() -> list[Any]:
    """Return every section that can be reached from an operation, by name."""
    found: dict[str, Any] = {}
    todo: list[Any] = [Operation]
    while todo:
        section = todo.pop()
        if section.__name__ in found:
            continue
        found[section.__name__] = section
        shapes = [shape for shape, _ in fields_of(section).values()]
        while shapes:
            shape = shapes.pop()
            shapes += [inner for inner in (shape.items, *shape.options) if inner is not None]
            todo += [shape.section] if shape.section is not None else []
            todo += list(shape.by_kind.members().values()) if shape.by_kind else []
    return [pytest.param(section, id=name) for name, section in sorted(found.items())]


@pytest.mark.parametrize("section", _sections())
def test_every_key_is_described_and_takes_its_own_example(section: Any) -> None:
    assert section.__doc__
    required = {
        key: info.examples[0] for key, (_, info) in fields_of(section).items() if info.is_required()
    }
    for key, (_, info) in fields_of(section).items():
        assert info.description, key
        assert info.examples, key
        beside = {"type": "bool"} if key == "isFlag" else {}
        section.model_validate({**required, **beside, key: info.examples[0]})


@pytest.mark.parametrize("section", _sections())
def test_every_scalar_key_refuses_a_mapping(section: Any) -> None:
    for key, (shape, _) in fields_of(section).items():
        if _example_of(shape) is not None and section not in (Operation, Component):
            with pytest.raises(ValueError, match="validation error"):
                section.model_validate({key: {"a": {"b": 1}}})


_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 2**65),
    st.floats(),
    st.sampled_from(["a", "{{ a }}", "1", "job", "ops.a"]),
)
#: Far more CPU seconds than one small file takes.
SECONDS = 2.0
_keys = st.sampled_from(
    [
        "kind",
        "name",
        "run",
        "component",
        "params",
        "inputs",
        "outputs",
        "value",
        "ref",
        "type",
        "container",
        "init",
        "file",
        "content",
        "matrix",
        "values",
        "joins",
        "query",
        "operations",
        "dependencies",
        "env",
        "image",
        "command",
        "schedule",
        "hooks",
        "termination",
        "timeout",
        "a",
        "<<",
    ]
)
_data = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=12,
)
_kinds = st.sampled_from(["component", "operation", "job", "dag", "grid", "cron", None])


@settings(max_examples=examples(400))
@given(st.dictionaries(_keys, _data, max_size=6), _kinds, _kinds)
def test_any_data_is_an_operation_or_a_spec_error(
    data: dict[str, Any], kind: Any, run: Any
) -> None:
    """The same holds on the way to a compiled operation: no other error is ever raised."""
    if kind is not None:
        data = {**data, "kind": kind}
    if run is not None and isinstance(data.get("run"), dict):
        data = {**data, "run": {**data["run"], "kind": run}}
    with within(SECONDS):
        found = problems_of(lambda: compile_operation(parse_polyaxonfile(data)))
    assert all(problem.reason in REASONS for problem in found)


@settings(max_examples=examples(150))
@given(st.dictionaries(_keys, _data, max_size=5))
def test_any_data_as_text_gives_the_same_verdict(data: dict[str, Any]) -> None:
    try:
        text = json.dumps(data, allow_nan=False)
    except ValueError:
        return
    with within(SECONDS):
        document = (
            parse_document(text, source="a.json")
            if not problems_of(lambda: parse_document(text))
            else None
        )
        found = problems_of(
            lambda: (
                parse_operation(document.data, document=document)
                if document
                else parse_document(text)
            )
        )
    assert all(problem.line for problem in found)
