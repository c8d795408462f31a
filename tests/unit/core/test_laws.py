"""Laws for all values: one result per run, results that survive a store, no error but SpecError."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.support.builders import ME, here
from tests.support.examples import examples

from opstrand.core.compiling.check import check_values
from opstrand.core.operation import CompiledOperation
from opstrand.core.planning.plan import compile_plan
from opstrand.core.resolving.refs import Ref, Upstream, parse_ask, parse_ref
from opstrand.core.resolving.resolve import Resolved, Waiting, resolve, restore_value
from opstrand.core.values.scalars import SCALARS
from opstrand.errors import SpecError
from opstrand.spec.io import IO
from opstrand.spec.params import Param

TEXTS = st.text(max_size=12) | st.sampled_from(
    [
        "1",
        "1.0",
        "true",
        "[1]",
        '{"a": 1}',
        "2026-01-31",
        "{{ a }}",
        "{{ globals.uuid }}",
        "{{ b | upper }}",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
TYPES = st.none() | st.sampled_from(
    [
        *SCALARS,
        "any",
        "artifacts",
        "git",
        "file",
        "List[int]",
        "Dict[str, float]",
        "Optional[str]",
        "nope",
    ]
)
RULES = st.fixed_dictionaries(
    {},
    optional={
        "gt": VALUES,
        "multipleOf": st.integers(-2, 3),
        "regex": st.sampled_from(["^a", "(", "a*"]),
        "options": st.lists(st.integers()),
        "minLength": st.integers(0, 3),
        "decimalPlaces": st.integers(0, 3),
        "keys": st.lists(st.text(max_size=3)),
    },
)


@st.composite
def declarations(draw: st.DrawFn) -> tuple[IO, ...]:
    ios = []
    for name in draw(st.lists(st.sampled_from("abcd"), unique=True, max_size=3)):
        written: dict[str, Any] = {
            "name": name,
            "type": draw(TYPES),
            "isList": draw(st.booleans()),
            "isOptional": draw(st.none() | st.just(True)),
        }
        if draw(st.booleans()):
            written["validation"] = draw(RULES)
        if draw(st.booleans()):
            written["value"] = draw(VALUES)
        try:
            ios.append(IO.model_validate(written))
        except ValidationError:
            continue
    return tuple(ios)


@st.composite
def operations(draw: st.DrawFn) -> CompiledOperation:
    params = {}
    for name in draw(st.lists(st.sampled_from("abcdef"), unique=True, max_size=4)):
        ref = draw(
            st.none()
            | st.none()
            | st.sampled_from(["ops.up", "dag", "runs." + "c" * 32, "ops.", "x"])
        )
        asked = (
            st.sampled_from(["outputs", "inputs.x", "io", "globals.uuid", "outputs.zz"]) | VALUES
        )
        written = {
            "value": draw(asked if ref else VALUES),
            "ref": ref,
            "toEnv": draw(st.none() | st.just("E")),
        }
        params[name] = Param.model_validate(written)
    args = ["{{ a }}", "{{ params.b.as_arg }}", "x{{ params.as_args }}"]
    return CompiledOperation(
        name=None,
        kind="job",
        run={
            "kind": "job",
            "container": {"image": "i", "args": draw(st.lists(st.sampled_from(args), max_size=3))},
        },
        inputs=draw(declarations()),
        outputs=draw(declarations()),
        params=params,
        strict_params=draw(st.booleans()),
    )


UPSTREAM = Upstream(
    "c" * 32,
    "up",
    "Succeeded",
    {"uuid": "c" * 32},
    inputs={"x": 1},
    outputs={"y": "{{ a }}"},
    done=True,
    frozen=True,
)
UPSTREAMS: dict[Ref, Upstream | None] = {
    Ref("ops", "up"): UPSTREAM,
    Ref("runs", "c" * 32): UPSTREAM,
    Ref("dag"): None,
}


def verdict(call: Callable[[], Any]) -> Any:
    """Return the result of a call, or the SpecError that it raises; any other error is a bug."""
    try:
        return call()
    except SpecError as error:
        return error


def attempt(compiled: CompiledOperation) -> Resolved | Waiting | str:
    found = verdict(lambda: resolve(compiled, ME, UPSTREAMS, evaluate=here))
    assert not isinstance(found, SpecError) or all(problem.path for problem in found.problems), str(
        found
    )
    return str(found) if isinstance(found, SpecError) else found


def store(value: Any) -> Any:
    """Return what a cluster's store gives back: 1.0 is 1, and large numbers only change their
    type.
    """
    if isinstance(value, dict):
        return {key: store(item) for key, item in value.items()}
    if isinstance(value, list):
        return [store(item) for item in value]
    return (
        int(value)
        if isinstance(value, float) and value.is_integer() and abs(value) < 1e21
        else value
    )


@settings(max_examples=examples(150))
@given(operations())
def test_resolving_gives_a_verdict_and_always_the_same(compiled: CompiledOperation) -> None:
    found = attempt(compiled)
    assert repr(attempt(compiled)) == repr(found)
    check_values(compiled)


@settings(max_examples=examples(150))
@given(operations())
def test_what_was_resolved_survives_a_store(compiled: CompiledOperation) -> None:
    found = attempt(compiled)
    if not isinstance(found, Resolved):
        return
    stored = json.loads(
        json.dumps(
            store({"inputs": dict(found.inputs), "outputs": dict(found.outputs)}), allow_nan=False
        )
    )
    thawed = restore_value(compiled, stored["inputs"], stored["outputs"])
    assert repr(dict(thawed.inputs)) == repr(dict(found.inputs))
    assert repr(dict(thawed.outputs)) == repr(dict(found.outputs))
    assert plan(compiled, thawed) == plan(compiled, found)


def plan(compiled: CompiledOperation, resolved: Resolved) -> str:
    found = verdict(lambda: compile_plan(compiled, resolved, ME, evaluate=here).as_json().decode())
    assert not isinstance(found, SpecError) or all(problem.path for problem in found.problems), str(
        found
    )
    return str(found)


@given(
    st.text(max_size=20)
    | st.sampled_from(["runs.", "ops.", "dag"]).flatmap(
        lambda kind: st.text(max_size=8).map(lambda rest: kind + rest)
    )
)
def test_a_ref_is_read_as_it_is_written_or_refused(text: str) -> None:
    ref = verdict(lambda: parse_ref(text, "p"))
    if isinstance(ref, SpecError):
        assert (ref.reason, ref.problems[0].path) == ("RefInvalid", "p")
    else:
        assert str(ref) == (text.lower().replace("-", "") if ref.kind == "runs" else text)


@given(
    VALUES
    | st.sampled_from(["globals", "outputs"]).flatmap(
        lambda s: st.text(max_size=6).map(lambda rest: f"{s}.{rest}")
    )
)
def test_what_is_asked_for_is_understood_or_refused(value: Any) -> None:
    ask = verdict(lambda: parse_ask(value, "p"))
    if isinstance(ask, SpecError):
        assert ask.reason in ("RefInvalid", "MissingValue")
        assert ask.problems[0].path.startswith("p")
    else:
        assert isinstance(value, dict) or str(ask) in value
