"""Large inputs of single functions: the CPU time that each may take."""

from __future__ import annotations

import gc
import json
import time

import pytest
from tests.support.builders import ME, RUN, UP, nest, operation, pipeline, upstream

from opstrand.core.compiling.compile import compile_operation, compile_written
from opstrand.core.compiling.dag import read_pipeline
from opstrand.core.mask import mask
from opstrand.core.planning.expansion import expand, protect
from opstrand.core.resolving.resolve import Resolved, resolve
from opstrand.core.templates.traced import Piece, TracedText
from opstrand.errors import SpecError
from opstrand.kube.depth import cut
from opstrand.spec.polyaxonfile import parse_operation

JOB = {"kind": "job", "container": {"image": "busybox", "command": ["true"]}}


@pytest.mark.parametrize("asked", [None, "outputs.acc"])
def test_ten_thousand_params_resolve_within_a_second(asked: str | None) -> None:
    ref = {"ref": "ops.prep", "value": asked}
    params = {
        f"p{i}": f"{{{{ p{i + 1} }}}}" if i % 2 == 0 else ref if asked else i for i in range(10_000)
    } | {"p10000": 1}
    compiled = operation(params)
    gc.collect()
    gc.freeze()  # the collector skips what other tests left in memory
    started = time.process_time()
    found = resolve(compiled, ME, {UP: upstream()})
    seconds = time.process_time() - started
    gc.unfreeze()
    assert seconds < 1
    assert isinstance(found, Resolved)
    assert found.inputs["p0"] == (0.9 if asked else 1)
    assert [len(edge.values) for edge in found.edges] == ([5000] if asked else [])


def test_five_hundred_operations_are_validated_within_a_second() -> None:
    component = {
        "inputs": [{"name": "x", "type": "int"}],
        "outputs": [{"name": "y", "type": "int"}],
        "run": RUN,
    }
    first = {"name": "op0", "component": component, "params": {"x": 1}}
    rest = [
        {
            "name": f"op{i}",
            "component": component,
            "params": {"x": {"ref": f"ops.op{i // 2}", "value": "outputs.y"}},
            "dependencies": ["op0"],
        }
        for i in range(1, 500)
    ]
    written = pipeline(first, *rest)
    start = time.process_time()
    compiled = compile_operation(parse_operation(written))
    assert time.process_time() - start < 1
    found = read_pipeline(compiled, compile_written)
    assert len(found.nodes) == 500
    assert len(found.stages) == 10


def test_many_other_spellings_cost_no_more_than_other_mistakes() -> None:
    """The search for other spellings is repeated after each replacement; if there are too many to
    report, it is not made at all.
    """
    seconds = []
    for key in ("modl_ref", "model_ref"):
        steps = [{"file": {"content": "a"}, key: "a"} for _ in range(3_000)]
        start = time.process_time()
        with pytest.raises(SpecError):
            parse_operation({"run": {**JOB, "init": steps}})
        seconds.append(time.process_time() - start)
    assert seconds[1] < 5 * seconds[0]


def test_hostile_texts_take_no_quadratic_time() -> None:
    began = time.process_time()
    text = "$(" * 100_000
    assert expand(text, {}) == text
    assert (
        protect(TracedText.of_pieces([Piece(text, False), Piece(text, True)] * 2)).count("$")
        == 800_000
    )
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "part", ["a-", "token-", "-token:", "eyJaaaaaaaaaaaa-", "://a", "password ", "basic ", "/"]
)
def test_the_last_words_of_a_program_are_masked_in_proportion_to_their_length(part: str) -> None:
    """A kubelet keeps 12 kB of them, which the operator reads between all else that it does."""
    began = time.process_time()
    mask(part * (48_000 // len(part)))
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "text",
    [
        b"[" + b",".join([b"[]"] * 470_000) + b"]",
        b"[" + b",".join([nest(9_000, "l")] * 75) + b"]",
        b"[" + b",".join([nest(9_000, "o")] * 20) + b"]",
        b"[" + b",".join([nest(120, "ol")] * 2_000) + b"]",
        json.dumps(['[{"' * 400_000]).encode(),
        b'"' + b"\\\\" * 700_000,
    ],
)
def test_it_takes_time_in_proportion(text: bytes) -> None:
    """The text has 1.4 MB, as large as an object can be; the bound is ten times what it takes on a
    slow machine.
    """
    began = time.process_time()
    cut(text)
    took = time.process_time() - began
    print(f"{took:.3f}")
    assert took < 3
