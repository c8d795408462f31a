"""No function has so many branches that a reader loses track of them.

The measure is the cyclomatic complexity that also counts the branches inside of expressions. A
function starts with 1. Each of these adds 1:

- `if`, `elif`, `for`, `while`, `except`, `assert`, and a `case` other than `case _` or a bare name;
- a ternary, `a if b else c`;
- each operator of a chain of `and` or `or`: `a and b and c` adds 2;
- each `for` and each `if` of a comprehension.

A lambda counts as a part of its function. A nested function or class does not: its functions are
measured by themselves.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = CHECKOUT / "operator" / "opstrand"
LIMIT = 15

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_MEASURED_ALONE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BRANCHES = (
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.Assert,
    ast.IfExp,
)


def _measure(function: _Function) -> int:
    return 1 + sum(map(_count, _walk(function)))


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, _MEASURED_ALONE):
            yield child
            yield from _walk(child)


def _count(node: ast.AST) -> int:
    if isinstance(node, _BRANCHES):
        return 1
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    if isinstance(node, ast.comprehension):
        return 1 + len(node.ifs)
    if isinstance(node, ast.match_case):
        return 0 if _matches_everything(node.pattern) else 1
    return 0


def _matches_everything(pattern: ast.pattern) -> bool:
    return isinstance(pattern, ast.MatchAs) and pattern.pattern is None


def _functions(tree: ast.AST) -> Iterator[_Function]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_function_has_more_branches_than_the_limit() -> None:
    found = [
        f"{path.relative_to(CHECKOUT)}:{function.name}: {number}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for function in _functions(ast.parse(path.read_text()))
        if (number := _measure(function)) > LIMIT
    ]
    assert not found, f"split these (at most {LIMIT}):\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("pass", 1),
        ("if a: pass\n elif b: pass\n else: pass", 3),
        ("for a in b: pass\n while c: pass", 3),
        ("try: pass\n except A: pass\n except B: pass\n finally: pass", 3),
        ("assert a", 2),
        ("return a if b else c", 2),
        ("return a and b and c or d", 4),
        ("return [a for b in c for a in b if a if b]", 5),
        ("match a:\n  case 1: pass\n  case [b]: pass\n  case _: pass", 3),
        ("return lambda: a or b", 2),
        ("def g(): return a or b", 1),
        ("with a: pass", 1),
    ],
)
def test_the_measure_counts(body: str, expected: int) -> None:
    function = next(_functions(ast.parse(f"def f():\n {body}")))
    assert _measure(function) == expected
