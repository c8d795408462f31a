"""Files with thousands of mistakes, or of values: a list of problems that a person can read, in a
time that an operator can afford.

The operator validates each object in the same process that serves all others. A search for a
similar word takes milliseconds, so it must not be made for each of thousands of mistakes; and no
code may compare each of thousands with each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.builders import ME, operation

from opstrand.core.compiling.compile import compile_operation
from opstrand.core.resolving.resolve import resolve
from opstrand.core.templates.template import refuse
from opstrand.core.validate import validate_compiled
from opstrand.errors import MAX_PROBLEMS, Problem, SpecError
from opstrand.spec.polyaxonfile import parse_operation

#: Far more than it takes on a slow machine, and far less than it took when it grew with the square.
SECONDS = 4.0
NAMES = [{"name": f"input{number}", "isOptional": True} for number in range(500)]
RANGE = range(5000)


def resolve_all(**fields: Any) -> list[Problem]:
    resolve(operation(**fields), ME, {})
    return []


def validate_all(**fields: Any) -> list[Problem]:
    return validate_compiled(operation(**fields), evaluate=refuse, complete=True)[0]


def make_pipeline(operations: list[dict[str, Any]]) -> list[Problem]:
    compile_operation(parse_operation({"run": {"kind": "dag", "operations": operations}}))
    return []


MISTAKES: dict[str, Callable[[], list[Problem]]] = {
    "undeclared params": lambda: resolve_all(
        params={f"inpot{n}": 1 for n in RANGE}, inputs=NAMES, strictParams=True
    ),
    "unknown names in values": lambda: resolve_all(
        params={f"p{n}": f"{{{{ inpot{n} }}}}" for n in RANGE}, inputs=NAMES
    ),
    "unknown names in a container": lambda: validate_all(
        container={"args": [f"{{{{ inpot{n} }}}}" for n in RANGE]}, inputs=NAMES
    ),
    "values that read all values": lambda: resolve_all(
        params={f"p{n}": "{{ params.as_args }}" for n in range(3000)}
    ),
    "unknown dependencies": lambda: make_pipeline(
        [{"name": f"op{n}", "dependencies": [f"o{n}"], "hubRef": "a"} for n in RANGE]
    ),
    "operations that wait for themselves": lambda: make_pipeline(
        [{"name": f"op{n}", "dependencies": [f"op{n}"], "hubRef": "a"} for n in RANGE]
    ),
    "declarations that come twice": lambda: resolve_all(
        inputs=[{"name": f"i{n // 2}"} for n in range(30_000)]
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_thousands_of_mistakes_are_reported_as_a_hundred_and_cost_no_more(name: str) -> None:
    start = time.process_time()
    try:
        problems = MISTAKES[name]()
    except SpecError as error:
        problems = list(error.problems)
    assert time.process_time() - start < SECONDS
    assert 1 < len(problems) <= MAX_PROBLEMS or name == "values that read all values"


def test_long_lists_are_laid_over_each_other_in_no_time() -> None:
    first, second = [f"a{n}" for n in range(20_000)], [f"a{n}" for n in range(10_000, 30_000)]
    start = time.process_time()
    compiled = operation(run={"connections": first}, runPatch={"connections": second})
    assert time.process_time() - start < SECONDS
    assert compiled.run["connections"] == [f"a{n}" for n in range(30_000)]
