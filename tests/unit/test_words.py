"""What opstrand says is plain English: it names who does what, and uses the field's words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import opstrand

ROOT = Path(opstrand.__file__).parent
_REFUSED = re.compile(
    r"\b(mend\w*|nobody|somebody|whoever|meanwhile|anew|in vain)\b", re.IGNORECASE
)
_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _iter_texts(tree: ast.AST) -> Iterator[ast.Constant]:
    """Every text that is no docstring."""
    bodies = (node.body for node in ast.walk(tree) if isinstance(node, _WITH_DOCSTRING))
    firsts = (body[0].value for body in bodies if body and isinstance(body[0], ast.Expr))
    docstrings = {id(one) for one in firsts}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in docstrings
        ):
            yield node


def test_no_message_uses_a_refused_word() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{text.lineno} {text.value!r}"
        for path in sorted(ROOT.rglob("*.py"))
        for text in _iter_texts(ast.parse(path.read_text(encoding="utf-8")))
        if _REFUSED.search(str(text.value))
    ]
    assert found == []
