"""Whatever changes in a documented file, `check` and the API answer with a verdict: never a bug,
never a long wait.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from opstrand.controller.template_worker import Sandbox
from opstrand.core.compiling.compile import compile_operation
from opstrand.core.validate import validate_compiled
from opstrand.errors import SpecError
from opstrand.spec.polyaxonfile import parse_polyaxonfile

TESTS = Path(__file__).resolve().parents[2]
ROUNDS = 1500
#: Values in places where they are not expected.
ODD: list[Any] = [
    *(
        None,
        True,
        0,
        -1,
        2.5,
        10**18,
        "",
        "a",
        "1",
        "a b",
        "a:b",
        "/",
        "../a",
        "\u0000",
        "a\nb",
        "x" * 300,
    ),
    *("{{ x }}", "{{ globals.uuid }}", "{{ globals }}", "{% for", {"{{ x }}": 1}),
    *(
        [],
        ["a"],
        [1],
        [None],
        [["a", "b"]],
        [[]],
        [{}],
        {},
        {"a": 1},
        {"name": "a"},
        [{"name": "a"}],
        {"kind": "job"},
    ),
    *(
        {"value": 1},
        {"ref": "ops.a", "value": "outputs.x"},
        {"kind": "choice", "value": [1, 2]},
        "int",
        "List[int]",
        "artifacts",
    ),
]
Path_ = tuple[Any, ...]


def documents() -> list[dict[str, Any]]:
    found = []
    for file in sorted((TESTS / "conformance" / "polyaxonfiles").glob("*.yaml")) + sorted(
        (TESTS / "golden").glob("*/operation.yaml")
    ):
        try:
            loaded = yaml.safe_load(file.read_text())
        except yaml.YAMLError:
            continue
        if isinstance(loaded, dict):
            found.append(loaded.get("spec", loaded) if "apiVersion" in loaded else loaded)
    return found


def places(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    if path:
        yield path
    children = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in children:
        yield from places(inner, (*path, key))


def at(value: Any, path: Path_) -> Any:
    for step in path:
        value = value[step]
    return value


def spoil(chance: random.Random, known: list[dict[str, Any]], keys: list[str]) -> dict[str, Any]:
    """Return one of the files, with one to three things in it replaced, added, or taken from
    another file.
    """
    spoiled = copy.deepcopy(chance.choice(known))
    for _ in range(chance.choice((1, 1, 2, 3))):
        *above, last = chance.choice(list(places(spoiled)) or [("kind",)])
        around = at(spoiled, tuple(above))
        value = copy.deepcopy(chance.choice(ODD))
        if chance.random() < 0.25:
            other = chance.choice(known)
            value = copy.deepcopy(at(other, chance.choice(list(places(other)))))
        if isinstance(around, dict) and chance.random() < 0.2:
            last = chance.choice(keys)
        around[last] = value
    return spoiled


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(2))
def test_a_spoiled_file_gets_a_verdict(seed: int) -> None:
    known = documents()
    keys = sorted(
        {
            str(step)
            for one in known
            for path in places(one)
            for step in path
            if isinstance(step, str)
        }
    )
    chance = random.Random(seed)
    refused = 0
    with Sandbox() as sandbox:
        for _ in range(ROUNDS):
            spoiled = spoil(chance, known, keys)
            try:
                compiled = compile_operation(parse_polyaxonfile(spoiled))
                problems, _ = validate_compiled(
                    compiled, evaluate=sandbox.for_one_run(), complete=True
                )
                refused += bool(problems)
            except SpecError:
                refused += 1
            except Exception as error:
                raise AssertionError(yaml.safe_dump(spoiled)) from error
    assert ROUNDS / 10 < refused < ROUNDS
