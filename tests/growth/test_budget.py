"""The output of templates and references is bounded while it is made: text that cannot be stored is
never assembled.

Every entry of the core is tried: what the operator decides, and what the API and `check` report of
a file before a run exists.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.builders import ME, operation

from opstrand.controller.template_worker import Sandbox
from opstrand.core.compiling.compile import compile_operation
from opstrand.core.compiling.prepare import prepare
from opstrand.core.decide import decide
from opstrand.core.identity import Identity
from opstrand.core.lifecycle.snapshot import Snapshot
from opstrand.core.limits import RENDERED
from opstrand.core.planning.plan import compile_plan
from opstrand.core.resolving.refs import Ref, Upstream
from opstrand.core.resolving.resolve import Resolved, resolve
from opstrand.core.templates.meter import Meter, metered
from opstrand.core.templates.template import refuse, render
from opstrand.core.validate import validate_compiled
from opstrand.errors import SpecError
from opstrand.settings import Settings
from opstrand.spec.polyaxonfile import parse_operation

#: Far more than it takes, and far less than it took without a bound.
SECONDS, BYTES = 5.0, 40_000_000
LARGE = "x" * 200_000
LIST = ["x" * 100] * 2000
TIMES = 3000


def container(**fields: Any) -> dict[str, Any]:
    return {"run": {"kind": "job", "container": {"image": "busybox", **fields}}}


def run(**fields: Any) -> dict[str, Any]:
    return {"run": {"kind": "job", "container": {"image": "busybox"}, **fields}}


def many(name: str) -> list[dict[str, Any]]:
    return [
        {"name": f"{name}{number}", "type": "str", "isOptional": True} for number in range(TIMES)
    ]


#: Fields of an operation with a text `a` of 200 kB and a list `l` of about the same size.
LARGE_ONES: dict[str, dict[str, Any]] = {
    "one string": container(command=["{{ a }}" * TIMES]),
    "one argument each": container(args=["{{ a }}"] * TIMES),
    "with text around": container(args=["--a={{ a }}"] * TIMES),
    "a list, whose type stays": container(args=["{{ l }}"] * TIMES),
    "a list as text": container(args=["={{ l }}"] * TIMES),
    "all arguments": container(args=["{{ params.as_args }}"] * TIMES),
    "all params": container(args=["{{ params }}"] * TIMES),
    "an argument as text": container(args=["{{ params.a.as_arg }}"] * TIMES),
    "more than look-ups": container(args=["{{ a | upper }}"] * TIMES),
    "little of much": container(args=["{{ a | length }}"] * TIMES),
    "variables": container(env=[{"name": f"v{n}", "value": "{{ a }}"} for n in range(TIMES)]),
    "keys of a mapping": run(
        environment={"annotations": {f"{n}{{{{ a }}}}": "b" for n in range(TIMES)}}
    ),
    "init files": run(
        init=[{"file": {"filename": f"f{n}", "content": "{{ a }}"}} for n in range(TIMES)]
    ),
    "sidecars": run(
        sidecars=[{"name": f"s{n}", "image": "b", "args": ["{{ a }}"]} for n in range(TIMES)]
    ),
    "volumes": run(
        volumes=[{"name": f"v{n}", "hostPath": {"path": "{{ a }}"}} for n in range(TIMES)]
    ),
    "connections": run(connections=["{{ a }}"] * TIMES),
    "conditions": {**container(), "conditions": "{{ a }}" * TIMES},
    "a queue": {**container(), "queue": "{{ a }}" * TIMES},
    "termination": {**container(), "termination": {"timeout": "{{ a }}" * TIMES}},
    "plugins": {**container(), "plugins": {"logLevel": "{{ a }}" * TIMES}},
    "params": {
        **container(),
        "params": {f"p{n}": {"value": "{{ a }}", "contextOnly": True} for n in range(TIMES)},
    },
    "arguments by argFormat": {
        **container(args=["{{ params.as_args }}"]),
        "inputs": [
            {"name": "f", "type": "str", "value": "b", "argFormat": "{{ f }}" + "{{ f }}" * 6_000}
        ],
        "params": {"f": {"value": LARGE[:1000]}},
    },
    "a query": {
        **container(),
        "joins": [{"query": "{{ a }}" * TIMES, "params": {"j": {"value": "outputs.b"}}}],
    },
}


def make(fields: dict[str, Any]) -> dict[str, Any]:
    declared = [{"name": "a", "type": "str"}, {"name": "l", "type": "list"}]
    component = {
        "kind": "component",
        "inputs": [*declared, *fields.get("inputs", [])],
        "run": fields["run"],
    }
    params = {"a": {"value": LARGE}, "l": {"value": LIST[:1]}, **fields.get("params", {})}
    if "{{ l }}" in str(fields["run"])[:500]:
        params = {"a": {"value": "b"}, "l": {"value": LIST}}
    own = {key: value for key, value in fields.items() if key not in ("run", "inputs", "params")}
    return {"kind": "operation", "component": component, "params": params, **own}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        sandbox.start()
        yield sandbox


def decide_on(spec: dict[str, Any], sandbox: Sandbox) -> SpecError | None:
    metadata = {
        "name": "large",
        "namespace": "default",
        "uid": "0" * 8 + "-0000-4000-8000-" + "0" * 12,
        "generation": 1,
    }
    body = {"metadata": {**metadata, "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": spec}
    settings = Settings()
    snapshot = Snapshot(
        body=body,
        prepared=prepare(body, settings=settings),
        now=datetime(2026, 1, 1, tzinfo=UTC),
        settings=settings,
        evaluate=sandbox.for_one_run(),
    )
    status = decide(snapshot).status or {}
    assert len(status["message"]) < 2000
    return None if status["phase"] == "Starting" else SpecError(status["reason"], status["message"])


def validate_one(spec: dict[str, Any], sandbox: Sandbox) -> SpecError | None:
    problems, _ = validate_compiled(
        compile_operation(parse_operation(spec)), evaluate=sandbox.for_one_run(), complete=True
    )
    return SpecError.of(problems) if problems else None


#: Only the operator renders a search: no other entry has runs to search.
CASES = [(decide_on, name) for name in LARGE_ONES] + [
    (validate_one, name) for name in LARGE_ONES if name != "a query"
]


@pytest.mark.parametrize(
    ("door", "name"), CASES, ids=[f"{door.__name__}-{name}" for door, name in CASES]
)
def test_what_is_too_large_is_refused_before_it_is_made(
    door: Callable[[dict[str, Any], Sandbox], SpecError | None], name: str, sandbox: Sandbox
) -> None:
    spec = make(LARGE_ONES[name])
    tracemalloc.start()
    start = time.process_time()
    error = door(spec, sandbox)
    seconds, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert error is not None
    assert error.reason == "TooLarge"
    assert seconds < SECONDS
    assert peak < BYTES


def test_one_budget_is_shared_by_all_that_is_rendered_for_a_run() -> None:
    evaluate = metered(refuse)
    context = {"a": "x" * (RENDERED // 3)}
    for _ in range(3):
        render({"b": "{{ a }}"}, context, evaluate=evaluate)
    with pytest.raises(SpecError) as caught:
        render({"b": ["-{{ a }}"]}, context, "run", evaluate=evaluate)
    assert [(one.reason, one.path) for one in caught.value.problems] == [("TooLarge", "run.b[0]")]


def test_what_fits_is_rendered() -> None:
    compiled = operation(params={"a": LARGE}, container={"image": "b", "args": ["{{ a }}"] * 5})
    found = resolve(compiled, ME, {})
    assert isinstance(found, Resolved)
    assert compile_plan(compiled, found, ME).container["args"] == [LARGE] * 5


def test_values_of_other_runs_count_too() -> None:
    up = Upstream(
        "b" * 32, "up", "Succeeded", {}, inputs={}, outputs={"o": LIST}, done=True, frozen=True
    )
    params = {f"p{n}": {"ref": "ops.up", "value": "outputs"} for n in range(TIMES)}
    with pytest.raises(SpecError) as caught:
        resolve(operation(params=params), ME, {Ref("ops", "up"): up})
    assert caught.value.reason == "TooLarge"


def test_values_of_a_join_count_while_they_are_gathered() -> None:
    runs = [
        Upstream(
            f"{n:032x}",
            f"r{n}",
            "Succeeded",
            {"status": "succeeded"},
            outputs={"o": LIST},
            done=True,
        )
        for n in range(TIMES)
    ]
    joins = [{"query": "status: succeeded", "params": {"j": {"value": "outputs"}}}]
    with pytest.raises(SpecError) as caught:
        resolve(operation(joins=joins), Identity("a" * 32, "me", "p"), {}, project=runs)
    assert caught.value.reason == "TooLarge"


def test_a_value_that_is_used_many_times_is_measured_once() -> None:
    meter = Meter(rendered=10**12)
    value = ["x" * 100] * 50_000
    start = time.process_time()
    for _ in range(10_000):
        meter.charge(value)
    assert time.process_time() - start < 3.0
