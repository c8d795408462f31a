"""No decision depends on the text of a message: messages change, and can contain what users
wrote.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

import opstrand

ROOT = Path(opstrand.__file__).parent
#: Names of variables, attributes or keys that hold a message.
_HOLDERS = frozenset(
    {"message", "messages", "server_message", "scheduler_message", "words", "detail"}
    | {"refused", "refusal", "msg", "problem"}
)
#: Operations that look into a text.
_QUESTIONS = frozenset(
    {"startswith", "endswith", "find", "index", "count", "search", "match", "fullmatch", "findall"}
    | {"finditer", "removeprefix", "removesuffix", "partition", "split"}
)
#: File and function -> why it may look into a text: the text is a foreign program's, or our own
#: text is only shown.
_ALLOWED = {
    (
        "core/diagnosis/terminated.py",
        "find_disruption",
    ): "a kubelet says whose limit was exceeded in text alone",
    ("core/diagnosis/pending.py", "names_missing"): "a kubelet says what is missing in text alone",
    ("core/diagnosis/pending.py", "find_unschedulable"): "a scheduler has one reason for all",
    (
        "core/lifecycle/admission.py",
        "interpret_forbidden",
    ): "quota and admission answer 403 with text alone",
    ("core/pods/adoption.py", "is_about_documents"): "an Event names the ConfigMap in text alone",
    ("core/lifecycle/status.py", "advance"): "another message is news, whatever it says",
    (
        "core/runtimes/gates.py",
        "_keep_suggestion",
    ): "keeps the suggestion that it wrote, so that a wait is written once",
    (
        "initializer/git.py",
        "_fetch",
    ): "git has one exit code for all, and says in English what it is",
    ("initializer/git.py", "_last_lines"): "explains what git says",
    ("initializer/api.py", "_ask"): "shows an error on one line",
    ("local/session.py", "_note_once"): "says each sentence once",
    ("spec/cron.py", "_check"): "a parser says which field is wrong in text alone",
    ("cli/cluster/container.py", "_explain"): "a container runtime says it in text alone",
    ("cli/output/describe.py", "advise_run"): "speaks of the path shown where one is shown",
}


def _is_message(node: ast.expr, caught: frozenset[str]) -> bool:
    """Return whether an expression is a message, or is made of one."""
    parts: list[ast.expr] = []
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in _HOLDERS:
            return True
        case ast.Subscript(slice=ast.Constant(value=key)) if key in _HOLDERS:
            return True
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=key), *_]) if (
            key in _HOLDERS
        ):
            return True
        case ast.Call(func=ast.Name(id="str" | "repr"), args=[ast.Name(id=name)]) if name in caught:
            return True
        case ast.JoinedStr(values=values):
            parts = [one.value for one in values if isinstance(one, ast.FormattedValue)]
        case ast.BoolOp(values=values):
            parts = values
        case ast.Call(func=ast.Name(id="str" | "repr"), args=[inner]):
            parts = [inner]
        case ast.Call(func=ast.Attribute(attr="lower" | "strip" | "casefold", value=inner)):
            parts = [inner]
    return any(_is_message(one, caught) for one in parts)


def _find_questions(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield every function that looks into a message, with the line."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        handlers = (one for one in ast.walk(function) if isinstance(one, ast.ExceptHandler))
        caught = frozenset(one.name for one in handlers if one.name)
        for node in ast.walk(function):
            if _asks(node, caught):
                yield function.name, node.lineno  # type: ignore[attr-defined]


def _asks(node: ast.AST, caught: frozenset[str]) -> bool:
    match node:
        case ast.Compare(left=left, ops=ops, comparators=others):
            kinds = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)
            return any(isinstance(one, kinds) for one in ops) and any(
                _is_message(one, caught) for one in (left, *others)
            )
        case ast.Call(func=ast.Attribute(attr=name, value=owner), args=arguments) if (
            name in _QUESTIONS
        ):
            return any(_is_message(one, caught) for one in (owner, *arguments))
        case ast.Match(subject=subject):
            return _is_message(subject, caught)
    return False


@functools.cache
def _sweep() -> tuple[tuple[str, str, int], ...]:
    trees = (
        (str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8")))
        for path in sorted(ROOT.rglob("*.py"))
    )
    return tuple((file, name, line) for file, tree in trees for name, line in _find_questions(tree))


def test_no_decision_depends_on_the_words_of_a_message() -> None:
    found = [
        f"{file}:{line} {name}" for file, name, line in _sweep() if (file, name) not in _ALLOWED
    ]
    assert found == []


def test_every_exception_is_still_needed() -> None:
    assert _ALLOWED.keys() <= {(file, name) for file, name, _ in _sweep()}


@pytest.mark.parametrize(
    "decision",
    [
        "if answer.get('refused') == LIMIT: pass",
        "if 'cannot start' in message: pass",
        "if BLANK not in f'{one.path}{one.message}': pass",
        "if str(known.get('message')).startswith(name): pass",
        "if known['message'] == name: pass",
        "if PATTERN.search(error.server_message): pass",
        "if re.search('a', str(error.message).lower()): pass",
        "if 'a' in (error.message or ''): pass",
        "try: pass\n    except OSError as gone:\n        return 'a' in str(gone)",
    ],
)
def test_a_decision_by_a_message_is_found(decision: str) -> None:
    assert list(_find_questions(ast.parse(f"def decide():\n    {decision}")))


@pytest.mark.parametrize(
    "decision",
    [
        "if error.reason == 'TooLarge': pass",
        "if error.message: pass",
        "if error.message is None: pass",
    ],
)
def test_a_decision_by_a_code_is_none(decision: str) -> None:
    assert not list(_find_questions(ast.parse(f"def decide():\n    {decision}")))
